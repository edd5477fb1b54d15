"""The gap check on real servers: each thing that is missing has its one reason, and nothing else is found."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from msgspec import structs

from tapedeck import message as m
from tapedeck.checks import findings
from tapedeck.checks.findings import Finding
from tapedeck.checks.gap_check import gap_check
from tapedeck.checks.report import Report
from tapedeck.log import client, meta, quarantine
from tapedeck.log.meta import Life
from tapedeck.partitions import partition_of
from tapedeck.settings import Settings
from tapedeck.slices import NS, Slice
from tapedeck.store.rebuild import rebuild
from tapedeck.tape import load as loading
from tests.published import HOUR, T0, VENDOR, Published
from tests.recorded import SPOT_AFTER, SPOT_BEFORE, recorded

MINUTES = 5
OF = Slice(T0, T0 + MINUTES * 60 * NS)
SYMBOLS = ("BTCUSDT", "ETHUSDT")


class Collector:
    """A collector as the publisher would have it: true counts in every heartbeat, each second."""

    def __init__(self, log: Published, src: int = 1) -> None:
        self.log, self.src = log, src
        self.records: list[m.Message] = []
        self.lost: set[tuple[str, int]] = set()

    def hear(self, first: float, last: float, drop: Sequence[int] = (), lose: Sequence[int] = ()) -> None:
        """One life from `first` to `last` (seconds after T0), ten trades and quotes a second, unless the
        vendor dropped, or the publisher lost, the trade of the i-th tenth of a second."""
        since = T0 + int(first * NS)
        life = Life(vendor=VENDOR, src=self.src, since=since, topic_id=self.log.live.id)
        meta.put(self.log.settings, life)
        self.log.lives[self.src] = life
        sent = dict.fromkeys(range(4), 0)
        made: list[tuple[int, m.Message]] = []
        for i in range(int(first * 10), int(last * 10)):
            at = T0 + i * NS // 10
            if i % 10 == 0:
                for p in range(4):
                    made.append((p, m.Heartbeat("*", 0, at, 0, 0, self.src, since, sent[p])))
            for k, symbol in enumerate(SYMBOLS):
                home = partition_of(symbol, 4)
                trade = m.Trade(symbol, at - NS, at + 1 + k, 1000 + i, 999 + i, self.src, 1.0 + i, 1.0, 1)
                if not (symbol == "BTCUSDT" and i in drop):
                    sent[home] += 1
                    if not (symbol == "BTCUSDT" and i in lose):
                        made.append((home, trade))
                made.append(
                    (home, m.Quote(symbol, 0, at + 5 + k, 7 * i + 1, 0, self.src, 1.0, 2.0, 1.0, 1.0))
                )
                sent[home] += 1
        producer = client.producer(self.log.settings)
        for p, message in made:
            self.log.record(producer, self.log.live, p, message)
        assert producer.flush(20) == 0

    def end(self, at: float) -> None:
        self.log.close(T0 + int(at * NS), self.src)


@pytest.fixture
def log(settings: Settings) -> Published:
    return Published(settings)


def told(report: Report) -> list[tuple[str, str, str, str, int]]:
    return [(f.check, f.reason, f.symbol, f.kind, f.messages) for f in report.findings]


def spans(found: Sequence[Finding]) -> list[tuple[float, float]]:
    return [((f.start - T0) / NS, (f.end - T0) / NS) for f in found]


def test_a_whole_market_is_silent_from_whatever_second_on(settings: Settings, log: Published) -> None:
    heard = Collector(log)
    heard.hear(-90, 400)
    heard.end(400)
    report = gap_check(settings, VENDOR, OF)
    assert (report.verdict, told(report), report.notes) == ("pass", [], [])
    assert report.counts["messages"] == MINUTES * 60 * 10 * 2 * 2
    odd = gap_check(settings, VENDOR, Slice(T0 + 17 * NS + 3, T0 + 44 * NS))
    assert told(odd) == []


def test_exactly_the_dropped_messages_are_the_vendors(settings: Settings, log: Published) -> None:
    heard = Collector(log)
    heard.hear(-5, 310, drop=[100, 500, 501, 502, 2000, 3050])
    heard.end(310)
    report = gap_check(settings, VENDOR, OF, run="one")
    gap = ("sequence", "upstream", "BTCUSDT", "trade")
    assert told(report) == [(*gap, 1), (*gap, 3), (*gap, 1)]
    assert [(f.evidence["first"], f.evidence["next"]) for f in report.findings] == [
        (1100, 1101), (1500, 1503), (3000, 3001),
    ]  # fmt: skip
    assert report.verdict == "fail"
    again = gap_check(settings, VENDOR, OF, run="two")
    assert [f.id for f in again.findings] == [f.id for f in report.findings]
    halves = [gap_check(settings, VENDOR, Slice(a, b)) for a, b in (
        (OF.start, OF.start + 50 * NS), (OF.start + 50 * NS, OF.end))]  # fmt: skip
    assert [f.id for half in halves for f in half.findings] == [f.id for f in report.findings]
    assert len(findings.listed(settings, VENDOR)) == 3
    log.load([m.Trade("BTCUSDT", 0, T0 + 10 * NS, 1100, 1099, 1007, 5.0, 1.0, 1)])
    mended = gap_check(settings, VENDOR, OF, run="three")
    assert [f.id for f in mended.findings] == [f.id for f in report.findings[1:]]
    [closed] = findings.listed(settings, VENDOR, "closed")
    assert (closed.id, closed.closed_by) == (report.findings[0].id, "three")


def test_a_killed_collector_is_the_reason_for_what_was_sent_meanwhile(
    settings: Settings, log: Published
) -> None:
    heard = Collector(log)
    heard.hear(0, 60)
    heard.hear(130, 310)
    heard.end(310)
    report = gap_check(settings, VENDOR, OF)
    assert sorted(told(report)) == [
        ("collector", "collector", "*", "*", 0),
        ("sequence", "collector", "BTCUSDT", "trade", 700),
        ("sequence", "collector", "ETHUSDT", "trade", 700),
    ]
    [outage] = [f for f in report.findings if f.check == "collector"]
    assert spans([outage]) == [(59, 130)]
    assert "died and was started again" in outage.evidence["why"]
    later = gap_check(settings, VENDOR, Slice(T0 + 100 * NS, OF.end))  # its start lies before the margin
    assert {f.id for f in later.findings} == {f.id for f in report.findings}


def test_what_a_second_collector_heard_is_missing_nowhere(settings: Settings, log: Published) -> None:
    first, second = Collector(log), Collector(log, src=2)
    second.hear(-1, 310)
    first.hear(0, 60)
    first.hear(63, 310)
    report = gap_check(settings, VENDOR, OF)
    assert told(report) == []


def test_what_one_of_two_collectors_never_heard_is_told_of_it_and_missing_nowhere(
    settings: Settings, log: Published
) -> None:
    first, second = Collector(log), Collector(log, src=2)
    first.hear(-1, 310)
    second.hear(-1, 310, drop=[500, 501])
    report = gap_check(settings, VENDOR, OF)
    assert told(report) == [("twins", "collector", "*", "*", 0)]
    [found] = report.findings
    assert (found.severity, found.evidence["src"], found.evidence["lacking"]) == ("warn", 2, 2)


def test_what_the_publisher_lost_is_told_by_the_heartbeats(settings: Settings, log: Published) -> None:
    heard = Collector(log)
    heard.hear(0, 310, lose=[1001, 1003])
    heard.end(310)
    report = gap_check(settings, VENDOR, OF)
    gap = ("sequence", "publish", "BTCUSDT", "trade", 1)
    assert told(report) == [gap, gap]
    assert "count 2 more messages than the log holds" in report.findings[0].evidence["why"]


def test_quotes_that_the_publisher_lost_are_found_though_they_have_no_chain(
    settings: Settings, log: Published
) -> None:
    log.register(T0)
    beats = [m.Heartbeat("*", 0, T0 + i * NS, 0, 0, 1, T0, 3 if i > 4 else 0) for i in range(1, 12)]
    quote = m.Quote("BTCUSDT", 0, T0 + 4 * NS + 5, 9, 0, 1, 1.0, 2.0)
    log.publish(*sorted([*beats, quote], key=lambda one: one.ts_recv))
    log.close(T0 + 12 * NS)
    report = gap_check(settings, VENDOR, Slice(T0, T0 + 60 * NS))
    home = log.partition()
    by_partition = {f.evidence["partition"]: f.messages for f in report.findings}
    assert by_partition == {p: 2 if p == home else 3 for p in range(4)}
    assert {(f.check, f.reason) for f in report.findings} == {("publish", "publish")}


def test_a_quarantined_payload_explains_its_hole(settings: Settings, log: Published) -> None:
    heard = Collector(log)
    heard.hear(0, 310, drop=[700])
    heard.end(310)
    put = client.producer(settings)
    for at, payload in ((T0 + 70 * NS, b'{"s":"BTCUSDT","p":"nan"}'), (T0 + 90 * NS, b"no JSON")):
        entry = quarantine.Entry(payload, 1, at, 0, "payload is not JSON")
        put.produce(
            log.topics.quarantine.name, quarantine.encode(entry, 10**6), key=quarantine.key_of(1),
            partition=quarantine.lane_of(log.topics.quarantine, 1), timestamp=at // 10**6,
        )  # fmt: skip
    assert put.flush(20) == 0
    report = gap_check(settings, VENDOR, OF)
    assert told(report) == [
        ("sequence", "quarantine", "BTCUSDT", "trade", 1),
        ("quarantine", "quarantine", "*", "*", 1),
    ]
    assert report.findings[1].start == T0 + 90 * NS


def test_what_kafka_deleted_before_it_was_written_has_expired(settings: Settings, log: Published) -> None:
    heard = Collector(log)
    heard.hear(0, 310)
    heard.end(310)
    log.cut(1000)
    report = gap_check(settings, VENDOR, OF)
    assert [(f.check, f.reason, f.severity, f.messages) for f in report.findings] == [
        ("expired", "expired", "fail", 1000)
    ]
    assert report.findings[0].start == OF.start < report.findings[0].end < OF.end


def test_what_kafka_deleted_after_it_was_written_is_only_a_warning(
    settings: Settings, log: Published
) -> None:
    heard = Collector(log)
    heard.hear(0, 310)
    heard.end(310)
    rebuild(settings, VENDOR, OF)
    log.cut(1000)
    report = gap_check(settings, VENDOR, OF)
    assert [(f.reason, f.severity, f.messages) for f in report.findings] == [("expired", "warn", 0)]
    assert report.verdict == "warn"


def test_an_accepted_finding_weighs_nothing_and_stays_accepted(settings: Settings, log: Published) -> None:
    heard = Collector(log)
    heard.hear(0, 310, drop=[100])
    heard.end(310)
    [found] = gap_check(settings, VENDOR, OF).findings
    findings.accept(settings, found.id[:6], "the venue says so", "ada")
    report = gap_check(settings, VENDOR, OF)
    assert report.verdict == "pass"
    [stands] = report.findings
    assert (stands.status, stands.accepted_by, stands.why_accepted) == (
        "accepted",
        "ada",
        "the venue says so",
    )


def test_a_voided_message_is_not_missing(settings: Settings, log: Published) -> None:
    heard = Collector(log)
    heard.hear(0, 310)
    heard.end(310)
    at = T0 + 50 * NS
    log.load([m.Void("BTCUSDT", 0, at, 0, 0, 1, at + 2, 0, "garbage")])
    assert told(gap_check(settings, VENDOR, OF)) == []


def test_a_quiet_symbols_chain_goes_on_over_hours(settings: Settings, log: Published) -> None:
    log.register(T0 - NS)
    early = m.Trade("QUIET", 0, T0, 50, 49, 1, 1.0, 1.0)
    late = m.Trade("QUIET", 0, T0 + 90 * 60 * NS, 53, 52, 1, 1.0, 1.0)
    filler = [m.Quote("QUIET", 0, T0 + NS + i * NS // 2, i + 1, 0, 1, 1.0, 2.0) for i in range(6000)]
    log.publish(early, *filler, late)
    log.close(T0 + 91 * 60 * NS)
    of = Slice(T0 + HOUR, T0 + 2 * HOUR)
    unknown = gap_check(settings, VENDOR, of)  # nobody knows where it stood
    assert [f for f in unknown.findings if f.check == "sequence"] == []
    rebuild(settings, VENDOR, Slice(T0, T0 + 2 * HOUR))
    from tapedeck.store import positions

    closed = positions.Position(
        topic_id=log.live.id, partition=log.partition("QUIET"), next=1, closed={"trade": T0 + 2 * HOUR}
    )
    positions.save(settings, VENDOR, [closed])
    [found] = [f for f in gap_check(settings, VENDOR, of).findings if f.check == "sequence"]
    assert (found.evidence["first"], found.evidence["next"], found.start) == (51, 53, T0)


def test_a_vendor_of_which_nothing_is_recorded_is_silent(settings: Settings) -> None:
    report = gap_check(settings, VENDOR, OF)
    assert (report.verdict, report.notes) == ("pass", [f"nothing is recorded of {VENDOR} yet"])


def test_a_slice_of_many_stretches_gives_the_same(
    settings: Settings, log: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = Collector(log)
    heard.hear(0, 310, drop=[100, 600, 601, 1500])
    heard.end(310)
    whole = gap_check(settings, VENDOR, OF)
    monkeypatch.setattr("tapedeck.log.reading.STRETCH_RECORDS", 1500)
    monkeypatch.setattr("tapedeck.checks.look.LEAD", 10)
    narrow = structs.replace(
        settings, vendors={**settings.vendors, VENDOR: structs.replace(settings.vendor(VENDOR), margin="1s")}
    )
    cut = gap_check(narrow, VENDOR, OF)
    assert [f.id for f in cut.findings] == [f.id for f in whole.findings]
    assert cut.counts["messages"] == whole.counts["messages"]


def test_two_recorded_markets_that_join_at_midnight_are_silent(settings: Settings) -> None:
    paths = [recorded(name) for name in (SPOT_BEFORE, SPOT_AFTER)]
    for file in loading.check("binance_spot", paths, "BTCUSDT"):
        loading.load(settings, "binance_spot", file, "BTCUSDT")
    midnight = 1_723_161_600 * NS
    report = gap_check(settings, "binance_spot", Slice(midnight - HOUR, midnight + HOUR))
    slow = ("clock", "collector", "*", "*", 0)  # of the machine that recorded them
    assert (report.verdict, told(report)) == ("warn", [slow, slow])
    for found in report.findings:
        assert found.evidence["negative_share"] == 1.0
        assert -1.3 < found.evidence["median_seconds"] < -1.2, found
        assert "is slow by 1.2" in found.evidence["why"]
    assert report.counts["messages"] == 99_574
    hours = [gap_check(settings, "binance_spot", Slice(midnight + a * HOUR, midnight + b * HOUR))
             for a, b in ((-1, 0), (0, 1))]  # fmt: skip
    assert [told(one) for one in hours] == [[slow], [slow]]

"""Messages without a sequence, heard by two: each once, whoever of the two is killed, paused or cut off."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tapedeck import message as m
from tapedeck.columns import Columns, concat, from_messages
from tapedeck.log.judge import judge
from tapedeck.log.signs import changes_of, listened
from tapedeck.slices import NS, Slice
from tapedeck.store.window import build_windows

MARGIN = 30 * NS
LIVE, BACKFILL = 3, 9
T0 = 1_700_000_000 * NS


Trouble = tuple[str, float, float]
"""What befalls a collector, from and to, in seconds."""


@dataclass
class Collector:
    """One source: what it heard of a market, and the signs of listening that it gave."""

    src: int
    trouble: list[Trouble]
    begins: float = 0.1
    """When it first connects, in seconds."""
    messages: list[m.Trade] = field(default_factory=list)
    heard: list[int] = field(default_factory=list)
    """Places in the market's stream of its messages."""
    signs: list[Columns] = field(default_factory=list)

    def hear(self, stream: list[tuple[float, m.Trade]], rng: random.Random) -> None:
        """Every message that reaches it, up to 50 ms late; behind a pause what queued up meanwhile."""
        last = 0
        for place, (at, trade) in enumerate(stream):
            what = next((one for one in self.trouble if one[1] <= at < one[2]), None)
            if what is not None and what[0] != "paused":
                continue
            last = max(last + 1, time(what[2] if what else at) + rng.randrange(NS // 20))
            self.messages.append(m.Trade("A", 0, last, 0, 0, self.src, trade.price, trade.size))
            self.heard.append(place)

    def beat(self, seconds: float) -> None:
        """Each second a heartbeat, unless it is dead or stands still; and each change of the connection."""
        beats, changes = [], [m.Status("*", 0, time(self.begins), 0, 0, self.src, m.CONNECTED)]
        changes.append(m.Status("*", 0, time(seconds - self.begins / 2), 0, 0, self.src, m.DISCONNECTED))
        for at in np.arange(self.begins / 2, seconds):
            what = next((one for one in self.trouble if one[1] <= at < one[2]), None)
            if what is None or what[0] == "cut":
                life = max(
                    (end for kind, _, end in self.trouble if kind == "killed" and end <= at), default=0
                )
                connected = int(what is None and at > self.begins)
                beats.append(m.Heartbeat("*", 0, time(at), 0, 0, self.src, time(life), 0, 0, connected))
        for what, start, end in self.trouble:
            if what == "cut":
                changes.append(m.Status("*", 0, time(start), 0, 0, self.src, m.DISCONNECTED))
            if what != "paused":
                changes.append(m.Status("*", 0, time(end) + 1, 0, 0, self.src, m.CONNECTED))
        found = changes_of(placed("status", changes))
        assert found is not None
        self.signs = [placed("heartbeat", beats), found]


def time(seconds: float) -> int:
    return T0 + int(seconds * NS)


def placed(kind: str, messages: list[m.Message], topic: int = LIVE, first: int = 0) -> Columns:
    count = len(messages)
    return from_messages(kind, messages).with_arrays(
        topic=np.full(count, topic, np.int32), offset=np.arange(first, first + count, dtype=np.int64)
    )


def market(rng: random.Random, seconds: float, rate: float) -> list[tuple[float, m.Trade]]:
    """Trades of few prices and sizes, so that many are identical."""
    at, found = 2.0, []
    while (at := at + rng.expovariate(rate)) < seconds:
        found.append((at, m.Trade("A", 0, 0, 0, 0, 0, float(rng.randrange(8)), float(rng.randrange(8)))))
    return found


TROUBLES = st.lists(
    st.tuples(
        st.sampled_from(["killed", "paused", "cut"]), st.floats(0, 25), st.floats(1.5, 24), st.integers(1, 2)
    ),
    min_size=1, max_size=3,
)  # fmt: skip


@settings(max_examples=20)
@given(TROUBLES, st.integers(0, 10**6), st.floats(2, 20), st.floats(5, 50))
def test_either_may_die_pause_or_be_cut_off_and_each_message_is_there_once_in_any_windows(
    troubles: list[tuple[str, float, float, int]], seed: int, rate: float, window: float
) -> None:
    rng = random.Random(seed)
    collectors = {src: Collector(src, [], rng.uniform(0.1, 1.9)) for src in (1, 2)}
    at = 5.0
    for what, gap, length, src in troubles:
        collectors[src].trouble.append((what, at + gap, at + gap + length))
        at += gap + length + 7
    stream = market(rng, at, rate)
    for one in collectors.values():
        one.hear(stream, rng)
        one.beat(at + 3)
    heard = [place for one in collectors.values() for place in one.heard]
    records = placed("trade", [trade for one in collectors.values() for trade in one.messages])
    signs = concat("heartbeat", [part for one in collectors.values() for part in one.signs])
    whole = judge({"trade": records}, None, MARGIN, signs=signs)["trade"]
    kept = Counter(heard[i] for i in whole.kept["offset"].tolist())
    assert kept == Counter(range(len(stream)))

    offsets, length = [], int(window * NS)
    for start in range(T0 // length * length, time(at + 60), length):
        span = Slice(start, start + length)
        near, close = (_within(part, span.widen(MARGIN)) for part in (records, signs))
        for built in build_windows(span, near, None, MARGIN, partition=0, signs=close).values():
            offsets += built.kept["offset"].tolist()
    assert sorted(offsets) == sorted(whole.kept["offset"].tolist())


def _within(part: Columns, span: Slice) -> Columns:
    return part.take((part["ts_recv"] >= span.start) & (part["ts_recv"] < span.end))


def beats(src: int, first: float, last: float, connected: int = 1, topic: int = LIVE) -> Columns:
    return placed(
        "heartbeat",
        [m.Heartbeat("*", 0, time(at), 0, 0, src, time(0), 0, 0, connected) for at in np.arange(first, last)],
        topic,
    )


def trades(*given: tuple[int, float, str]) -> Columns:
    """One of each (source, seconds, symbol), prices counting up."""
    made: list[m.Message] = [
        m.Trade(symbol, 0, time(at), 0, 0, src, float(i), 1.0) for i, (src, at, symbol) in enumerate(given)
    ]
    return placed("trade", made)


def kept(records: Columns, *signs: Columns, voids: Columns | None = None) -> list[int]:
    judged = judge(
        {records.kind: records}, voids, MARGIN, frozenset({BACKFILL}), concat("heartbeat", signs)
    )[records.kind]  # fmt: skip
    return sorted(judged.kept["offset"].tolist())


def test_who_is_not_subscribed_to_a_symbol_hides_nothing_of_it() -> None:
    records = trades((1, 50, "A"), (2, 51, "A"), (2, 52, "B"), (1, 90, "B"), (2, 95, "B"))
    assert kept(records, beats(1, 0, 200), beats(2, 0, 200)) == [0, 2, 3]


def test_who_is_not_connected_owns_nothing_and_old_heartbeats_say_connected() -> None:
    records = trades((1, 50, "A"), (2, 51, "A"))
    assert kept(records, beats(1, 0, 200, connected=0), beats(2, 0, 200)) == [1]
    assert kept(records, beats(1, 0, 200, connected=0)) == [0, 1]
    assert kept(records) == [0, 1]
    old = m.decode(b"\x99\xa1h\xa1*\x00\x05\x00\x00\x01\x02\x03")
    assert isinstance(old, m.Heartbeat)
    assert old.connected == 1


def test_what_is_void_of_a_source_is_nobodys_and_the_other_stands_again() -> None:
    records = trades((1, 50, "A"), (2, 51, "A"), (1, 60, "B"), (2, 61, "B"))
    void = placed("void", [m.Void("A", 0, time(40), 0, 0, 1, time(70), 0, "garbage")], BACKFILL)
    assert kept(records, beats(1, 0, 200), beats(2, 0, 200), voids=void) == [1, 2]


def test_what_was_published_again_answers_again_for_its_time() -> None:
    live = trades((1, 50, "A"), (2, 51, "A"))
    again = placed("trade", [m.Trade("A", 0, time(50), 0, 0, 1, 5.0, 1.0)], BACKFILL, 40)
    void = placed("void", [m.Void("*", 0, time(40), 0, 0, 1, time(70), 40, "published again")], BACKFILL, 42)
    answer = placed("heartbeat", [m.Heartbeat("*", 0, time(69), 0, 0, 1, time(40))], BACKFILL, 41)
    records = concat("trade", [live, again])
    signs = beats(1, 0, 200), beats(2, 0, 200)
    assert kept(records, *signs, answer, voids=void) == [40]
    assert kept(records, *signs, voids=void) == [1]  # nobody says so: the time is the other's


def test_of_files_the_lowest_that_has_the_symbol_answers_from_its_first_line_to_its_last() -> None:
    files = 1007, 1010
    records = trades(*((src, at, "A") for at in (20, 50, 80) for src in files))
    answers = [
        placed("heartbeat", [m.Heartbeat("*", 0, time(last), 0, 0, src, time(first))], BACKFILL)
        for src, first, last in ((1007, 40, 60), (1010, 0, 100))
    ]
    # 1007 has more than its answer says (20 and 80 are 1010's); at 50 it is the lowest
    assert kept(records, *answers) == [1, 2, 5]


def test_what_was_judged_already_stays() -> None:
    records = trades((1, 50, "A"), (2, 51, "A"), (2, 52, "A"))
    marked = records.with_arrays(settled=np.array([1, 1, 0], np.int8))
    assert kept(marked, beats(1, 0, 200), beats(2, 0, 200)) == [0, 1]


def test_a_collector_listened_while_its_lifes_heartbeats_follow() -> None:
    life = [(1, 0), (2, 0), (30, 0), (31, 0), (58, 40), (59, 40)]  # 28 s of silence, then another life
    made: list[m.Message] = [m.Heartbeat("*", 0, time(at), 0, 0, 1, time(since)) for at, since in life]
    spans = listened(placed("heartbeat", made), 27 * NS)[1]
    assert [(s.start, s.end) for s in spans] == [
        (time(1), time(2)), (time(30), time(31)), (time(58), time(59)),
    ]  # fmt: skip

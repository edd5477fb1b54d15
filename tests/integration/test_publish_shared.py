"""Several publishers to one tape: together they say what one says, whoever is behind or begins again."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from urllib.request import urlopen

import pytest
from msgspec import structs

from tapedeck.errors import BadInput
from tapedeck.log import meta, topics
from tapedeck.settings import Settings, Vendor
from tapedeck.tape import lock, position
from tests.tapes import (
    VENDOR,
    Running,
    Tape,
    check_log,
    messages,
    payloads,
    publish_all,
    publishing,
    records,
    until,
)


def shared(settings: Settings, publishers: int) -> Settings:
    vendor = structs.replace(settings.vendor(VENDOR), publishers=publishers)
    return structs.replace(settings, vendors={**settings.vendors, VENDOR: vendor})


@contextmanager
def all_publishing(settings: Settings, publishers: int) -> Iterator[list[str]]:
    """So many publishers at work; who leads ends last, as a collector ends them."""
    said, heard = list[str](), list[list[str]]()
    with ExitStack() as stack:
        for part in range(publishers):
            heard.append(stack.enter_context(publishing(shared(settings, publishers), part=part)))
        yield said
    said += [sentence for one in heard for sentence in one]


def test_two_publish_what_one_would_each_line_once_and_the_life_is_closed_behind_both(
    settings: Settings,
) -> None:
    tape = Tape(settings)
    tape.own("connect", why="here")
    sent = payloads(3000)
    tape.take(*sent[:1000])
    tape.own("heartbeat")
    with all_publishing(settings, 2) as said:
        tape.take(b"rubbish", *sent[1000:], b"rubbish")
        tape.own("heartbeat")
        end = tape.end()
    assert said == []
    count, resent = check_log(settings)
    assert (count, resent) == (3004, 0), "the connection's status is in each partition"
    (life,) = meta.read(settings).lives
    assert life.closed == end
    pin = topics.verify(settings, VENDOR).live[0]
    ends = {p: sum(len(one.values) for one in part) for p, part in enumerate(records(settings, pin))}
    assert life.closing == ends, "behind the last goodbye of both"
    quarantine = topics.verify(settings, VENDOR).quarantine
    assert sum(len(part.values) for each in records(settings, quarantine) for part in each) == 2
    found = position.load(tape.folder)
    assert found is not None
    assert len({lane.place for lane in found.lanes}) == 1, "all are through"


def test_how_many_there_are_may_change_at_any_start_and_each_goes_on_where_its_lanes_were(
    settings: Settings,
) -> None:
    tape, sent = Tape(settings), payloads(4000)
    for turn, publishers in enumerate((1, 2, 3, 1)):
        tape.take(*sent[1000 * turn : 1000 * (turn + 1)])
        tape.own("heartbeat")
        with all_publishing(settings, publishers) as said:
            pass
        assert said == []
        names = {path.name for path in tape.folder.glob("position*.json")}
        assert names == {position.file_of(part) for part in range(publishers)}
    tape.end()
    publish_all(settings)
    assert check_log(settings) == (4000, 0)


def test_one_that_is_behind_holds_up_the_goodbye_and_nothing_else(settings: Settings) -> None:
    tape, deck = Tape(settings), shared(settings, 2)
    tape.take(*payloads(2000))
    end = tape.end()
    pin = topics.ensure(settings, VENDOR).live[0]
    with publishing(deck, part=0, patience=60.0):
        until(lambda: bool(meta.read(settings).lives), 60)
        until(lambda: any(m for p in (0, 2) for m in messages(settings, pin)[p] if m.ts_recv == end), 60)
        assert meta.read(settings).lives[0].closed is None
        with publishing(deck, part=1):
            pass
    assert meta.read(settings).lives[0].closed == end
    assert check_log(settings) == (2000, 0)


def test_one_that_comes_first_waits_until_who_leads_has_registered_the_life(settings: Settings) -> None:
    tape, deck = Tape(settings), shared(settings, 2)
    tape.take(*payloads(500))
    tape.end()
    pin = topics.ensure(settings, VENDOR).live[0]
    with publishing(deck, part=1, patience=0.5) as said:
        pass
    assert "Kafka has not acknowledged everything" in said[-1]
    assert sum(map(len, messages(settings, pin))) == 0
    assert not meta.read(settings).lives
    with all_publishing(settings, 2):
        pass
    assert check_log(settings) == (500, 0)


def test_a_collectors_publishers_are_each_started_again_and_said_goodbye_to(settings: Settings) -> None:
    deck = shared(settings, 2)
    record = deck.state / "live" / f"collector-{VENDOR}-1.json"

    def pids() -> list[int]:
        found = json.loads(record.read_bytes())["publisher_pids"] if record.exists() else []
        return [pid for pid in found if pid]

    def through() -> int:
        found = position.load(deck.tape_dir(VENDOR, 1))
        return sum(lane.sent for lane in found.lanes) if found else 0

    with Running(deck, "collect", VENDOR) as collector:
        until(lambda: len(pids()) == 2 and lock.is_held(deck.tape_dir(VENDOR, 1), "taper"), 60)
        market = ("simulate", VENDOR, "--symbols", "8", "--rate", "2000", "--duration", "6", "--json")
        with Running(deck, *market) as sender:
            for part in (1, 0):
                until(lambda part=part: through() >= 1000 * (2 - part), 60)  # type: ignore[misc]
                killed = pids()[part]
                os.kill(killed, signal.SIGKILL)
                until(lambda killed=killed: len(pids()) == 2 and killed not in pids(), 60)  # type: ignore[misc]
            assert sender.process.wait(60) == 0, sender.said
        sent = int(json.loads(sender.said.splitlines()[-1])["totals"]["sent"])
        address = json.loads(record.read_bytes())["health"]
        text = urlopen(f"{address}/metrics", timeout=10).read().decode()  # noqa: S310 - our own
        assert collector.end() == 0, collector.said
    for role in ("taper", "publisher", "publisher-1"):
        assert f'tapedeck_collector_starts_total{{role="{role}",src="1",vendor="{VENDOR}"}}' in text
    count, _ = check_log(deck)
    assert sent <= count <= sent + 20
    assert [life.closed is None for life in meta.read(deck).lives] == [False]
    assert len(list(deck.tape_dir(VENDOR, 1).glob("position*.json"))) == 2


def test_a_publisher_without_a_partition_is_refused_with_what_to_do(settings: Settings) -> None:
    Tape(settings)
    with (
        pytest.raises(BadInput, match=r"5 publishers can't share the 4 partitions .*publishers to 4 or less"),
        publishing(shared(settings, 5), part=4),
    ):
        pass
    assert Vendor().publishers == 1

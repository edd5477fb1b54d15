"""Files of messages without a sequence: of two that say the same the lower one stands, once each is whole."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from msgspec import structs

from tapedeck.buses.captured import line_of
from tapedeck.log import topics
from tapedeck.log.timeline import timeline
from tapedeck.message import Book, Heartbeat
from tapedeck.settings import Settings, Vendor
from tapedeck.slices import NS
from tapedeck.tape import load as loading
from tapedeck.tape.load import Loaded
from tapedeck.tape.sender import Sender
from tests.tapes import messages

NAME = "coinbase"
DAY = 1_723_161_600 * NS
COUNT = 300


def capture(path: Path, late: int, first: int, end: int) -> Path:
    """Book changes, ten a second, as somebody heard them `late` ns later."""
    change = b'{"type":"l2update","product_id":"A","changes":[["buy","%d","1"]]}'
    at = (DAY + i * NS // 10 + late for i in range(first, end))
    path.write_bytes(b"".join(line_of(t, change % i) for t, i in zip(at, range(first, end), strict=True)))
    return path


def load(settings: Settings, path: Path) -> Loaded:
    [file] = loading.check(NAME, [path])
    return loading.load(settings, NAME, file)


def test_of_two_files_of_one_market_each_message_stands_once(settings: Settings, tmp_path: Path) -> None:
    settings = structs.replace(settings, vendors={NAME: Vendor()})
    one = capture(tmp_path / "one", 0, 0, 2 * COUNT // 3)
    other = capture(tmp_path / "other", 3_000_000, COUNT // 3, COUNT)
    done = [load(settings, path) for path in (one, other)]
    pin = topics.verify(settings, NAME).backfill

    def answers() -> Counter[int]:
        log = messages(settings, pin)
        return Counter(m.src for part in log for m in part if isinstance(m, Heartbeat))

    assert answers() == {loaded.src: pin.partitions for loaded in done}
    low = min(loaded.src for loaded in done)
    kept = list(timeline(NAME, settings).between(DAY, DAY + 60 * NS, kinds=["book"]))
    assert [book.bids[0][0] for book in kept] == list(range(COUNT))  # type: ignore[union-attr]
    assert Counter(book.src for book in kept)[low] == 2 * COUNT // 3
    again = [load(settings, path) for path in (one, other)]
    assert [sum(loaded.messages.values()) for loaded in again] == [0, 0]
    assert answers() == {loaded.src: pin.partitions for loaded in done}


def test_loads_killed_again_and_again_in_the_middle_of_an_answer_leave_no_partition_without_it(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So many copies as there are partitions are not one in each."""
    settings = structs.replace(settings, vendors={NAME: Vendor()})
    path = capture(tmp_path / "one", 0, 0, COUNT)
    with monkeypatch.context() as patched:
        patched.setattr(Sender, "answer", _in_one_partition)
        pin = topics.ensure(settings, NAME).backfill
        for _ in range(pin.partitions):
            load(settings, path)
    load(settings, path)
    log = messages(settings, pin)
    assert all(any(isinstance(m, Heartbeat) for m in part) for part in log)
    assert sum(isinstance(m, Book) for part in log for m in part) == COUNT


def _in_one_partition(sender: Sender, first: int, last: int) -> None:
    lanes = sender._lanes
    sender._lanes = lambda symbol: range(1)  # type: ignore[method-assign]
    _answer(sender, first, last)
    sender._lanes = lanes  # type: ignore[method-assign]


_answer = Sender.answer

"""Files of messages without a sequence: of two that say the same the lower one stands, once each is whole."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from msgspec import structs

from tapedeck.buses.captured import line_of
from tapedeck.log import topics
from tapedeck.log.timeline import timeline
from tapedeck.message import Heartbeat
from tapedeck.settings import Settings, Vendor
from tapedeck.slices import NS
from tapedeck.tape import load as loading
from tapedeck.tape.load import Loaded
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

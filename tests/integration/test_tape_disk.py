"""A small disk that fills up: an alarm, then a loud stop; freed, it goes on, and what was taped is whole."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import structs

from tapedeck import buses, vendors
from tapedeck.errors import Unavailable
from tapedeck.settings import Settings, Vendor
from tapedeck.settings import Tape as TapeSettings
from tapedeck.tape.segment import segments
from tapedeck.tape.taper import tape
from tests.integration.test_tape import Market, taped
from tests.servers import free_port
from tests.tapes import VENDOR, payloads, until

MB = 2**20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tapedeck-test", folder], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip("a tmpfs can't be mounted here")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


class Taping:
    """A taper at work, and what became of it."""

    def __init__(self, deck: Settings) -> None:
        self.said, self.stop, self.failed = list[str](), threading.Event(), list[Exception]()
        self._bus = buses.open(deck.vendor(VENDOR).bus, vendors.get(VENDOR), [])
        self._thread = threading.Thread(target=self._work, args=(deck,))
        self._thread.start()

    def _work(self, deck: Settings) -> None:
        try:
            tape(deck, VENDOR, 1, self._bus, self.stop.is_set, self.said.append)
        except Unavailable as e:
            self.failed.append(e)

    def end(self) -> None:
        self.stop.set()
        self._thread.join(60)
        self._bus.close()
        assert not self._thread.is_alive()


@pytest.mark.parametrize(
    ("free_stop", "words"), [(2 * MB, r"less than tape\.free_stop"), (1, r"can't be written \(No space left")]
)
def test_a_disk_that_fills_up_warns_then_stops_loudly_and_freed_it_goes_on(
    small_disk: Path, free_stop: int, words: str, tmp_path: Path
) -> None:
    port = free_port()
    vendor = Vendor(bus=f"zmq:tcp://127.0.0.1:{port}", tape=str(small_disk))
    limits = TapeSettings(free_alarm=5 * MB, free_stop=free_stop)
    deck = Settings(state_dir=str(tmp_path / "state"), vendors={VENDOR: vendor}, tape=limits)
    filler, market, sent = small_disk / "filler", Market(port), payloads(20_000)
    filler.write_bytes(bytes(4 * MB))
    first = Taping(deck)
    try:
        market.await_listener()
        market.send(*sent[:100])
        until(lambda: any("less than tape.free_alarm" in one for one in first.said))
        filler.unlink()
        until(lambda: any("has room again" in one for one in first.said))
        market.send(*sent[100:200])
        until(lambda: len(taped(deck)) == 200)
        assert not first.failed
        filler.write_bytes(bytes(3 * MB))
        market.send(*sent[200:])
        market.send(*sent)
        until(lambda: bool(first.failed), 60)
    finally:
        first.end()
    with pytest.raises(Unavailable, match=words):
        raise first.failed[0]
    before = taped(deck)
    assert [payload for _, payload in before] == (sent + sent)[: len(before)], "a prefix, whole lines only"
    assert len(before) > 200
    assert free_stop == 1 or shutil.disk_usage(small_disk).free > MB, "room is left for the position"
    filler.unlink()
    again = Taping(structs.replace(deck, tape=structs.replace(limits, free_stop=1)))
    try:
        until(lambda: market.send(b"after") or taped(deck)[-1][1] == b"after")  # type: ignore[func-returns-value]
    finally:
        again.end()
        market.close()
    assert taped(deck)[: len(before)] == before
    assert len({segment.life for segment in segments(deck.tape_dir(VENDOR, 1))}) == 2

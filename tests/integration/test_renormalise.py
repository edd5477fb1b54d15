"""A slice published again from the tape with a mended normaliser: the new stands, the old is void."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec import structs

from tapedeck import vendors
from tapedeck.errors import BadInput
from tapedeck.log import meta, quarantine
from tapedeck.log.timeline import timeline
from tapedeck.message import Quote, Status, Trade
from tapedeck.settings import Settings
from tapedeck.slices import Slice
from tapedeck.store.rebuild import rebuild
from tapedeck.tape.load import Loaded
from tapedeck.tape.renormalise import check, renormalise
from tapedeck.tape.segment import segments
from tapedeck.tape.sender import Sender
from tapedeck.vendors import Normalised, Refusal, Vendor
from tests.tapes import VENDOR, Tape, publish_all


class Wrong(Vendor):
    """Before it was mended: prices in cents, numbers ending in 3 refused, quotes taken for trades."""

    name = VENDOR

    def __init__(self, mended: bool) -> None:
        self.mended = mended

    def normalise(self, payload: bytes, recv_ns: int, src: int, symbol: str | None = None) -> Normalised:
        seq = int(payload)
        if seq % 10 == 3 and not self.mended:
            return [Refusal("a three")]
        if seq % 10 == 5 and self.mended:
            return [Quote("ETHUSDT", 0, recv_ns, seq, 0, src, 1.0, 2.0)]
        return [Trade("BTCUSDT", 0, recv_ns, seq, 0, src, 1.0 if self.mended else 100.0, 1.0)]


def understood(monkeypatch: pytest.MonkeyPatch, mended: bool) -> None:
    monkeypatch.setattr(vendors, "get", lambda name: Wrong(mended))


@pytest.fixture
def tape(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> tuple[Tape, list[int]]:
    """100 lines, a connection, published by the code of before and written to Arctic."""
    understood(monkeypatch, False)
    made = Tape(settings, size=1000)
    made.own("connect", why="")
    stamps: list[int] = []
    for i in range(100):
        stamps += made.take(b"%d" % i)
    made.end()
    publish_all(settings)
    rebuild(settings, VENDOR, Slice(made.life, stamps[-1] + 10**9))
    understood(monkeypatch, True)
    return made, stamps


def again(settings: Settings, tape: Tape, of: Slice | None = None) -> Loaded:
    return renormalise(settings, VENDOR, check(VENDOR, tape.folder), of)


def standing(settings: Settings, tape: Tape) -> dict[int, tuple[str, float]]:
    """By place on the tape, what stands of it."""
    found = timeline(VENDOR, settings).between(tape.life, tape.stamps.take() + 10**9)
    return {
        m.seq: ("quote", m.bid) if isinstance(m, Quote) else ("trade", m.price)  # type: ignore[union-attr]
        for m in found
        if not isinstance(m, Status)
    }


def wanted(first: int, last: int) -> dict[int, tuple[str, float]]:
    old = {i: ("trade", 100.0) for i in range(100) if i % 10 != 3 and not first <= i < last}
    return old | {i: ("quote" if i % 10 == 5 else "trade", 1.0) for i in range(first, last)}


def test_the_whole_tape_is_published_again_and_what_was_before_is_void(
    settings: Settings, tape: tuple[Tape, list[int]]
) -> None:
    made, stamps = tape
    done = again(settings, made)
    assert (done.src, done.messages, done.redeemed) == (1, {"trade": 90, "quote": 10, "status": 1}, 10)
    assert standing(settings, made) == wanted(0, 100)
    assert list(quarantine.standing(settings, VENDOR)) == []
    of = Slice(made.life, stamps[-1] + 10**9)
    built = rebuild(settings, VENDOR, of)
    assert (built.messages, built.voided) == (101, 91)
    second = again(settings, made)
    assert (sum(second.messages.values()), second.redeemed) == (101, 0)
    assert standing(settings, made) == wanted(0, 100)
    built = rebuild(settings, VENDOR, of)
    assert (built.messages, built.voided) == (101, 192)


def test_a_slice_is_exchanged_and_its_neighbours_stand(
    settings: Settings, tape: tuple[Tape, list[int]]
) -> None:
    made, stamps = tape
    done = again(settings, made, Slice(stamps[20], stamps[60]))
    assert sum(done.messages.values()) == 40
    assert standing(settings, made) == wanted(20, 60)


def test_one_that_was_killed_changes_nothing_and_is_run_again(
    settings: Settings, tape: tuple[Tape, list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    made, _ = tape
    for method in ("void", "finish"):

        def killed(self: Sender, *more: object) -> None:
            self.drain()
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(Sender, method, killed)
            with pytest.raises(KeyboardInterrupt):
                again(settings, made)
        if method == "void":  # what stood still does; only what nobody had is new
            now = standing(settings, made)
            assert {i: one for i, one in now.items() if i % 10 not in (3, 5)} == {
                i: ("trade", 100.0) for i in range(100) if i % 10 not in (3, 5)
            }
    again(settings, made)
    assert standing(settings, made) == wanted(0, 100)
    assert all(extent.next is not None for extent in meta.read(settings).extents)


def test_what_is_not_all_on_the_tape_is_refused_since_it_would_be_voided_for_good(
    settings: Settings, tape: tuple[Tape, list[int]], tmp_path: Path
) -> None:
    made, stamps = tape
    with pytest.raises(BadInput, match="is not all on it"):
        again(settings, made, Slice(made.life - 1, stamps[5]))
    with pytest.raises(BadInput, match="is no raw tape"):
        check(VENDOR, tmp_path)
    with pytest.raises(BadInput, match="is of binance_usdm, not of binance_spot"):
        check("binance_spot", made.folder)
    pin = meta.read(settings).topics(VENDOR).live[0]
    stray = meta.Life(vendor=VENDOR, src=1, since=stamps[50], topic_id=pin.id)
    meta.put(settings, stray)
    with pytest.raises(BadInput, match="that is not on the tape"):
        again(settings, made)
    meta.put(settings, structs.replace(stray, closed=stamps[50] + 1))
    assert sum(again(settings, made, Slice(stamps[60], stamps[70])).messages.values()) == 10
    second = segments(made.folder)[1]
    second.plain(made.folder).unlink()
    with pytest.raises(BadInput, match=f"has no {second.name} before"):
        check(VENDOR, made.folder)

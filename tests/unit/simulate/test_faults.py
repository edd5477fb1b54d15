"""Faults: what is sent is the source, changed by exactly what was told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tapedeck.errors import BadInput
from tapedeck.simulate.faults import FARTHEST, Deed, Faults, commit, parse_faults

SOURCE = [(n, b"%c%d" % (b"abc"[n % 3], n)) for n in range(5_000)]


def played(
    faults: Faults, seed: int = 1, take: int | None = None
) -> tuple[list[bytes], list[Deed], list[float]]:
    """What was sent, told and waited; only the first `take` messages are asked for."""
    deeds: list[Deed] = []
    waits: list[float] = []
    sent: list[bytes] = []
    messages: Iterator[tuple[int, bytes]] = commit(
        faults, seed, iter(SOURCE), lambda payload: chr(payload[0]), deeds.append, waits.append
    )
    for _, payload in messages:
        sent.append(payload)
        if len(sent) == take:
            break
    return sent, deeds, waits


def test_drops_and_copies_are_exactly_those_that_were_told() -> None:
    sent, deeds, _ = played(Faults(drop=0.05, dup=0.05))
    expected: list[bytes] = []
    done = {deed.index: deed.fault for deed in deeds}
    for index, (_, payload) in enumerate(SOURCE):
        expected += [payload] * {"drop": 0, "dup": 2}.get(done.get(index, ""), 1)
    assert sent == expected
    assert {"drop", "dup"} == set(done.values())
    assert 100 < len(done) < 900
    assert all(deed.payload == SOURCE[deed.index][1] and deed.recv_ns == deed.index for deed in deeds)


def test_a_reordered_message_comes_behind_one_to_three_later_ones_of_its_own_stream() -> None:
    sent, deeds, _ = played(Faults(reorder=0.02))
    assert sorted(sent) == sorted(payload for _, payload in SOURCE)
    assert len(deeds) > 20
    place = {payload: at for at, payload in enumerate(sent)}
    moved = {deed.index for deed in deeds}
    for deed in deeds:
        if deed.behind is None:  # held until the source ended, and no other of its stream came
            assert deed.index > len(SOURCE) - 4
            continue
        later = [
            n for n in range(deed.index + 3, len(SOURCE), 3)
            if n not in moved and place[SOURCE[n][1]] < place[deed.payload]
        ]  # fmt: skip
        assert 1 <= len(later) <= FARTHEST
        assert later[-1] == deed.behind
    for stream in range(3):
        stayed = [n for n in range(stream, len(SOURCE), 3) if n not in moved]
        assert [place[SOURCE[n][1]] for n in stayed] == sorted(place[SOURCE[n][1]] for n in stayed)


def test_a_message_held_back_at_the_end_still_goes() -> None:
    for seed in range(20):
        sent, deeds, _ = played(Faults(reorder=1.0), seed)
        assert sorted(sent) == sorted(payload for _, payload in SOURCE)
        assert deeds


def test_a_stall_waits_as_long_as_it_was_told_and_loses_nothing() -> None:
    sent, deeds, waits = played(Faults(stall=0.001))
    assert sent == [payload for _, payload in SOURCE]
    assert waits == [0.5] * len(deeds)
    assert deeds
    assert {(deed.fault, deed.seconds) for deed in deeds} == {("stall", 0.5)}


def test_a_stall_at_a_time_happens_once_before_the_first_message_from_then_on() -> None:
    sent, deeds, waits = played(Faults(stall_for=2.0, stall_at=1e-6))
    assert sent == [payload for _, payload in SOURCE]
    assert waits == [2.0]
    assert [(deed.index, deed.seconds) for deed in deeds] == [(1000, 2.0)]


def test_the_seed_alone_decides() -> None:
    faults = Faults(drop=0.01, dup=0.01, reorder=0.01, stall=0.001)
    assert played(faults, 7) == played(faults, 7)
    assert played(faults, 7) != played(faults, 8)


def test_whoever_stops_anywhere_has_done_exactly_what_was_told() -> None:
    faults = Faults(drop=0.2, dup=0.2, reorder=0.1)
    for take in range(1, 400):
        sent, deeds, _ = played(faults, 3, take)
        count = {fault: sum(deed.fault == fault for deed in deeds) for fault in ("drop", "dup", "reorder")}
        assert len(sent) - len(set(sent)) == count["dup"]
        assert not {deed.payload for deed in deeds if deed.fault == "drop"} & set(sent)
        assert {deed.payload for deed in deeds if deed.fault == "reorder"} <= set(sent)


def test_a_fault_is_written_as_a_probability_or_a_stall_at_a_time() -> None:
    assert parse_faults("") == Faults()
    assert not parse_faults("")
    assert parse_faults("drop=0.001, dup=1e-3,reorder=0") == Faults(drop=0.001, dup=0.001)
    assert parse_faults("stall=0.25") == Faults(stall=0.25)
    assert (
        parse_faults("stall=2s@500ms") == parse_faults("stall=2@0.5") == Faults(stall_for=2.0, stall_at=0.5)
    )


@pytest.mark.parametrize(
    "text",
    ["drop", "drop=", "drop=x", "drop=1.1", "drop=-0.1", "drop=nan", "drop=0.1,drop=0.2", "lose=0.1", "0.1",
     "drop=0.6,dup=0.6", "stall=2s@", "stall=@2s", "stall=2s@x", "stall=0.1,stall=1s@2s",
     "stall=1s@2s,stall=0.1"],
)  # fmt: skip
def test_what_is_no_fault_is_bad_input(text: str) -> None:
    with pytest.raises(BadInput):
        parse_faults(text)

"""Tape lines to records: a line that is none has a name of its own, whichever publisher meets it."""

from __future__ import annotations

import msgspec
import pytest

from tapedeck import vendors
from tapedeck.log.quarantine import Entry
from tapedeck.tape.lines import Lines
from tapedeck.tape.position import Lane
from tapedeck.tape.segment import Place, Segment, own_line

VENDOR = "binance_usdm"
LIFE = 1_700_000_000 * 10**9
SEGMENT = Segment(LIFE, 0)
TAPE = (
    own_line("tape", LIFE, vendor=VENDOR, src=1, life=LIFE, n=0)
    + b"rubbish\n"
    + b"rubbish\n"
    + b"%d payload\n" % (LIFE + 70)
    + b"!heartbeat {\n"
    + b"-5 x\n"
    + b"\n"
    + own_line("heartbeat", LIFE + 900)
    + b"rubbish\n"
)
PLACES = [sum(len(line) + 1 for line in TAPE.split(b"\n")[:n]) for n in range(TAPE.count(b"\n"))]


def read(start: int, stamp: int) -> tuple[list[Entry], list[int]]:
    """What a publisher puts into quarantine that begins at an offset, and the stamp behind each line."""
    sent: list[Entry] = []
    served = [Lane(SEGMENT.name, start, 0)] * 2
    lines = Lines(vendors.get(VENDOR), 1, served, (10**6, 10**6), stamp)
    lines.begin(LIFE, LIFE)
    lines.serve_from(Place(SEGMENT, start))
    offset, stamps = start, []
    for line in TAPE[start:].split(b"\n")[:-1]:
        head, _, payload = line.partition(b" ")
        if head.isdigit():
            lines.message(int(head), payload)
        elif line[:1] == b"!":
            lines.own(line, offset)
        else:
            lines.damaged(line, offset)
        offset += len(line) + 1
        stamps.append(lines.stamp)
    out = lines.taken()
    for lane, value in zip(out.lanes, out.values, strict=True):
        if lane == 1:
            sent.append(msgspec.msgpack.decode(value, type=Entry))
    return sent, stamps


def test_each_damaged_line_has_a_name_of_its_own_beside_the_line_before_it() -> None:
    entries, _ = read(0, 0)
    damaged = [entry for entry in entries if entry.k < 0]
    assert [entry.payload for entry in damaged] == [
        b"rubbish", b"rubbish", b"!heartbeat {", b"-5 x", b"", b"rubbish",
    ]  # fmt: skip
    assert [entry.recv_ns - LIFE for entry in damaged] == [0, 0, 70, 70, 70, 900]
    assert len({entry.name for entry in entries}) == len(entries) == 7
    assert all(entry.ts_recv == entry.recv_ns and -len(TAPE) <= entry.k for entry in damaged)


@pytest.mark.parametrize("line", range(1, len(PLACES)))
def test_a_publisher_that_resumes_at_any_line_gives_every_line_the_same_name_again(line: int) -> None:
    whole, stamps = read(0, 0)
    again, _ = read(PLACES[line], stamps[line - 1])
    assert again == whole[len(whole) - len(again) :]
    assert {entry.payload for entry in again} >= {b"rubbish"}

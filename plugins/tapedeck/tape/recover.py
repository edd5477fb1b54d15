"""What a new taper finds on the tape: the last stamp issued, and torn ends of a life that was killed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from tapedeck.errors import Unavailable
from tapedeck.tape.segment import Segment, opened, segments, stamp_of

_BLOCK = 2**16


class Recovered(NamedTuple):
    """`above`: no earlier stamp, nor any k of its payload, is above this (0: an empty tape). `cut`:
    bytes of torn lines that were taken off. `plain`: closed segments that are not compressed yet."""

    above: int
    cut: int
    plain: list[Segment]


def recover(folder: Path) -> Recovered:
    """Make the tape's older lives whole. Only for who holds the taper's lock.

    A torn last line was never whole on the tape, so nobody can have published it. Leftovers of a
    compression that was killed are removed.
    """
    try:
        return _recover(folder)
    except OSError as e:
        raise Unavailable(
            f"the tape {folder} can't be made whole ({e.strerror}: {e.filename}): make it writable, then "
            "start the collector again"
        ) from e


def _recover(folder: Path) -> Recovered:
    for leftover in folder.glob("*.part"):
        leftover.unlink()
    found = segments(folder)
    cut, plain = 0, []
    for segment in found:
        path = segment.plain(folder)
        if not path.exists():
            continue
        if segment.packed(folder).exists():
            path.unlink()  # the compressed one was renamed after it was synced: it is whole
            continue
        cut += _cut_torn(path)
        plain.append(segment)
    for segment in reversed(found):
        last = last_line(folder, segment)
        if last is not None and (stamp := stamp_of(last)) is not None:
            return Recovered(stamp + len(last), cut, plain)
    return Recovered(0, cut, plain)


def last_line(folder: Path, segment: Segment) -> bytes | None:
    """The last whole line of a segment with a readable stamp, without its line feed; None for none."""
    last, rest = None, b""
    with opened(folder, segment) as file:
        while block := file.read(2**20):
            whole, feed, rest = (rest + block).rpartition(b"\n")
            if not feed:
                continue
            found = (line for line in reversed(whole.split(b"\n")) if stamp_of(line) is not None)
            last = next(found, last)
    return last


def _cut_torn(path: Path) -> int:
    """Cut the file behind its last line feed; gives how many bytes that took."""
    with path.open("rb+") as file:
        end = size = file.seek(0, os.SEEK_END)
        while end > 0:
            begin = max(0, end - _BLOCK)
            file.seek(begin)
            found = file.read(end - begin).rfind(b"\n")
            if found >= 0:
                end = begin + found + 1
                break
            end = begin
        if end < size:
            file.truncate(end)
            os.fsync(file.fileno())
        return size - end

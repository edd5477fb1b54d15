"""How long the tape is kept: by age and by bytes, and never less than Kafka has acknowledged."""

from __future__ import annotations

import os
import time
from pathlib import Path

from tapedeck.settings import Tape
from tapedeck.slices import NS, parse_duration
from tapedeck.tape import position
from tapedeck.tape.segment import Segment, segments


def prune(folder: Path, kept: Tape, now: float | None = None) -> list[Segment]:
    """Remove the oldest segments that are past their age or bytes; gives those.

    Only what the position on the disk says that every lane is past, and never the tape's last segment, whose
    last stamp the next taper must begin above. A segment's age is that of its file: since when it was not
    written any more. The taper may compress segments meanwhile. What can't be removed is tried again the
    next time.
    """
    found = segments(folder)
    standing = position.load(folder)
    if standing is None:
        return []
    through = min(lane.place for lane in standing.lanes).segment
    sizes, ages = {}, {}
    now = time.time() if now is None else now
    for segment in found:
        stats = [one for path in _files(folder, segment) if (one := _stat(path))]
        sizes[segment] = sum(one.st_size for one in stats)
        ages[segment] = now - max((one.st_mtime for one in stats), default=now)
    oldest = parse_duration(kept.keep_age) / NS
    total, gone = sum(sizes.values()), []
    for segment in found[:-1]:
        too_many = kept.keep_bytes and total > kept.keep_bytes
        if segment >= through or not (too_many or ages[segment] > oldest):
            break  # a hole in the tape would be taken for a loss
        for path in _files(folder, segment):
            path.unlink(missing_ok=True)
        total -= sizes[segment]
        gone.append(segment)
    return gone


def _files(folder: Path, segment: Segment) -> tuple[Path, Path]:
    return segment.plain(folder), segment.packed(folder)


def _stat(path: Path) -> os.stat_result | None:
    """None for a file that is not there, or not any more: compressing puts one in the place of another."""
    try:
        return path.stat()
    except FileNotFoundError:
        return None

"""What of a tape waits for Kafka, and what is left on its disk: as files lie there, without reading them."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import NamedTuple

from tapedeck.errors import Mismatch
from tapedeck.slices import NS
from tapedeck.tape import position
from tapedeck.tape.segment import Place, Segment, segments


class Waiting(NamedTuple):
    """`bytes` of segment files behind the position that Kafka has acknowledged: of a plain one what lies
    behind it, a compressed one as a whole while any of it waits. `lag`: seconds from the receipt time up to
    which all is acknowledged until now, None before the first. `free`: bytes left on the tape's disk."""

    bytes: int
    lag: float | None
    free: int


def waiting(folder: Path) -> Waiting:
    """How a collector's tape stands now. What is gone meanwhile counts nothing."""
    try:
        found = position.load(folder)
    except Mismatch:
        found = None
    place = min(lane.place for lane in found.lanes) if found else Place(Segment(0, 0), 0)
    size = sum(_behind(folder, segment, place) for segment in segments(folder) if segment >= place.segment)
    stamp = found.stamp if found else 0
    lag = round(max(0.0, (time.time_ns() - stamp) / NS), 3) if stamp else None
    return Waiting(size, lag, _free(folder))


def _behind(folder: Path, segment: Segment, place: Place) -> int:
    try:
        size = segment.plain(folder).stat().st_size
    except OSError:
        try:
            packed = segment.packed(folder).stat().st_size
        except OSError:
            return 0
        return packed
    return max(0, size - place.offset) if segment == place.segment else size


def _free(folder: Path) -> int:
    try:
        disk = os.statvfs(folder)
    except OSError:
        return 0
    return disk.f_bavail * disk.f_frsize

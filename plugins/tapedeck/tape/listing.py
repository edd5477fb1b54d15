"""What lies on the raw tapes of a vendor's collectors, for a person to look at."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from tapedeck.settings import Settings
from tapedeck.tape import position
from tapedeck.tape.segment import Place, Segment, opened, segments, stamp_of


class Listed(Struct, frozen=True):
    """One segment: its file, first and last receipt time (UTC ns, 0 = none), whole lines, uncompressed bytes.

    `published`: Kafka has acknowledged all of it in every partition; `reached`: in some a part of it.
    """

    file: str
    first: int
    last: int
    lines: int
    bytes: int
    reached: bool
    published: bool


class Tape(Struct, frozen=True):
    """One collector's tape. `acknowledged` is the receipt time up to which Kafka has everything, 0 = none."""

    src: int
    folder: str
    segments: list[Listed]
    acknowledged: int


def tapes(settings: Settings, vendor: str) -> list[Tape]:
    """The tapes of a vendor's collectors on this machine, by source. Reads every segment whole."""
    home = settings.tape_dir(vendor, 1).parent
    numbers = (
        sorted(int(path.name) for path in home.glob("*") if path.name.isdigit()) if home.is_dir() else []
    )
    return [_tape(settings.tape_dir(vendor, src), src) for src in numbers]


def _tape(folder: Path, src: int) -> Tape:
    found = position.load(folder)
    places = [lane.place for lane in found.lanes] if found else [Place(Segment(0, 0), 0)]
    listed = [_segment(folder, s, places) for s in segments(folder)]
    return Tape(src, str(folder), listed, found.stamp if found else 0)


def _segment(folder: Path, segment: Segment, places: list[Place]) -> Listed:
    lines = size = first = last = 0
    rest = b""
    with opened(folder, segment) as file:
        while block := file.read(2**20):
            whole, feed, rest = (rest + block).rpartition(b"\n")
            if not feed:
                continue
            lines += whole.count(b"\n") + 1
            size += len(whole) + 1
            first = first or stamp_of(whole.partition(b"\n")[0]) or 0
            last = stamp_of(whole.rpartition(b"\n")[2]) or last
    name = segment.plain(folder).name
    return Listed(
        name if segment.plain(folder).exists() else segment.packed(folder).name,
        first, last, lines, size,
        reached=max(places) > Place(segment, 0),
        published=min(places) >= Place(segment, size),
    )  # fmt: skip

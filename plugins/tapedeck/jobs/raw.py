"""A collector's raw payloads of a slice, from its tape: what a bus sent, with the times that it came at."""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tapedeck.columns import Array
from tapedeck.errors import BadInput, Incomplete
from tapedeck.log.plan import Plan
from tapedeck.settings import Settings
from tapedeck.slices import Slice, format_time
from tapedeck.tape.follow import Follower
from tapedeck.tape.segment import Place, Segment, opened, segments, stamp_of


def folder_of(settings: Settings, vendor: str, path: str = "") -> Path:
    """The tape at a path, or the one that there is of the vendor on this machine. Raises BadInput."""
    if path:
        folder = Path(path).expanduser().absolute()
        if not segments(folder):
            raise BadInput(
                f"{folder} is no raw tape: give the folder that holds its segments (*.tape, *.zst)"
            )
        return folder
    home = settings.tape_dir(vendor, 1).parent
    found = sorted(one for one in home.glob("*") if one.name.isdigit() and segments(one))
    if len(found) != 1:
        there = ", ".join(map(str, found)) or "none"
        raise BadInput(f"{home} holds {len(found)} tapes of {vendor} ({there}): name one by --tape FOLDER")
    return found[0]


def plan_of(vendor: str, of: Slice, folder: Path) -> Plan:
    """The plan of a replay from a tape: no offsets, but a note where the tape may lack some of the slice.

    Raises BadInput where the tape holds nothing of it.
    """
    all_of_it = segments(folder)
    first, last = _begins(folder, all_of_it[0]), _ends(folder, all_of_it[-1])
    if of.end <= first or of.start > last:
        raise BadInput(
            f"the tape {folder} has nothing of {of}: it goes from {format_time(first)} to {format_time(last)}"
        )
    notes = []
    if of.start < first:
        notes.append(f"the tape {folder} begins at {format_time(first)}, after the slice")
    if of.end > last:
        notes.append(f"the tape {folder} ends at {format_time(last)}, before the slice")
    return Plan(
        vendor=vendor, slice=of, margin=0, partitions=1, ranges=(), claims=(), notes=tuple(notes)
    )  # fmt: skip


def payloads(folder: Path, of: Slice) -> Iterator[tuple[Array, list[bytes]]]:
    """Receipt times (int64, UTC ns) and payloads of a slice, in the tape's order, chunk after chunk.

    Raises Incomplete for a damaged line.
    """
    follower = Follower(folder, Place(_before(folder, of.start), 0))
    try:
        while chunk := follower.read():
            stamps: list[int] = []
            values: list[bytes] = []
            for line in chunk.data.split(b"\n")[:-1]:
                if line.startswith(b"!"):
                    continue
                stamp = stamp_of(line)
                if stamp is None:
                    raise Incomplete(f"the tape {chunk.start.segment.plain(folder)} has a damaged line")
                if stamp >= of.end:
                    break
                if stamp >= of.start:
                    stamps.append(stamp)
                    values.append(_payload(line, chunk.start.segment.plain(folder)))
            else:
                if stamps:
                    yield np.array(stamps, np.int64), values
                continue
            if stamps:
                yield np.array(stamps, np.int64), values
            return
    finally:
        follower.close()


def _payload(line: bytes, path: Path) -> bytes:
    payload = line.partition(b" ")[2]
    if not payload.startswith(b"b64:"):
        return payload
    try:
        return b64decode(payload[4:], validate=True)
    except Base64Error as e:
        raise Incomplete(f"the tape {path} has a line whose base64 is damaged") from e


def _before(folder: Path, start: int) -> Segment:
    """The last segment that begins at or before an instant, else the first."""
    all_of_it = segments(folder)
    low, high = 0, len(all_of_it)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _begins(folder, all_of_it[middle]) <= start else (low, middle)
    return all_of_it[low]


def _begins(folder: Path, segment: Segment) -> int:
    with opened(folder, segment) as file:
        return stamp_of(file.read(4096).partition(b"\n")[0]) or segment.life


def _ends(folder: Path, segment: Segment) -> int:
    last, rest = _begins(folder, segment), b""
    with opened(folder, segment) as file:
        while block := file.read(2**20):
            whole, _, rest = (rest + block).rpartition(b"\n")
            last = stamp_of(whole.rpartition(b"\n")[2]) or last
    return last

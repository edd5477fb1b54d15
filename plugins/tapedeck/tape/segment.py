"""The raw tape's files: segments, their names and their first lines (DESIGN §6).

A collector's tape is a folder of segments `<life>-<n>.tape`: 19 digits of the taper's first stamp in
that life, 6 digits counting up from 0, so that names sort as the tape runs. A segment belongs to one
life of one taper. The last one is plain, so that it can be followed; closed ones are `.tape.zst`.
Lines are those of captured files (`tapedeck.buses.captured`): `recv_ns payload`, and the taper's own
`!tape`, `!heartbeat`, `!connect` and `!disconnect`, each with a JSON object that has `recv_ns`. The
first line of each segment is `!tape {"recv_ns", "vendor", "src", "life", "n"}`.
A position on the tape is a `Place`: (segment, offset in its uncompressed bytes).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import msgspec
import zstandard

from tapedeck.errors import Mismatch

_NAME = re.compile(r"(\d{19})-(\d{6})\.tape(\.zst)?")


class Segment(NamedTuple):
    """One segment's identity. They order as the tape runs."""

    life: int
    n: int

    @property
    def name(self) -> str:
        """The plain file's name without its folder."""
        return f"{self.life:019d}-{self.n:06d}.tape"

    def plain(self, folder: Path) -> Path:
        """The file while it is written, and until it is compressed."""
        return folder / self.name

    def packed(self, folder: Path) -> Path:
        """The file once it is closed and compressed."""
        return folder / f"{self.name}.zst"

    @property
    def following(self) -> Segment:
        """The next segment of this life, where it goes on."""
        return Segment(self.life, self.n + 1)


class Place(NamedTuple):
    """A position on the tape: everything before it has been dealt with. Places order as the tape runs."""

    segment: Segment
    offset: int


def named(name: str) -> Segment | None:
    """The segment that a file of this name is, or None for any other file."""
    match = _NAME.fullmatch(name)
    return Segment(int(match[1]), int(match[2])) if match else None


def segments(folder: Path) -> list[Segment]:
    """All segments of a tape, as it runs; none where there is no such folder."""
    try:
        return sorted({found for path in folder.iterdir() if (found := named(path.name))})
    except FileNotFoundError:
        return []


@contextmanager
def opened(folder: Path, segment: Segment) -> Iterator[IO[bytes]]:
    """The segment's uncompressed bytes, plain or not, even if it is compressed at this moment."""
    file = open_segment(folder, segment)
    try:
        yield file
    finally:
        file.close()


def open_segment(folder: Path, segment: Segment) -> IO[bytes]:
    """As `opened`, for who closes it. Raises Mismatch where the segment is gone."""
    try:
        return segment.plain(folder).open("rb", buffering=0)
    except FileNotFoundError:
        pass
    try:
        packed = segment.packed(folder).open("rb")
    except FileNotFoundError as e:
        raise Mismatch(
            f"the tape's segment {segment.plain(folder)} is gone: put it back, or remove position.json "
            "beside it to publish again all that is left (what came before is told apart by its name)"
        ) from e
    reader: Any = zstandard.ZstdDecompressor().stream_reader(packed, read_across_frames=True, closefd=True)
    return reader  # type: ignore[no-any-return]


def own_line(word: str, recv_ns: int, **more: object) -> bytes:
    """A line of the taper's own, with its line feed."""
    return b"!%b %b\n" % (word.encode(), msgspec.json.encode({"recv_ns": recv_ns, **more}))


def own_of(line: bytes) -> tuple[str, dict[str, Any]]:
    """(word, object) of a line of the taper's own. Raises msgspec.DecodeError where it is damaged."""
    word, _, text = line[1:].partition(b" ")
    return word.decode("ascii", "replace"), msgspec.json.decode(text, type=dict[str, Any])


def heartbeat_of(line: bytes) -> tuple[int, bool] | None:
    """(receipt time, whether the bus was connected) of a heartbeat line that closes nothing; else None."""
    if not line.startswith(b"!heartbeat "):
        return None
    try:
        table = own_of(line)[1]
    except msgspec.DecodeError:
        return None
    recv_ns = table.get("recv_ns")
    if not isinstance(recv_ns, int) or table.get("closing"):
        return None
    return recv_ns, bool(table.get("connected", True))


def stamp_of(line: bytes) -> int | None:
    """The receipt time of any line of the tape, or None for a damaged one."""
    if line.startswith(b"!"):
        try:
            recv_ns = own_of(line)[1].get("recv_ns")
        except msgspec.DecodeError:
            return None
        return recv_ns if isinstance(recv_ns, int) else None
    head = line.partition(b" ")[0]
    return int(head) if head.isdigit() and len(head) <= 19 else None

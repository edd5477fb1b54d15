"""Following the tape from a place: whole lines, segment after segment, life after life."""

from __future__ import annotations

import time
from pathlib import Path
from typing import IO, NamedTuple

from tapedeck.tape.segment import Place, Segment, open_segment, segments

BLOCK = 2**18
LOOK_SECONDS = 0.2
"""How often, at the end of what is written, the folder is searched for another life's segments."""


class Chunk(NamedTuple):
    """Whole lines of one segment; `data` begins at `start` and ends with a line feed."""

    start: Place
    data: bytes

    @property
    def end(self) -> Place:
        """The place behind the last line."""
        return Place(self.start.segment, self.start.offset + len(self.data))


class Follower:
    """Reads the tape in order, from `place` on, while the taper writes it. For one thread."""

    def __init__(self, folder: Path, place: Place | None = None) -> None:
        self._folder = folder
        self._place = place or Place(Segment(0, 0), 0)
        self._file: IO[bytes] | None = None
        self._rest = b""
        self._looked = 0.0
        self.torn = 0
        """Bytes of torn lines at the ends of lives that were killed: never whole, so never read."""

    def read(self, size: int = BLOCK) -> Chunk | None:
        """The next whole lines, at most about `size` bytes unless one line is longer; None where the
        tape has no more at this moment.

        Raises Mismatch where a segment is gone that must be there.
        """
        if self._file is None and not self._open_first():
            return None
        while True:
            if chunk := self._lines(size):
                return chunk
            following = self._following()
            if following is None:
                return None
            if chunk := self._lines(size):  # written between the last read and the next segment's beginning
                return chunk
            self._open(Place(following, 0))

    def look_again(self) -> None:
        """Search for another life's segments at the next `read`, however lately that was done."""
        self._looked = 0.0

    def close(self) -> None:
        """Let go of the open segment."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _lines(self, size: int) -> Chunk | None:
        file = self._file
        assert file is not None  # noqa: S101 - opened by `read`
        while block := file.read(size):
            data = self._rest + block
            cut = data.rfind(b"\n") + 1
            if not cut:
                self._rest = data
                continue
            self._rest = data[cut:]
            chunk = Chunk(self._place, data[:cut])
            self._place = chunk.end
            return chunk
        return None

    def _following(self) -> Segment | None:
        """The segment after the present one, if there is one yet."""
        present = self._place.segment
        following = present.following
        if following.plain(self._folder).exists() or following.packed(self._folder).exists():
            return following
        now = time.monotonic()
        if now - self._looked < LOOK_SECONDS:
            return None
        self._looked = now
        later = next((s for s in segments(self._folder) if s > present), None)
        if later is None:
            return None
        return following if later.life == present.life else Segment(later.life, 0)

    def _open_first(self) -> bool:
        place = self._place
        if place.segment == (0, 0):
            found = segments(self._folder)
            if not found:
                return False
            place = Place(found[0], 0)
        self._open(place)
        return True

    def _open(self, place: Place) -> None:
        self.torn += len(self._rest)
        self.close()
        self._rest = b""
        self._file = open_segment(self._folder, place.segment)
        self._place = place
        self._looked = 0.0
        skipped = 0
        while skipped < place.offset and (block := self._file.read(min(place.offset - skipped, 2**20))):
            skipped += len(block)

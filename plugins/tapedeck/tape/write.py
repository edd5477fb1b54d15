"""Writing the tape: whole lines only, a new segment by age or size, a loud stop when the disk is full."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from tapedeck.clock import Stamps
from tapedeck.errors import Unavailable
from tapedeck.tape.segment import Segment, own_line
from tapedeck.tape.sync import Sync


class TapeWriter:
    """Appends lines to the tape of one life of one taper.

    The life is the first stamp it takes. `closed` is called with each segment that is full, synced and
    will not be written again.
    """

    def __init__(
        self,
        folder: Path,
        vendor: str,
        src: int,
        stamps: Stamps,
        *,
        segment_bytes: int,
        segment_seconds: float,
        closed: Callable[[Segment], None],
        sync: Sync | None = None,
    ) -> None:
        self._folder = folder
        self._who = {"vendor": vendor, "src": src}
        self._stamps = stamps
        self._most_bytes, self._most_seconds = segment_bytes, segment_seconds
        self._closed, self._sync = closed, sync
        self.written = 0
        """Bytes of this life, uncompressed."""
        self.life = stamps.take()
        self._segment = Segment(self.life, 0)
        self._open(self.life)

    def write(self, data: bytes | memoryview) -> None:
        """Append whole lines. Raises Unavailable where they can't all be written, or where what was written
        before did not reach the disk; the lines that could be stay on the tape, and half a line is cut off
        again."""
        if self._sync is not None and self._sync.failed is not None:
            raise self._full(self._sync.failed)
        written = 0
        try:
            while written < len(data):
                written += os.write(self._fd, data[written:] if written else data)
        except OSError as e:
            self._cut(self._size + bytes(data[:written]).rfind(b"\n") + 1)
            raise self._full(e) from e
        self._size += written
        self.written += written
        if self._size >= self._most_bytes:
            self.rotate()

    def rotate_if_old(self) -> None:
        """Begin a new segment where the present one has reached its age."""
        if time.monotonic() - self._began >= self._most_seconds:
            self.rotate()

    def rotate(self) -> None:
        """Close the present segment and begin the next one of this life."""
        self.close()
        self._segment = self._segment.following
        self._open(self._stamps.take())

    def close(self) -> None:
        """Sync and close the present segment."""
        if self._sync is not None:
            self._sync.watch(None)
        try:
            os.fsync(self._fd)
        except OSError as e:
            raise self._full(e) from e
        finally:
            os.close(self._fd)
        self._closed(self._segment)

    def _open(self, recv_ns: int) -> None:
        path = self._segment.plain(self._folder)
        try:
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        except OSError as e:
            raise self._full(e) from e
        if self._sync is not None:
            self._sync.watch(self._fd)
        self._size = 0
        self._began = time.monotonic()
        own = own_line("tape", recv_ns, **self._who, life=self.life, n=self._segment.n)
        self.write(own)

    def _cut(self, size: int) -> None:
        """Best effort: what can't be cut off now is cut off by the next taper's recovery."""
        try:
            os.ftruncate(self._fd, size)
        except OSError:
            return

    def _full(self, error: OSError) -> Unavailable:
        return Unavailable(
            f"the tape {self._segment.plain(self._folder)} can't be written ({error.strerror}): nothing is "
            "recorded from here on; make room on that disk, then start the collector again"
        )

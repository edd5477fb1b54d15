"""Compressing closed segments beside the work, so that a crash at any point leaves one whole file."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable
from pathlib import Path

import zstandard

from tapedeck.tape.segment import Segment

LEVEL = 3


class Compressor:
    """A thread that compresses the segments it is given, in that order.

    Where one can't be compressed (a full disk, say) it is told to `warn`, stays plain and stays valid;
    the next taper tries again.
    """

    def __init__(self, folder: Path, warn: Callable[[str], None]) -> None:
        self._folder, self._warn = folder, warn
        self._queue: queue.SimpleQueue[Segment | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="compressor", daemon=True)
        self._thread.start()

    def add(self, segment: Segment) -> None:
        """Compress this closed segment when its turn comes."""
        self._queue.put(segment)

    def finish(self, seconds: float) -> None:
        """Give what was added so long to be done; what is not then is left to the next taper."""
        self._queue.put(None)
        self._thread.join(seconds)

    def _run(self) -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)  # on Linux: this thread alone
        while (segment := self._queue.get()) is not None:
            try:
                compress(self._folder, segment)
            except OSError as e:
                self._warn(
                    f"the tape's {segment.name} could not be compressed ({e.strerror}): it stays plain"
                )


def compress(folder: Path, segment: Segment) -> None:
    """Replace a plain closed segment by its compressed self: written aside, synced, renamed; only then
    is the plain one removed."""
    plain, packed = segment.plain(folder), segment.packed(folder)
    part = packed.with_name(f"{packed.name}.part")
    try:
        with plain.open("rb") as source, part.open("wb") as target:
            zstandard.ZstdCompressor(level=LEVEL, write_checksum=True).copy_stream(source, target)
            target.flush()
            os.fsync(target.fileno())
        part.rename(packed)
        _sync(folder)
        plain.unlink()
    except OSError:
        part.unlink(missing_ok=True)
        raise


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)

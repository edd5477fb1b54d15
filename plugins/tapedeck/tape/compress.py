"""Compressing closed segments beside the work, so that a crash at any point leaves one whole file."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO

import zstandard

from tapedeck.tape.segment import Segment
from tapedeck.tape.sync import sync_folder

LEVEL = 3
BLOCK = 2**20
"""Bytes between two looks whether it is given up: some milliseconds."""


class Compressor:
    """A thread that compresses the segments it is given during the block, in that order.

    Where one can't be compressed (a full disk, say) it is told to `warn`, stays plain and stays valid;
    the next taper tries again. At the end of the block what was added has `patience` seconds to be done;
    what is not then is given up and left to the next taper. Behind the block nothing is compressed any more,
    however it was left: two that compress one segment would write one file and rename each other's half.
    """

    def __init__(self, folder: Path, warn: Callable[[str], None], patience: float) -> None:
        self._folder, self._warn, self._patience = folder, warn, patience
        self._queue: queue.SimpleQueue[Segment | None] = queue.SimpleQueue()
        self._given_up = threading.Event()
        self._thread = threading.Thread(target=self._run, name="compressor", daemon=True)

    def __enter__(self) -> Compressor:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._queue.put(None)
        try:
            self._thread.join(self._patience)
        finally:
            self._given_up.set()
            self._thread.join()

    def add(self, segment: Segment) -> None:
        """Compress this closed segment when its turn comes."""
        self._queue.put(segment)

    def _run(self) -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)  # on Linux: this thread alone
        while (segment := self._queue.get()) is not None:
            try:
                compress(self._folder, segment, self._given_up.is_set)
            except OSError as e:
                self._warn(
                    f"the tape's {segment.name} could not be compressed ({e.strerror}): it stays plain"
                )


def compress(folder: Path, segment: Segment, given_up: Callable[[], bool] = lambda: False) -> None:
    """Replace a plain closed segment by its compressed self, as old as that: written aside, synced, renamed;
    only then is the plain one removed.

    Nothing is changed where it is `given_up` meanwhile, or where retention removes the segment. One that it
    removes in the moment of the rename comes back, and goes again the next time, since it is as old.
    """
    plain, packed = segment.plain(folder), segment.packed(folder)
    part = packed.with_name(f"{packed.name}.part")
    try:
        with plain.open("rb") as source, part.open("wb") as target:
            whole = _packed(source, target, given_up)
            target.flush()
            was = os.fstat(source.fileno())
            os.utime(target.fileno(), ns=(was.st_atime_ns, was.st_mtime_ns))
            os.fsync(target.fileno())
        if not whole or not plain.exists():
            part.unlink()
            return
        part.rename(packed)
        sync_folder(folder)
        plain.unlink(missing_ok=True)
    except OSError as e:
        part.unlink(missing_ok=True)
        if isinstance(e, FileNotFoundError) and not plain.exists():
            return  # removed before its turn came
        raise


def _packed(source: IO[bytes], target: IO[bytes], given_up: Callable[[], bool]) -> bool:
    """Compress all of `source` into `target`; gives False where that was given up before its end."""
    how = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True)
    with how.stream_writer(target, closefd=False) as stream:
        while block := source.read(BLOCK):
            if given_up():
                return False
            stream.write(block)
    return True

"""Syncing the open segment beside the work, so that a power loss costs a second and not a segment."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from types import TracebackType


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk: else a file's may be gone, though its content is there."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


class Sync:
    """A thread that brings what was written to the watched file to the disk, `seconds` after it last did.

    What a power loss costs is what was written in that time and in the sync that was under way; without
    (`seconds` 0) it is what the system had not yet written back, some 30 s. The writer does not wait for it.
    Once one has failed the pages that were lost count as clean, so trying again proves nothing: `failed`
    stands, and whoever writes must stop.
    """

    def __init__(self, folder: Path, seconds: float) -> None:
        self._folder, self._seconds = folder, seconds
        self.failed: OSError | None = None
        """What the disk refused."""
        self.times = 0
        """How often all that was written by then was brought to the disk."""
        self._lock = threading.Lock()
        self._fd: int | None = None
        self._is_new = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sync", daemon=True)

    def __enter__(self) -> Sync:
        if self._seconds:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def watch(self, fd: int | None) -> None:
        """From now on this file, which was just made; None: none, so that it may be closed."""
        with self._lock:
            self._fd, self._is_new = fd, True

    def _run(self) -> None:
        while not self._ended.wait(self._seconds) and self.failed is None:
            with self._lock:
                if self._fd is None:
                    continue
                own, is_new, self._is_new = os.dup(self._fd), self._is_new, False
            try:
                os.fdatasync(own)
                if is_new:
                    sync_folder(self._folder)
                self.times += 1
            except OSError as e:
                self.failed = e
            finally:
                os.close(own)

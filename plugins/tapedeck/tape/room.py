"""Room on the tape's disk: an alarm while it is low, a loud stop before there is none."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from tapedeck.errors import Unavailable

ALARM_SECONDS = 60.0


class Room:
    """Looks what is left on the disk of `folder`, in bytes. Below `low` it is told to `warn`, once a minute
    until there is more again; below `least` recording stops, while the publisher's position still has room.
    """

    def __init__(self, folder: Path, low: int, least: int, warn: Callable[[str], None]) -> None:
        self._folder, self._low, self._least, self._warn = folder, low, least, warn
        self._is_low, self._next = False, 0.0
        self._due = 0

    def look_if_due(self, written: int) -> None:
        """Call often, with the bytes written so far: a burst must not fill the disk between two looks."""
        if written >= self._due:
            self._due = written + self._least // 4 + 1
            self.look()

    def look(self) -> None:
        """Call about once a second. Raises Unavailable below `least`."""
        disk = os.statvfs(self._folder)
        free = disk.f_bavail * disk.f_frsize
        if free < self._least:
            raise Unavailable(
                f"the disk of the tape {self._folder} has {free:,} bytes left, less than tape.free_stop "
                f"({self._least:,}): nothing is recorded from here on; make room on that disk, then start "
                "the collector again"
            )
        if free >= self._low:
            if self._is_low:
                self._warn(f"the disk of the tape {self._folder} has room again ({free:,} bytes)")
            self._is_low, self._next = False, 0.0
        elif (now := time.monotonic()) >= self._next:
            self._is_low, self._next = True, now + ALARM_SECONDS
            self._warn(
                f"the disk of the tape {self._folder} has {free:,} bytes left, less than tape.free_alarm "
                f"({self._low:,}): make room; below {self._least:,} bytes recording stops"
            )

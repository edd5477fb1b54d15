"""One at a time: a tape has one supervisor, one taper, one publisher; a file is loaded by one process."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tapedeck.errors import BadInput, Unavailable


@contextmanager
def held(
    folder: Path, role: str, wait: float = 0.0, remedy: str = "or give this one another number with --src"
) -> Iterator[None]:
    """Hold the folder's lock of that role (`collector`, `taper`, `publisher`); the system lets go of it
    when the process ends, however it ends. Makes the folder.

    Raises BadInput, which ends with `remedy`, where another still has it after `wait` seconds, Unavailable
    where the folder can't be written.
    """
    fd = _open(folder, role)
    end = time.monotonic() + wait
    try:
        while not _take(fd):
            if time.monotonic() >= end:
                holder = os.pread(fd, 32, 0).decode("ascii", "replace").strip()
                raise BadInput(
                    f"another {role} (process {holder or 'unknown'}) is at work in {folder}: end it, {remedy}"
                )
            time.sleep(0.05)
        os.ftruncate(fd, 0)
        os.pwrite(fd, b"%d\n" % os.getpid(), 0)
        yield
    finally:
        os.close(fd)


def is_held(folder: Path, role: str) -> bool:
    """Whether a process on this machine has the tape's lock of that role. Makes nothing."""
    try:
        fd = os.open(folder / f"{role}.lock", os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        return not _take(fd)
    finally:
        os.close(fd)


def _open(folder: Path, role: str) -> int:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return os.open(folder / f"{role}.lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as e:
        raise Unavailable(
            f"the folder {folder} can't be written ({e.strerror}): make it writable, or set state_dir (for "
            "tapes also vendors.<vendor>.tape) to a folder that is"
        ) from e


def _take(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

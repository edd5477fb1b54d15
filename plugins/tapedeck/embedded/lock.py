"""One at a time: `up`, `down` and the supervisor's restarts never overlap in one state directory."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tapedeck.errors import Unavailable

_POLL = 0.1
_held: set[int] = set()
"""Descriptors by which this process holds locks; `launch.start` hands them on, see there."""


def descriptors() -> tuple[int, ...]:
    """The descriptors of the locks that this process holds."""
    return tuple(_held)


@contextmanager
def held(state: Path, say: Callable[[str], None], seconds: float) -> Iterator[None]:
    """Hold the state directory's lock, waiting up to so many seconds for whoever has it.

    Makes the directory where there is none. Raises Unavailable where it can't be written or the
    lock is not let go of in time.
    """
    fd = _open(state)
    try:
        end = time.monotonic() + seconds
        waited = False
        while not _take(fd):
            if not waited:
                say(f"another tapedeck up or down is at work in {state}: waiting for it to finish")
                waited = True
            if time.monotonic() > end:
                raise Unavailable(
                    f"another tapedeck up or down holds {state} for over {seconds:.0f} s: "
                    "end it, then run this again"
                )
            time.sleep(_POLL)
        with _noted(fd):
            yield
    finally:
        os.close(fd)


@contextmanager
def tried(state: Path) -> Iterator[bool]:
    """Hold the lock if nobody else does; gives whether it is held. Makes nothing."""
    try:
        fd = os.open(state / "servers" / "lock", os.O_RDWR)
    except FileNotFoundError:
        yield False
        return
    try:
        if _take(fd):
            with _noted(fd):
                yield True
        else:
            yield False
    finally:
        os.close(fd)


@contextmanager
def _noted(fd: int) -> Iterator[None]:
    _held.add(fd)
    try:
        yield
    finally:
        _held.discard(fd)


def _open(state: Path) -> int:
    try:
        (state / "servers").mkdir(parents=True, exist_ok=True)
        return os.open(state / "servers" / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as e:
        raise Unavailable(
            f"the state directory {state} can't be written ({e.strerror}): "
            "make it writable, or set TAPEDECK_STATE_DIR to a folder that is"
        ) from e


def _take(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

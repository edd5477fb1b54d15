"""Who asked for a job."""

from __future__ import annotations

import getpass
import socket
import time

from msgspec import Struct


class Origin(Struct, frozen=True, kw_only=True):
    """Who asked for a job, since when (UTC ns) it runs, and in which Airflow run, if in one."""

    who: str
    started: int
    run: str = ""


def person() -> str:
    """Who runs this process, as `user@host`."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


def asked_here() -> Origin:
    """Of a job that whoever runs this process asks for now."""
    return Origin(who=person(), started=time.time_ns())

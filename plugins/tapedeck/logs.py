"""What live processes say, on stderr: a line for a person, or one JSON object a line for machines.

Everything they say is a whole sentence, said through a `Say`; who says it, and when, is added here.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import structlog
from structlog.typing import EventDict, WrappedLogger

from tapedeck.settings import Settings
from tapedeck.slices import format_time

Say = Callable[[str], None]


def teller(settings: Settings | None, role: str, level: str = "info", **who: Any) -> Say:
    """Says sentences as `role`, in the form that `log.format` sets; `who` is more about it (vendor, src).

    Without settings, as where they can't be read, it says them for a person.
    """
    as_json = settings is not None and settings.log.format == "json"
    logger = structlog.wrap_logger(
        structlog.PrintLogger(sys.stderr),
        processors=[_at, structlog.processors.JSONRenderer(ensure_ascii=False) if as_json else _line],
        wrapper_class=structlog.BoundLogger,
        cache_logger_on_first_use=True,
        level=level,
        role=role,
        **who,
    )
    return lambda sentence: logger.msg(sentence)


def _at(_logger: WrappedLogger, _method: str, said: EventDict) -> EventDict:
    return {"at": format_time(time.time_ns() // 10**6 * 10**6), **said}


def _line(_logger: WrappedLogger, _method: str, said: EventDict) -> str:
    who = " ".join(str(said[key]) for key in said if key not in ("at", "level", "event"))
    return f"{said['at']} {who}: {said['event']}"

"""tapedeck: records the market's tape, keeps it, checks it, and plays it back.

`tapedeck.read`, `stream`, `libraries`, `symbols`, `coverage`, `timeline` and `condition` are the doors for
research; the others are the command's verbs of the same name. Importing this is quick: a door is loaded when
it is first named. Every door takes `settings`; without, it loads those that the command would.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tapedeck.checks.coverage import coverage
    from tapedeck.checks.doors import backfill, findings, gaps, reconcile
    from tapedeck.jobs.doors import receipts, replay, void
    from tapedeck.log.timeline import timeline
    from tapedeck.reports.doors import condition, report
    from tapedeck.reports.frames import read
    from tapedeck.store.library import names as libraries
    from tapedeck.store.library import symbols
    from tapedeck.store.stream import stream
    from tapedeck.tape.doors import load_files as load

__all__ = [
    "backfill", "condition", "coverage", "findings", "gaps", "libraries", "load", "read", "receipts",
    "reconcile", "replay", "report", "stream", "symbols", "timeline", "void",
]  # fmt: skip

_WHERE = {
    **dict.fromkeys(("backfill", "findings", "gaps", "reconcile"), "checks.doors"),
    **dict.fromkeys(("receipts", "replay", "void"), "jobs.doors"),
    **dict.fromkeys(("condition", "report"), "reports.doors"),
    "coverage": "checks.coverage",
    "libraries": "store.library",
    "load": "tape.doors",
    "read": "reports.frames",
    "stream": "store.stream",
    "symbols": "store.library",
    "timeline": "log.timeline",
}
_NAMED = {"libraries": "names", "load": "load_files"}
"""What is called otherwise where it is."""

if not TYPE_CHECKING:  # it would make any name right

    def __getattr__(name: str) -> Any:
        """A door, loaded once."""
        if name not in _WHERE:
            raise AttributeError(f"module 'tapedeck' has no attribute {name!r}")
        found = getattr(import_module(f"tapedeck.{_WHERE[name]}"), _NAMED.get(name, name))
        return globals().setdefault(name, found)

    def __dir__() -> list[str]:
        """The doors too, loaded or not."""
        return sorted({*globals(), *__all__})

"""A progress bar on a terminal, for what takes longer than two seconds; nothing in a pipe."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

AFTER_SECONDS = 2.0

Advance = Callable[[int], None]
"""Called with how much more is done."""


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f}/s" if speed else "")


@contextmanager
def bar(what: str, total: int, beside_output: bool = False) -> Iterator[Advance]:
    """Gives what to tell how much more is done, of `total`: shows done, rate and remaining time.

    `beside_output`: stdout is being written, so that there is no bar where it is a terminal too.
    """
    if not sys.stderr.isatty() or (beside_output and sys.stdout.isatty()):
        yield lambda more: None
        return
    columns = (
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:,} of {task.total:,}"),
        _Rate(), TimeRemainingColumn(),
    )  # fmt: skip
    progress = Progress(*columns, console=Console(stderr=True), transient=True)
    task = progress.add_task(what, total=total)
    begun, running = time.monotonic(), False

    def advance(more: int) -> None:
        nonlocal running
        progress.update(task, advance=more)
        done = progress.tasks[0].completed
        if done > total:
            progress.update(task, total=int(done))
        if not running and time.monotonic() - begun > AFTER_SECONDS:
            progress.start()
            running = True

    try:
        yield advance
    finally:
        if running:
            progress.stop()

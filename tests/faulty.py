"""`python -m tests.faulty VENDOR`: the live writer, killed by SIGKILL at a named point, or careless.

What is tested is the product as it is: this only puts a function of its own in the place of one of the
library's, which calls that one and dies before or after it.
"""

from __future__ import annotations

import functools
import importlib
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import click

POINTS: dict[str, tuple[str, str, str]] = {
    "partitions are begun with": ("tapedeck.store.writer", "begin", "after"),
    "records are taken in": ("tapedeck.store.writer:_Session", "_take", "after"),
    "a bad record is to be entered": ("tapedeck.store.undecodable", "enter", "before"),
    "a bad record is entered": ("tapedeck.store.undecodable", "enter", "after"),
    "windows are built": ("tapedeck.store.documents", "replace", "before"),
    "tallies are marked": ("tapedeck.store.documents", "_replace_batch", "before"),
    "generations are kept": ("tapedeck.store.generations", "keep", "after"),
    "documents are written": ("tapedeck.store.documents", "_replace_batch", "after"),
    "windows are acknowledged": ("tapedeck.store.documents", "replace", "after"),
    "positions are to be saved": ("tapedeck.store.positions", "save", "before"),
    "positions are saved": ("tapedeck.store.positions", "save", "after"),
    "late messages are to be mended": ("tapedeck.store.mending", "rebuild_partition", "before"),
    "late messages are read again": ("tapedeck.store.rebuild", "reread", "after"),
    "late messages are mended": ("tapedeck.store.mending", "rebuild_partition", "after"),
    "the ledger is to be entered": ("tapedeck.store.ledger:Ledger", "_enter", "before"),
    "the ledger is entered": ("tapedeck.store.ledger:Ledger", "_enter", "after"),
}
"""By name, a function and whether the writer dies before or after it. Calls that have nothing to do (an
empty batch, no bad record) do not count."""


def found(point: tuple[str, str, str]) -> tuple[Any, str, Callable[..., Any]]:
    """What holds a point's function, its name there, and the function itself."""
    where, name, _ = point
    module, _, owner = where.partition(":")
    holder: Any = importlib.import_module(module)
    target = getattr(holder, owner) if owner else holder
    return target, name, getattr(target, name)


def die_at(point: tuple[str, str, str], turn: int) -> None:
    """Die at the point's `turn`-th time, counted from 1."""
    target, name, real = found(point)
    side, left = point[2], [turn]

    @functools.wraps(real)
    def dying(*args: Any, **more: Any) -> Any:
        work = [arg for arg in args if hasattr(arg, "__len__") and not isinstance(arg, str)]
        if not work or len(work[0]):
            left[0] -= 1
        if left[0] <= 0 and side == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        done = real(*args, **more)
        if left[0] <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    setattr(target, name, dying)


def be_careless() -> None:
    """Count as written what one server has in memory: what nothing of tapedeck does."""
    from pymongo import WriteConcern

    from tapedeck.store import database

    database.DURABLE = WriteConcern(w=1, j=False)  # before anyone has taken the name


@click.command()
@click.argument("vendor")
@click.option("--die", type=click.Choice(list(POINTS)))
@click.option("--turn", default=1)
@click.option("--careless", is_flag=True)
def main(vendor: str, die: str | None, turn: int, careless: bool) -> None:
    if careless:
        be_careless()
    if die:
        die_at(POINTS[die], turn)
    from live import writer

    sys.argv = ["live.writer", vendor]
    writer.main()


if __name__ == "__main__":
    main()

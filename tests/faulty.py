"""Live writers that strike at a named point of their work, or are careless.

What is tested is the product as it is, started as anyone starts it. Only where the environment says so
(`within`) does each `live.writer` process, before all else, put functions of this module in the place of some
of the library's: they call those, and strike before or after.
"""

from __future__ import annotations

import functools
import importlib
import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from tests.servers import ROOT

Point = tuple[str, str, str]
POINTS: dict[str, Point] = {
    "partitions are begun with": ("tapedeck.store.writer", "begin", "after"),
    "records are taken in": ("tapedeck.store.writer:_Session", "_take", "after"),
    "a bad record is to be entered": ("tapedeck.store.undecodable", "enter", "before"),
    "a bad record is entered": ("tapedeck.store.undecodable", "enter", "after"),
    "windows are built": ("tapedeck.store.documents", "replace", "before"),
    "tallies are marked": ("tapedeck.store.documents", "_replace_batch", "before"),
    "generations are kept": ("tapedeck.store.generations", "keep", "after"),
    "documents are written": ("tapedeck.store.documents", "_replace_batch", "after"),
    "a halved window is to be replaced": ("tapedeck.store.documents", "_replace_parts", "before"),
    "its earlier parts are kept": ("tapedeck.store.generations", "keep_parts", "after"),
    "its parts are to be committed": ("pymongo.client_session:ClientSession", "commit_transaction", "before"),
    "its parts are committed": ("pymongo.client_session:ClientSession", "commit_transaction", "after"),
    "windows are acknowledged": ("tapedeck.store.documents", "replace", "after"),
    "positions are to be saved": ("tapedeck.store.positions", "save", "before"),
    "positions are saved": ("tapedeck.store.positions", "save", "after"),
    "late messages are to be mended": ("tapedeck.store.mending", "rebuild_partition", "before"),
    "late messages are read again": ("tapedeck.store.rebuild", "reread", "after"),
    "late messages are mended": ("tapedeck.store.mending", "rebuild_partition", "after"),
    "the ledger is to be entered": ("tapedeck.store.ledger:Ledger", "_enter", "before"),
    "the ledger is entered": ("tapedeck.store.ledger:Ledger", "_enter", "after"),
}
"""By name, a function and whether the blow comes before or after it. Calls that have nothing to do (an empty
batch, no bad record) do not count."""
HALVED = "BTCUSDT"
ROWS = 4
"""A window of that symbol with more rows is too large for one document, to a writer that takes orders."""

_ORDERS, _CARELESS = "TESTS_ORDERS", "TESTS_CARELESS"


def within(orders: Orders | None, careless: bool) -> dict[str, str]:
    """What joins the environment of writers that are to take orders, or to be careless."""
    said = {"PYTHONPATH": os.pathsep.join([str(ROOT / "tests" / "within"), str(ROOT)])}
    if orders is not None:
        said[_ORDERS] = str(orders.folder)
    if careless:
        said[_CARELESS] = "1"
    return said


def beset() -> None:
    """What becomes of a writer's process as it begins."""
    if _CARELESS in os.environ:
        be_careless()
    if folder := os.environ.get(_ORDERS):
        halve_early()
        taken = _Taken(Orders(Path(folder)))
        for name, point in POINTS.items():
            at(point, functools.partial(taken.reached, name))


class Order(msgspec.Struct, frozen=True):
    """Whoever comes first to the point for the `turn`-th time strikes: that process, or itself for none."""

    number: int
    point: str
    turn: int
    pid: int | None


class Orders:
    """One order at a time, for whichever of a vendor's writers can carry it out first."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._open = folder, folder / "open"
        self._given = 0

    def give(self, point: str, turn: int, pid: int | None = None) -> None:
        self.folder.mkdir(exist_ok=True)
        self._given += 1
        fresh = self.folder / "fresh"
        fresh.write_bytes(msgspec.json.encode(Order(self._given, point, turn, pid)))
        fresh.rename(self._open)

    @property
    def done(self) -> bool:
        """Whether the last one was carried out."""
        return not self._open.exists()

    def read(self) -> Order | None:
        try:
            return msgspec.json.decode(self._open.read_bytes(), type=Order)
        except FileNotFoundError:
            return None

    def take(self, order: Order) -> bool:
        """Whether it is the caller who carries it out."""
        try:
            self._open.rename(self.folder / f"done-{order.number}")
        except FileNotFoundError:
            return False
        return True


class _Taken:
    """How often this process came to the point of the order that is open."""

    def __init__(self, orders: Orders) -> None:
        self._orders, self._number, self._times = orders, 0, 0

    def reached(self, point: str) -> None:
        order = self._orders.read()
        if order is None or order.point != point:
            return
        self._times = self._times + 1 if order.number == self._number else 1
        self._number = order.number
        if self._times >= order.turn and self._orders.take(order):
            os.kill(order.pid or os.getpid(), signal.SIGKILL)


def found(point: Point) -> tuple[Any, str, Callable[..., Any]]:
    """What holds a point's function, its name there, and the function itself."""
    where, name, _ = point
    module, _, owner = where.partition(":")
    holder: Any = importlib.import_module(module)
    target = getattr(holder, owner) if owner else holder
    return target, name, getattr(target, name)


def at(point: Point, reached: Callable[[], None]) -> None:
    """Call `reached` whenever this process comes to the point."""
    target, name, real = found(point)
    side = point[2]

    @functools.wraps(real)
    def watched(*args: Any, **more: Any) -> Any:
        work = [arg for arg in args if hasattr(arg, "__len__") and not isinstance(arg, str)]
        counts = not work or len(work[0]) > 0
        if counts and side == "before":
            reached()
        done = real(*args, **more)
        if counts and side == "after":
            reached()
        return done

    setattr(target, name, watched)


def die_at(point: Point, turn: int) -> None:
    """Die at the point's `turn`-th time, counted from 1."""
    left = [turn]

    def reached() -> None:
        left[0] -= 1
        if left[0] <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    at(point, reached)


def halve_early() -> None:
    """Have windows of one symbol halved, which else takes hundreds of thousands of rows."""
    from tapedeck.store import documents

    real = documents._size

    def size(document: Mapping[str, Any]) -> int:
        too_large = document["sy"] == HALVED and document["c"] > ROWS
        return documents.LIMIT + 1 if too_large else real(document)  # type: ignore[arg-type]

    documents._size = size  # type: ignore[assignment]


def be_careless() -> None:
    """Count as written what one server has in memory: what nothing of tapedeck does."""
    from pymongo import WriteConcern

    from tapedeck.store import database

    database.DURABLE = WriteConcern(w=1, j=False)  # before anyone has taken the name

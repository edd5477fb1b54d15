"""A table of ticks, CSV or Parquet, as a file of history: columns in, only what is wanted published.

Where a file has only the vendor's time, `ts_recv = ts_event`, raised where it must be so that it strictly
increases over the whole file (DESIGN §3). It is always read from its first row, so a message's name never
depends on what was asked for.
"""

from __future__ import annotations

import gzip
import hashlib
import time
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
from msgspec import Struct

from tapedeck.columns import Array
from tapedeck.errors import BadInput
from tapedeck.jobs.history.source import WHOLE, Given, Want
from tapedeck.log import client, topics
from tapedeck.message import Message, Quote, Trade, check_symbol, encode
from tapedeck.settings import Settings
from tapedeck.slices import Slice, parse_duration
from tapedeck.tape import lock
from tapedeck.tape.capture import AHEAD, EARLIEST
from tapedeck.tape.history import History
from tapedeck.tape.sender import Sender

NUMBERS = {"trade": ("price", "size"), "quote": ("bid", "ask", "bid_size", "ask_size")}
TIMES = ("ts_event", "ts_recv")
FACTOR = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
MICROS = 10**14
"""Binance's files of 2025 on have microseconds, those before milliseconds: 10**14 ms is the year 5138."""
BLOCK = 8 * 2**20
AUTO = "auto"


class Layout(Struct, frozen=True, kw_only=True):
    """How a file's columns become messages.

    `columns`: a message's field to the file's column; `maker` is the column that says whether the buyer was
    the maker. `names`: the columns of a CSV file without a header. `chained`: seq - 1 precedes seq.
    """

    kind: str
    columns: dict[str, str]
    unit: str = AUTO
    names: tuple[str, ...] = ()
    chained: bool = False


class Rows(Struct, frozen=True):
    """Rows of a file: arrays by field. `ts` is ts_recv, strictly increasing over the whole file."""

    ts: Array
    fields: dict[str, Array]
    symbols: Array


class Table:
    """A file that was read whole. Made by `check`."""

    def __init__(self, path: Path, layout: Layout, symbol: str) -> None:
        """`symbol`: of all rows; empty where a column says it."""
        self.path, self.layout, self.symbol = path, layout, symbol
        self.name = path.name
        self.src, self.rows = _source_number(path), 0
        for rows in self.read():
            self.rows += len(rows.ts)

    def read(self) -> Iterator[Rows]:
        """The whole file, block after block. Raises BadInput for what is no tick, naming file and row."""
        floor, before = 0, 0
        for table in _tables(self.path, self.layout):
            rows, floor = self._rows(table, floor, before)
            before += len(rows.ts)
            yield rows

    def messages(self, of: Slice) -> Iterator[Message]:
        """See `File.messages`."""
        for rows in self.read():
            yield from self._messages(rows, np.arange(*np.searchsorted(rows.ts, (of.start, of.end))))

    def publish(self, settings: Settings, vendor: str, wants: Sequence[Want]) -> Given:
        """See `File.publish`."""
        margin = parse_duration(settings.vendor(vendor).margin)
        pinned = topics.ensure(settings, vendor)
        published = present = 0
        with lock.held(
            settings.state / "load", f"load of {vendor}-{self.src}", remedy="or wait until it is done"
        ), client.consumer(settings) as consumer:  # fmt: skip
            history = History(settings, consumer, pinned.backfill, vendor, self.src)
            names = history.names()
            outbox = Sender(settings, pinned, self.src, history)
            try:
                for rows in self.read():
                    chosen = np.flatnonzero(self._wanted(rows, wants, margin))
                    for message in self._messages(rows, chosen):
                        if names.has(message.ts_recv):
                            present += 1
                        else:
                            outbox.publish(message, encode(message), message.ts_recv)
                            published += 1
                    outbox.poll()
                outbox.cover(min(w.slice.start for w in wants), max(w.slice.end for w in wants) - 1)
                outbox.finish()
            finally:
                outbox.close()
        first, last = min(w.slice.start for w in wants), max(w.slice.end for w in wants)
        return Given(published, present, Slice(first, last).widen(margin))

    def _wanted(self, rows: Rows, wants: Sequence[Want], margin: int) -> Array:
        """Rows in a want's slice; of those known by sequence the missing ones, the clocks' margin allowed."""
        inside = np.zeros(len(rows.ts), np.bool_)
        seq = rows.fields.get("seq")
        for want in wants:
            of = want.slice.widen(margin) if seq is not None else want.slice
            first, last = np.searchsorted(rows.ts, (of.start, of.end)).tolist()
            meant = np.ones(last - first, np.bool_)
            if want.next and seq is not None:
                meant = (seq[first:last] >= want.first) & (seq[first:last] < want.next)
            if want.symbol != WHOLE and not self.symbol:
                meant &= rows.symbols[first:last] == want.symbol
            inside[first:last] |= meant
        return inside

    def _rows(self, table: Any, floor: int, before: int) -> tuple[Rows, int]:
        """`floor` is the last stamp given; `before`, rows that came before, for a sentence."""
        columns = self.layout.columns
        fields = {
            name: self._column(table, column, name, before)
            for name, column in columns.items()
            if name != "symbol"
        }
        stamps = fields["ts_recv" if "ts_recv" in columns else "ts_event"]
        latest = time.time_ns() + AHEAD
        self._refuse(~((stamps >= EARLIEST) & (stamps <= latest)), before, "its time is no time of a tick")
        for name in NUMBERS[self.layout.kind]:
            if name in fields:
                self._refuse(~np.isfinite(fields[name]), before, f"its {name} is no finite number")
        steps = np.arange(len(stamps))
        ts = np.maximum.accumulate(np.maximum(stamps, floor + 1) - steps) + steps
        symbols = np.zeros(0, object)
        if not self.symbol:
            symbols = np.array(table.column(columns["symbol"]).to_pylist(), object)
            for symbol in set(symbols.tolist()):
                check_symbol(str(symbol))
        return Rows(ts, fields, symbols), int(ts[-1]) if len(ts) else floor

    def _column(self, table: Any, column: str, field: str, before: int) -> Array:
        found = table.column(column)
        if found.null_count:
            nulls: Array = np.asarray(found.is_null())
            self._refuse(nulls, before, f"its {column} is empty")
        try:
            if field in TIMES:
                return _nanoseconds(found, self.layout.unit)
            if field in ("seq", "prev"):
                return np.asarray(found.cast(pa.int64()))
            if field == "maker":
                return np.array([-1 if _true(value) else 1 for value in found.to_pylist()], np.int64)
            if field == "side":
                return np.array([_side(value) for value in found.to_pylist()], np.int64)
            return np.asarray(found.cast(pa.float64()))
        except (pa.ArrowException, KeyError, ValueError) as e:
            why = str(e).splitlines()[0][:200]
            raise BadInput(
                f"{self.path} has a {column} in rows {before + 1} to {before + len(found)} that is no "
                f"{field} ({why}): fetch the file again, or correct the mapping of its columns"
            ) from e

    def _refuse(self, wrong: Array, before: int, why: str) -> None:
        if wrong.any():
            row = before + int(np.flatnonzero(wrong)[0]) + 1
            raise BadInput(
                f"{self.path} row {row}: {why}; nothing of it was published: fetch the file again, or "
                "correct the mapping and the unit of its columns"
            )

    def _messages(self, rows: Rows, chosen: Array) -> Iterator[Message]:
        found, nothing = rows.fields, [0] * len(chosen)
        ts = rows.ts[chosen].tolist()
        seq = found["seq"][chosen].tolist() if "seq" in found else nothing
        if "prev" in found:
            prev = found["prev"][chosen].tolist()
        else:
            prev = [max(s - 1, 0) for s in seq] if self.layout.chained else nothing
        event = found["ts_event"][chosen].tolist() if "ts_event" in found else nothing
        symbols = [self.symbol] * len(ts) if self.symbol else rows.symbols[chosen].tolist()
        numbers = [
            found[name][chosen].tolist() if name in found else [0.0] * len(ts)
            for name in NUMBERS[self.layout.kind]
        ]
        common = zip(symbols, event, ts, seq, prev, [self.src] * len(ts), *numbers, strict=True)
        if self.layout.kind == "quote":
            yield from (Quote(*row) for row in common)
            return
        side = found.get("maker", found.get("side"))
        sides = nothing if side is None else side[chosen].tolist()
        for row, one in zip(common, sides, strict=True):
            yield Trade(*row, one)  # type: ignore[call-arg]


def _true(value: object) -> bool:
    return {"true": True, "1": True, "false": False, "0": False}[str(value).strip().lower()]


def _side(value: object) -> int:
    said = {"buy": 1, "b": 1, "1": 1, "sell": -1, "s": -1, "-1": -1, "0": 0, "": 0}
    return said[str(value).strip().lower()]


def _nanoseconds(found: Any, unit: str) -> Array:
    if pa.types.is_timestamp(found.type):
        return np.asarray(found.cast(pa.timestamp("ns")).cast(pa.int64()))
    whole = np.asarray(found.cast(pa.int64()))
    if unit == AUTO:
        return np.where(whole >= MICROS, whole * 1000, whole * 1_000_000)
    return whole * FACTOR[unit]


def _tables(path: Path, layout: Layout) -> Iterator[Any]:
    """The file's wanted columns, block after block. Raises BadInput where they are not there."""
    columns = list(dict.fromkeys(layout.columns.values()))
    try:
        if path.suffix == ".parquet":
            with pq.ParquetFile(path) as file:
                _check_header(path, file.schema_arrow.names, columns)
                for batch in file.iter_batches(columns=columns):
                    yield pa.Table.from_batches([batch])
            return
        with _plain(path) as stream:
            read = pacsv.ReadOptions(block_size=BLOCK, column_names=layout.names or None)
            convert = pacsv.ConvertOptions(
                strings_can_be_null=False,
                column_types={
                    column: pa.float64()
                    for field, column in layout.columns.items()
                    if field in ("price", "size", "bid", "ask", "bid_size", "ask_size")
                },
            )
            with pacsv.open_csv(stream, read_options=read, convert_options=convert) as reader:
                _check_header(path, reader.schema.names, columns)
                for batch in reader:
                    yield pa.Table.from_batches([batch]).select(columns)
    except (pa.ArrowException, OSError, EOFError, zipfile.BadZipFile) as e:
        raise BadInput(
            f"{path} is no table of ticks or is damaged ({str(e).splitlines()[0][:200]}); nothing of it was "
            "published: fetch the file again"
        ) from e


def _check_header(path: Path, there: list[str], columns: list[str]) -> None:
    if missing := [column for column in columns if column not in there]:
        raise BadInput(
            f"{path} has no column {', '.join(missing)} (it has {', '.join(there)[:300]}): its header has "
            "changed; nothing of it was published: correct the mapping of its columns"
        )


@contextmanager
def _plain(path: Path) -> Iterator[IO[bytes]]:
    """The uncompressed bytes of a file, a .gz, or the one file in a .zip."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            inside = archive.namelist()
            if len(inside) != 1:
                raise BadInput(f"{path} holds {len(inside)} files where one was expected: fetch it again")
            with archive.open(inside[0]) as member:
                yield member
    elif path.suffix == ".gz":
        with gzip.open(path) as unpacked:
            yield unpacked  # type: ignore[misc]
    else:
        with path.open("rb") as file:
            yield file


def first_line(path: Path) -> str:
    """The first line of a CSV file, plain or packed. Raises BadInput."""
    try:
        with _plain(path) as file:
            return file.readline(4096).decode("utf-8", "replace").strip()
    except (OSError, EOFError, zipfile.BadZipFile) as e:
        raise BadInput(f"{path} is damaged ({e}): fetch the file again") from e


def _source_number(path: Path) -> int:
    digest = hashlib.sha256()
    try:
        with _plain(path) as file:
            while chunk := file.read(2**20):
                digest.update(chunk)
    except (OSError, EOFError, zipfile.BadZipFile) as e:
        raise BadInput(f"{path} breaks off or is damaged ({e}): fetch the file again") from e
    return 1000 + int.from_bytes(digest.digest()[:6], "big")

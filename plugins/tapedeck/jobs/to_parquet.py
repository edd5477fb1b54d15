"""Replaying into a folder of Parquet files: vendor=…/kind=…/day=…/symbol=…/<replay>.parquet.

The folder is a dataset as Hive lays it out; pandas, pyarrow, Polars and DuckDB read it whole or a part of
it. A file is written under another name, which readers pass over, and gets its own when it is whole. The
folder `_tapedeck`, which readers pass over too, says which replays the dataset holds and what each has
finished: one killed begins again where it was, and nothing is there twice.
"""

from __future__ import annotations

import hashlib
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from msgspec import Struct, structs

from tapedeck import digest
from tapedeck.columns import Columns, concat
from tapedeck.errors import BadInput, Mismatch, Unavailable
from tapedeck.jobs import lease
from tapedeck.jobs.arrow import SCHEMA, table_of
from tapedeck.jobs.checkpoint import Checkpoint
from tapedeck.jobs.clock import Clock
from tapedeck.jobs.kept import Share, kept
from tapedeck.jobs.order import Copied, Order, Preview
from tapedeck.jobs.pacing import Cap
from tapedeck.jobs.target import Say, label
from tapedeck.log.plan import Plan
from tapedeck.partitions import partition_of
from tapedeck.settings import Settings
from tapedeck.slices import NS, Slice

SCHEME = "parquet:"
BOOK = "_tapedeck"
ROWS = 65_536
"""Rows of a row group."""
HELD = 500_000
"""So many rows wait in memory at most."""
DAY = 86_400 * NS
FILE_SCHEMA = pa.schema([field for field in SCHEMA if field.name not in ("kind", "symbol")])
"""The rest is in the names of the folders."""


class Dataset(Struct, frozen=True):
    """One replay that a folder holds."""

    vendor: str
    slice: Slice
    symbols: tuple[str, ...]
    kinds: tuple[str, ...]

    @property
    def id(self) -> str:
        """The name of its files."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()[:12]

    def meets(self, other: Dataset) -> bool:
        """Whether a message could be in both."""
        return (
            self.vendor == other.vendor
            and self.slice.meets(other.slice.start, other.slice.end)
            and bool(set(self.kinds) & set(other.kinds))
            and (not self.symbols or not other.symbols or bool(set(self.symbols) & set(other.symbols)))
        )


class Done(Struct, frozen=True):
    """What was finished of one partition; `files` are its rows by name."""

    plan: str
    digest: str
    files: dict[str, int]

    @property
    def messages(self) -> int:
        """A message is a row."""
        return sum(self.files.values())


class ParquetTarget:
    """`parquet:DIR`."""

    idempotent = True
    refuses_late = True

    def __init__(self, settings: Settings, order: Order) -> None:
        self._settings = settings
        self._folder = Path(order.to.removeprefix(SCHEME)).expanduser().absolute()
        self.order = structs.replace(order, to=f"{SCHEME}{self._folder}")
        self._dataset = Dataset(order.vendor, order.slice, order.symbols, order.kinds)

    def reads(self) -> Slice:
        """See `Target.reads`."""
        return self.order.slice

    def parts(self) -> list[int]:
        """See `Target.parts`."""
        order = self.order
        if order.symbols:
            return sorted({partition_of(symbol, order.partitions) for symbol in order.symbols})
        return list(range(order.partitions))

    def preview(self, plan: Plan) -> Preview:
        """See `Target.preview`."""
        self._look()
        done = [found for part in self.parts() if (found := self._done(part)) and found.plan == plan.digest]
        total, files = sum(one.messages for one in done), sum(len(one.files) for one in done)
        return Preview(
            already=total, says=f"{self.order.to} holds {total:,} messages of it already, in {files:,} files"
        )

    def copy(
        self, plan: Plan, part: int, say: Say, clock: Clock | None = None,
        checkpoint: Checkpoint | None = None,
    ) -> Copied:  # fmt: skip
        """See `Target.copy`."""
        with lease.held(self._settings, f"{self.order.to} partition {part}") as held, _disk(self._folder):
            self._look()
            before = self._done(part)
            if before is not None and before.plan == plan.digest and self._stands(before):
                say(f"{label(part)}: {before.messages:,} messages are there already")
                return Copied(
                    partition=part, messages=before.messages, already=before.messages, before=before.digest,
                    after=before.digest, more={"files": len(before.files)},
                )  # fmt: skip
            self._begin()
            order, cap = self.order, Cap(self.order.rate)
            share = Share(part, order.partitions)
            counts, digests = np.zeros(4, np.int64), [0]
            with _Files(self._folder, self._dataset) as files:
                for stretch in kept(
                    self._settings, plan, share, frozenset(order.symbols), order.kinds,
                    lambda records: cap.took(len(records)),
                ):  # fmt: skip
                    held.check()
                    counts += (len(stretch), stretch.duplicates, stretch.voided, stretch.undecodable)
                    digests.append(stretch.digest)
                    for kind in order.kinds:
                        found = [columns for columns in stretch.columns if columns.kind == kind]
                        files.add(concat(kind, found).in_order() if found else None)
                held.check()
                written = files.finish()
            done = Done(plan.digest, digest.to_hex(digest.add(*digests)), written)
            messages, duplicates, voided, undecodable = counts.tolist()
            if not self._stands(done) or done.messages != messages:
                raise Mismatch(
                    f"the files in {self._folder} do not hold what was written to them: something else "
                    "writes there too; replay to another folder"
                )
            for name in set(before.files if before else ()) - set(written):
                (self._folder / name).unlink(missing_ok=True)
            _write(self._record(part), done)
            say(f"{label(part)}: {messages:,} messages written into {len(written):,} files")
            return Copied(
                partition=part, messages=messages, written=messages, duplicates=duplicates, voided=voided,
                undecodable=undecodable, before=before.digest if before else digest.to_hex(0),
                after=done.digest, more={"files": len(written)},
            )  # fmt: skip

    def _look(self) -> None:
        """Raises BadInput where the folder is not ours to write to. Changes nothing."""
        folder = self._folder
        if folder.exists() and not folder.is_dir():
            raise BadInput(f"{folder} is a file: replay to a folder that is empty or does not exist")
        if folder.exists() and not (folder / BOOK).is_dir() and any(folder.iterdir()):
            raise BadInput(
                f"the folder {folder} holds something that no replay wrote: replay to one that is empty or "
                "does not exist"
            )
        nearest = next(one for one in (folder, *folder.parents) if one.exists())
        if not os.access(nearest, os.W_OK):
            raise BadInput(f"{nearest} can't be written to: replay to another folder, or change its rights")
        for path in sorted((folder / BOOK).glob("*.dataset.json")):
            other = _read(path, Dataset)
            if other != self._dataset and other.meets(self._dataset):
                raise BadInput(
                    f"the folder {folder} already holds a replay of {other.vendor} {other.slice} that this "
                    "one overlaps, and messages would be there twice: replay to another folder"
                )

    def _begin(self) -> None:
        (self._folder / BOOK).mkdir(parents=True, exist_ok=True)
        _write(self._folder / BOOK / f"{self._dataset.id}.dataset.json", self._dataset)

    def _record(self, part: int) -> Path:
        return self._folder / BOOK / f"{self._dataset.id}.{part}-of-{self.order.partitions}.json"

    def _done(self, part: int) -> Done | None:
        path = self._record(part)
        return _read(path, Done) if path.exists() else None

    def _stands(self, done: Done) -> bool:
        try:
            return all(
                pq.read_metadata(self._folder / name).num_rows == rows for name, rows in done.files.items()
            )
        except (OSError, pa.ArrowException):
            return False


class _Files:
    """The files of one partition while they are written, one for each kind, day and symbol."""

    def __init__(self, folder: Path, dataset: Dataset) -> None:
        self._folder, self._dataset = folder, dataset
        self._writers: dict[str, Any] = {}
        self._waiting: dict[str, list[Any]] = {}
        self._rows: dict[str, int] = {}
        self._held = 0
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a file is open for each symbol and kind

    def __enter__(self) -> _Files:
        return self

    def __exit__(self, *_: object) -> None:
        for name, writer in self._writers.items():
            writer.close()
            self._hidden(name).unlink(missing_ok=True)

    def add(self, columns: Columns | None) -> None:
        """Messages of one kind, in order, none older than those before."""
        if columns is None or not len(columns):
            return
        days = columns["ts_recv"] // DAY
        order = np.lexsort((days, columns["symbol"]))
        columns, days = columns.take(order), days[order]
        codes = columns["symbol"]
        new = np.concatenate(([True], (codes[1:] != codes[:-1]) | (days[1:] != days[:-1])))
        starts = np.flatnonzero(new)
        table = table_of(columns, FILE_SCHEMA)
        for first, last in zip(starts.tolist(), [*starts[1:].tolist(), len(columns)], strict=True):
            name = self._name(columns.kind, columns.symbols[int(codes[first])], int(days[first]))
            self._waiting.setdefault(name, []).append(table.slice(first, last - first))
            self._rows[name] = self._rows.get(name, 0) + last - first
            self._held += last - first
        for name in list(self._waiting):
            if self._held > HELD or sum(map(len, self._waiting[name])) >= ROWS:
                self._flush(name)

    def finish(self) -> dict[str, int]:
        """Write what waits, and give each file its name; rows by name."""
        for name in list(self._waiting):
            self._flush(name)
        for name in list(self._writers):
            self._writers.pop(name).close()
            hidden = self._hidden(name)
            with hidden.open("rb") as file:
                os.fsync(file.fileno())
            hidden.replace(self._folder / name)
        return self._rows

    def _flush(self, name: str) -> None:
        table = pa.concat_tables(self._waiting.pop(name))
        self._held -= len(table)
        if name not in self._writers:
            hidden = self._hidden(name)
            hidden.parent.mkdir(parents=True, exist_ok=True)
            self._writers[name] = pq.ParquetWriter(hidden, FILE_SCHEMA, compression="zstd")
        self._writers[name].write_table(table, row_group_size=ROWS)

    def _name(self, kind: str, symbol: str, day: int) -> str:
        one, date = self._dataset, np.datetime64(day, "D")
        return (
            f"vendor={quote(one.vendor, safe='')}/kind={kind}/day={date}/symbol={quote(symbol, safe='')}/"
            f"{one.id}.parquet"
        )

    def _hidden(self, name: str) -> Path:
        path = self._folder / name
        return path.with_name(f".{path.name}.tmp")


def _write(path: Path, value: Struct) -> None:
    hidden = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with hidden.open("wb") as file:
        file.write(msgspec.json.encode(value))
        file.flush()
        os.fsync(file.fileno())
    hidden.replace(path)


def _read(path: Path, kind: Any) -> Any:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except msgspec.DecodeError as e:
        raise BadInput(f"{path} is none of a replay's records ({e}): replay to another folder") from e


@contextmanager
def _disk(folder: Path) -> Iterator[None]:
    """Turns what the disk fails with into Unavailable."""
    try:
        yield
    except OSError as e:
        raise Unavailable(f"writing to {folder} failed ({e}): mend that, then run this again") from e

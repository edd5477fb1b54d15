"""Messages as one Parquet file, written stretch by stretch, so that memory does not grow with the slice."""

from __future__ import annotations

from collections.abc import Iterable
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from tapedeck.columns import Columns
from tapedeck.jobs.arrow import SCHEMA, order_of, table_of

ROWS = 65_536
"""Rows of a row group."""


class _Counted:
    """A stream that knows how much was written: a pipe can't tell."""

    def __init__(self, out: IO[bytes]) -> None:
        self._out, self._at, self.closed = out, 0, False

    def write(self, data: bytes) -> int:
        self._out.write(data)
        self._at += len(data)
        return len(data)

    def tell(self) -> int:
        return self._at

    def flush(self) -> None:
        self._out.flush()

    def close(self) -> None:
        self.closed = True

    def readable(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False


def write_parquet(batches: Iterable[dict[str, Columns]], out: IO[bytes], everything: bool = False) -> int:
    """Write `Reading.batches()` and give how many messages that was."""
    schema = SCHEMA.append(pa.field("mark", pa.string())) if everything else SCHEMA
    count = 0
    file = pq.ParquetWriter(pa.PythonFile(_Counted(out), mode="w"), schema, compression="zstd")
    try:
        for batch in batches:
            if not batch:
                continue
            order = order_of(batch.values())
            table = pa.concat_tables([table_of(columns, schema) for columns in batch.values()])
            for first in range(0, len(order), ROWS):
                file.write_table(table.take(pa.array(order[first : first + ROWS])))
            count += len(order)
    finally:
        file.close()
    return count

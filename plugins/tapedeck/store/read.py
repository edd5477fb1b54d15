"""The research door: a library's messages as a pandas DataFrame, exact to the nanosecond."""

from __future__ import annotations

import difflib
import gc
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd

from tapedeck import endpoints
from tapedeck.columns import Array, Columns, concat, empty
from tapedeck.errors import BadInput
from tapedeck.message import WHOLE_FEED, check_symbol
from tapedeck.settings import Settings, load
from tapedeck.slices import Time, instant, slice_of
from tapedeck.store import library as libraries
from tapedeck.store import tail as tails
from tapedeck.store.encoder import FIELD_PREFIX, row_values, rows_per_message
from tapedeck.store.library import Library


def read(
    library: str,
    symbol: str | Sequence[str],
    start: Time,
    end: Time,
    columns: Sequence[str] | None = None,
    *,
    tail: bool = True,
    as_of: Time | None = None,
    arrow: bool = False,
    settings: Settings | None = None,
) -> Any:
    """The messages of one or more symbols with `start <= ts_recv < end`, in order.

    Parameters
    ----------
    library : `<vendor>.<kind>`, for example `binance_usdm.trade`.
    symbol : one symbol, or several: then a column `symbol` tells them apart.
    start, end : RFC 3339 text with a zone (or `5m` ago), an aware datetime, or int ns, UTC.
    columns : only these; `topic` (its number in md.meta) and `offset` only when asked for.
    tail : join what only the log holds yet; False reads Arctic alone, without Kafka.
    as_of : what Arctic held at that time, by MongoDB's clock, whatever was repaired since; the tail is left
        out, since a log does not say when it was appended to.
    arrow : give a pyarrow.Table, `ts_recv` its first column, the same types, null for NaT; the frame's
        `messages` and `notes` are JSON in the schema's metadata.

    Returns
    -------
    A frame indexed by `ts_recv` (datetime64[ns, UTC]). `ts_event` is NaT where it is unknown. A book has
    a row a level (side +1 bid, -1 ask; side 0 and NaN for a message without levels). `frame.attrs` has
    `messages`, their number, and `notes`, sentences on what keeps the slice from being whole.

    Raises BadInput for what does not exist, with the nearest name; Unavailable; Mismatch for a document
    that is damaged.
    """
    deck = endpoints.resolve(settings or load())
    one = libraries.named(deck, library)
    several = not isinstance(symbol, str)
    symbols = [check_symbol(s) for s in dict.fromkeys([symbol] if isinstance(symbol, str) else symbol)]
    of = slice_of(start, end)
    places = len(symbols) > 1 or not {"topic", "offset"}.isdisjoint(columns or ())
    with _undisturbed():
        if as_of is not None:
            answer = tails.as_of(deck, one, symbols, of, instant(as_of))
        else:
            answer = (tails.up_to_now if tail else tails.stored)(deck, one, symbols, of, places)
    for name, found in answer.columns.items():
        if not len(found):
            check_known(deck, one, name)
    whole = concat(one.kind, [answer.columns[name] for name in symbols])
    if several and len(symbols) > 1:
        whole = whole.in_order()
    frame = _frame(whole if len(whole) else empty(one.kind), several, columns)
    frame.attrs = {"messages": len(whole), "notes": list(answer.notes)}
    return _table(frame) if arrow else frame


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Without Python's search for cycles, which thousands of documents set off for nothing."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _table(frame: pd.DataFrame) -> Any:
    import pyarrow as pa  # heavy, and only needed here

    said = {name: json.dumps(value) for name, value in frame.attrs.items()}
    frame = frame.reset_index()
    frame.attrs = {}
    return pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(said)


def check_known(settings: Settings, one: Library, symbol: str) -> None:
    """Raises BadInput for a symbol that neither settings nor the library know."""
    if symbol == WHOLE_FEED or symbol in settings.vendor(one.vendor).symbols:
        return
    known = libraries.symbols_of(settings, one.name)
    if symbol in known:
        return
    near = difflib.get_close_matches(symbol, [*known, *settings.vendor(one.vendor).symbols], 1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    raise BadInput(f"{one.name} holds nothing of a symbol {symbol!r}{hint}: write it as the vendor does")


def _frame(whole: Columns, several: bool, wanted: Sequence[str] | None) -> pd.DataFrame:
    rows = rows_per_message(whole)

    def spread(column: Array) -> Array:
        return column if rows is None else np.repeat(column, rows)

    event = whole["ts_event"].astype("datetime64[ns]")
    event[whole["ts_event"] == 0] = np.datetime64("NaT")
    table: dict[str, Any] = {}
    if several:
        table["symbol"] = spread(np.array([*whole.symbols, ""], object)[whole["symbol"]])
    table["ts_event"] = pd.DatetimeIndex(spread(event)).tz_localize("UTC")
    table.update({name: spread(whole[name]) for name in ("seq", "prev", "src")})
    table.update(row_values(whole))
    if whole.kind == "status":
        table["text"] = whole["text"]
    if wanted is not None:
        more = {n: spread(whole[n]).astype(np.int64) for n in ("topic", "offset") if n in whole}
        table = {name: _column(name, table | more, len(spread(whole["seq"])), whole.kind) for name in wanted}
    stamps = pd.DatetimeIndex(spread(whole["ts_recv"]).astype("datetime64[ns]"), name="ts_recv")
    # A single document's columns lie in the bytes that MongoDB gave, which nobody may write to.
    table = {
        name: column.copy() if isinstance(column, np.ndarray) and not column.flags.writeable else column
        for name, column in table.items()
    }
    return pd.DataFrame(table, index=stamps.tz_localize("UTC"), copy=False)


def _column(name: str, table: dict[str, Any], rows: int, kind: str) -> Any:
    if name in table:
        return table[name]
    if kind == "fields" and name.startswith(FIELD_PREFIX):
        return np.full(rows, np.nan)
    near = difflib.get_close_matches(name, table, 1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    raise BadInput(f"a {kind} has no column {name!r}{hint}: its columns are {', '.join(table)}")

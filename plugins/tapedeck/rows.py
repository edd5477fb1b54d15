"""Columns back to single messages, where a person or a file wants them one by one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from tapedeck.columns import COMMON, OWN, Columns
from tapedeck.message import KIND_OF, Message

_TYPE_OF: dict[str, type[Struct]] = {kind: struct for struct, kind in KIND_OF.items()}


def messages_of(columns: Columns) -> Iterator[Message]:
    """The typed messages, in order."""
    make: Any = _TYPE_OF[columns.kind]
    symbols = [columns.symbols[code] for code in columns["symbol"].tolist()]
    common = [columns[name].tolist() for name in COMMON]
    if columns.kind == "book" and columns.levels is not None:
        levels = [tuple(level) for level in columns.levels.tolist()]
        at = 0
        counts = [columns[name].tolist() for name in OWN["book"]]
        for symbol, *rest in zip(symbols, *common, *counts, strict=True):
            *head, snapshot, bids, asks = rest
            middle, after = at + bids, at + bids + asks
            yield make(symbol, *head, snapshot, levels[at:middle], levels[middle:after])
            at = after
        return
    own = [columns[name].tolist() for name in OWN[columns.kind]]
    for row in zip(symbols, *common, *own, strict=True):
        yield make(*row)

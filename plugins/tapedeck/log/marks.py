"""Why a message that is in the log is left out of its slice, where somebody asks to see it all the same."""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from tapedeck.columns import Array, Columns, concat
from tapedeck.log.judge import Judged


class Mark(IntEnum):
    """What became of a message: it stands, or is out as one of DESIGN §2.6 and §2.9."""

    KEPT = 0
    RESEND = 1
    """The same source published it before, under the same name."""
    COPY = 2
    """A source of a lower number has its like."""
    VOIDED = 3


def marked(judged: Judged) -> Columns:
    """All messages of one kind, in order, each with its `mark` (int8)."""
    kind = judged.kept.kind
    parts = [
        part.with_arrays(mark=np.full(len(part), mark, np.int8))
        for part, mark in (
            (judged.kept, Mark.KEPT), (judged.duplicates, Mark.COPY), (judged.voided, Mark.VOIDED)
        )
    ]  # fmt: skip
    whole = concat(kind, parts)
    if not len(judged.duplicates):
        return whole.in_order()
    marks = whole["mark"].copy()
    marks[_resent(whole)] = Mark.RESEND
    return whole.with_arrays(mark=marks).in_order()


def _resent(whole: Columns) -> Array:
    """Which of those that are out as COPY bear the name of one before them that is not voided."""
    order = np.lexsort((whole["offset"], whole["topic"], whole["ts_recv"], whole["symbol"], whole["src"]))
    order = order[whole["mark"][order] != Mark.VOIDED]
    again = np.zeros(len(whole), np.bool_)
    same = np.ones(max(0, len(order) - 1), np.bool_)
    for name in ("src", "symbol", "ts_recv"):
        same &= np.diff(whole[name][order]) == 0
    again[order[1:][same]] = True
    again &= whole["mark"] == Mark.COPY
    return again

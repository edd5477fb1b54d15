"""Where messages without a sequence go over from one source to another (DESIGN §2.6). Pure.

No sequence proves that nothing was lost or doubled there; the rule of `log.owners` puts the seam where both
sources agree, and this says where to look.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from tapedeck.columns import Columns
from tapedeck.slices import NS, Slice

TOGETHER = 60 * NS
"""Switches of many symbols between the same two sources this close together are one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """One symbol and kind went over from one source to another: at the first message of the other, UTC ns."""

    symbol: str
    kind: str
    before: int
    after: int
    last: int
    at: int


def switches(kept: Columns, of: Slice) -> list[Switch]:
    """The switches of one kind whose first message behind lies in the slice."""
    if kept.kind == "status":
        return []
    rows = np.flatnonzero(kept["seq"] == 0)
    src = kept["src"][rows]
    if not len(rows) or bool((src == src[0]).all()):
        return []
    rows = rows[np.lexsort((kept["ts_recv"][rows], kept["symbol"][rows]))]
    symbol, src, stamps = kept["symbol"][rows], kept["src"][rows], kept["ts_recv"][rows]
    turned = (np.diff(symbol) == 0) & (np.diff(src) != 0)
    turned &= (stamps[1:] >= of.start) & (stamps[1:] < of.end)
    return [
        Switch(
            symbol=kept.symbols[int(symbol[i])], kind=kept.kind, before=int(src[i]), after=int(src[i + 1]),
            last=int(stamps[i]), at=int(stamps[i + 1]),
        )
        for i in np.flatnonzero(turned).tolist()
    ]  # fmt: skip


def grouped(found: Iterable[Switch]) -> list[list[Switch]]:
    """The switches in groups of one cause: between the same sources, one soon after another."""
    groups: dict[tuple[int, int], list[list[Switch]]] = {}
    for one in sorted(found, key=lambda one: (one.at, one.symbol, one.kind)):
        of_pair = groups.setdefault((one.before, one.after), [])
        if of_pair and one.at - of_pair[-1][0].at <= TOGETHER:
            of_pair[-1].append(one)
        else:
            of_pair.append([one])
    return [group for of_pair in groups.values() for group in of_pair]

"""Two tellings of one slice held against each other, message by message: what only one has, what differs.

Arctic against the raw tape, against the vendor's history, against a replay into other libraries; and one
collector against another. What the log says against Arctic is `reconcile`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from msgspec import Struct, to_builtins

from tapedeck.checks.rows import SHOWN, Row, values
from tapedeck.checks.sides_of import Side
from tapedeck.columns import Array, Columns, empty
from tapedeck.digest import hashes
from tapedeck.message import KINDS
from tapedeck.slices import Slice, format_time

Key = Literal["name", "place", "sequence"]
"""By what a message is the same one: its name (source, kind, symbol, receipt), its place in the log (topic,
offset), or its sequence, the n-th of a symbol's with the n-th."""
COLUMNS: Mapping[Key, tuple[str, ...]] = {
    "name": ("src", "ts_recv"), "place": ("topic", "offset"), "sequence": ("snapshot", "seq"),
}  # fmt: skip


class Kind(Struct, frozen=True, kw_only=True):
    """One kind: messages that both have alike, that only one has, and that say otherwise."""

    kind: str
    alike: int = 0
    only_first: int = 0
    only_second: int = 0
    different: int = 0
    rows: list[Row] = []
    """The first of each sort."""

    @property
    def differ(self) -> int:
        """All that are not alike."""
        return self.only_first + self.only_second + self.different


class Compared(Struct, frozen=True, kw_only=True):
    """A slice as two tell it. `notes` says what could not be compared."""

    vendor: str
    slice: Slice
    sides: tuple[str, str]
    kinds: list[Kind]
    notes: list[str]

    @property
    def differ(self) -> int:
        """Messages that are not alike."""
        return sum(one.differ for one in self.kinds)

    @property
    def lines(self) -> list[str]:
        """For a person: a line a kind, then what differs with its values."""
        first, second = self.sides
        found = []
        for one in self.kinds:
            found.append(
                f"{one.kind}: {one.alike:,} alike, {one.only_first:,} only in {first}, {one.only_second:,} "
                f"only in {second}, {one.different:,} different"
            )
            found += [row.told(first, second) for row in one.rows]
        return found

    def to_json(self) -> dict[str, Any]:
        """As `--json` prints it."""
        span = {"start": format_time(self.slice.start), "end": format_time(self.slice.end)}
        verdict = "fail" if self.differ else "pass"
        return {**to_builtins(self), "slice": span, "verdict": verdict, "differ": self.differ}


def compare(vendor: str, of: Slice, first: Side, second: Side, key: Key, blank: Sequence[str]) -> Compared:
    """Hold two sides against each other. `blank`: columns in which they differ by their nature."""
    notes = [*first.notes, *second.notes]
    kinds = []
    for kind in KINDS:
        one, other = (side.columns.get(kind) for side in (first, second))
        if one is None and other is None:
            continue
        one, other = (empty(kind) if c is None else c for c in (one, other))
        if key == "sequence":
            one, other = _told_by_both(one, other)
        made = _of_kind(kind, one, other, key, blank)
        if made.alike or made.differ:
            kinds.append(made)
    if key == "sequence" and not kinds:
        notes.append("no sequence is told by both: there is nothing to compare")
    return Compared(vendor=vendor, slice=of, sides=(first.name, second.name), kinds=kinds, notes=notes)


def _told_by_both(one: Columns, other: Columns) -> tuple[Columns, Columns]:
    """With a sequence, of symbols that both tell, from the later beginning to the earlier end: one may have
    begun before the other, by its own clock."""
    one, other = (c.take(c["seq"] != 0) for c in (one, other))
    keep = [np.zeros(len(c), np.bool_) for c in (one, other)]
    for symbol in set(one.symbols) & set(other.symbols):
        own = [c["symbol"] == c.symbols.index(symbol) for c in (one, other)]
        if not (own[0].any() and own[1].any()):
            continue
        seqs = [c["seq"][mask] for c, mask in zip((one, other), own, strict=True)]
        low, high = max(int(s.min()) for s in seqs), min(int(s.max()) for s in seqs)
        for i, c in enumerate((one, other)):
            keep[i] |= own[i] & (c["seq"] >= low) & (c["seq"] <= high)
    return one.take(keep[0]), other.take(keep[1])


def _of_kind(kind: str, one: Columns, other: Columns, key: Key, blank: Sequence[str]) -> Kind:
    ours, theirs = _codes(one, other, COLUMNS[key])
    missing = np.flatnonzero(~np.isin(ours, theirs))
    extra = np.flatnonzero(~np.isin(theirs, ours))
    _, left, right = np.intersect1d(ours, theirs, assume_unique=True, return_indices=True)
    (a, b), (c, d) = (
        hashes(_blank(side.take(which), blank)) for side, which in ((one, left), (other, right))
    )
    changed = np.flatnonzero((a != c) | (b != d))
    return Kind(
        kind=kind, alike=len(left) - len(changed), only_first=len(missing), only_second=len(extra),
        different=len(changed),
        rows=[
            *_rows("missing", one.take(missing[:SHOWN]), None, blank),
            *_rows("extra", None, other.take(extra[:SHOWN]), blank),
            *_rows(
                "different", one.take(left[changed[:SHOWN]]), other.take(right[changed[:SHOWN]]), blank
            ),
        ],
    )  # fmt: skip


def _codes(one: Columns, other: Columns, names: Sequence[str]) -> tuple[Array, Array]:
    """A number for each message, the same on both sides for the same one; several of a key are told apart
    by their order of receipt."""
    both = _symbols(one, other)
    for name in names:
        values_ = [c[name] if name in c else np.zeros(len(c), np.int64) for c in (one, other)]
        _, code = np.unique(np.concatenate(values_), return_inverse=True)
        _, both = np.unique(both * (int(code.max(initial=0)) + 1) + code, return_inverse=True)
    split = len(one)
    sides = [_nth(part, c["ts_recv"]) for part, c in ((both[:split], one), (both[split:], other))]
    most = max((int(nth.max(initial=0)) for nth in sides), default=0) + 1
    return both[:split] * most + sides[0], both[split:] * most + sides[1]


def _symbols(one: Columns, other: Columns) -> Array:
    """The symbols of both, one after the other, as numbers of one table."""
    table = {symbol: i for i, symbol in enumerate(dict.fromkeys((*one.symbols, *other.symbols)))}
    parts = [
        np.array([table[symbol] for symbol in c.symbols], np.int64)[c["symbol"]] if len(c) else
        np.zeros(0, np.int64)
        for c in (one, other)
    ]  # fmt: skip
    found: Array = np.concatenate(parts)
    return found


def _nth(codes: Array, stamps: Array) -> Array:
    order = np.lexsort((stamps, codes))
    first = np.append(True, codes[order][1:] != codes[order][:-1])[: len(order)]
    place = np.arange(len(order))
    begin = np.maximum.accumulate(np.where(first, place, 0)) if len(order) else place
    nth = np.empty(len(order), np.int64)
    nth[order] = place - begin
    return nth


def _blank(columns: Columns, names: Sequence[str]) -> Columns:
    nothing = {name: np.zeros_like(columns[name]) for name in names if name in columns}
    return columns.with_arrays(**nothing)


def _rows(sort: str, one: Columns | None, other: Columns | None, blank: Sequence[str]) -> list[Row]:
    shown = one if one is not None else other
    assert shown is not None  # noqa: S101
    said = [list(values(c)) if c is not None else [None] * len(shown) for c in (one, other)]
    found = []
    for i, (a, b) in enumerate(zip(*said, strict=True)):
        if a is not None and b is not None:
            names = [name for name in a if a[name] != b.get(name) and name not in blank]
            a, b = {n: a[n] for n in names}, {n: b.get(n) for n in names}
        found.append(
            Row(
                sort=sort, symbol=shown.symbols[int(shown["symbol"][i])], seq=int(shown["seq"][i]),
                ts_recv=format_time(int(shown["ts_recv"][i])), log=a, arctic=b,
            )
        )  # fmt: skip
    return found

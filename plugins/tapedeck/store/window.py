"""The one function that builds windows (DESIGN §2.3): live writing, rebuild, repair and audit share it.

For a given window, log and CODE_VERSION, whoever calls it, whenever, however the records were cut into
batches, builds the same rows in the same order with the same digests. No I/O happens here.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from tapedeck import digest
from tapedeck.columns import Array, Columns, by_code, concat, empty
from tapedeck.log.judge import judge
from tapedeck.log.plan import Claim, claims_of
from tapedeck.slices import Slice

CODE_VERSION = 2
"""Raised when the output of `build_windows` or of the encoder changes: it makes old windows stale."""


@dataclass(frozen=True, slots=True)
class Tally:
    """How many messages, and their digest. Tallies add up."""

    messages: int = 0
    digest: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.messages + other.messages, digest.add(self.digest, other.digest))


def tally_of(columns: Columns) -> Tally:
    """The tally of these messages."""
    return Tally(len(columns), digest.digest(columns))


@dataclass(frozen=True, slots=True)
class Built:
    """One symbol's window as the log has it. `span` is the window, ns UTC, half-open.

    `kept`, `duplicates` and `voided` hold every message of the window once; `kept` is what is stored,
    in order (ts_recv, topic, offset). `tallies` are theirs, in that order. `claims` say what of the
    log was read, one a topic. `partition`: the symbol's partition group. `partial`: the log no longer held
    all of it. `base` is the build that this one adds to where the log was cut, "" where it adds to no
    document; None: it stands on the log alone.
    """

    kind: str
    symbol: str
    span: Slice
    partition: int
    kept: Columns
    duplicates: Columns
    voided: Columns
    tallies: tuple[Tally, Tally, Tally]
    claims: tuple[Claim, ...]
    partial: bool = False
    base: str | None = None
    build: str = field(default_factory=lambda: secrets.token_hex(8))

    @property
    def content(self) -> str:
        """A hash of what the window says: the same content need not be written again."""
        summary = [f"{t.messages} {digest.to_hex(t.digest)}" for t in self.tallies]
        h = hashlib.blake2b("|".join([*summary, str(self.partial)]).encode(), digest_size=16)
        h.update(self.kept["topic"].astype("<i4").tobytes())
        h.update(self.kept["offset"].astype("<i8").tobytes())
        return h.hexdigest()


def build_windows(
    span: Slice,
    records: Columns,
    voids: Columns | None,
    margin: int,
    *,
    partition: int,
    claims: Sequence[Claim] = (),
    signs: Columns | None = None,
    backfills: frozenset[int] = frozenset(),
    partial: bool = False,
) -> dict[str, Built]:
    """The windows of one span of time of every symbol that has a message in it, by symbol.

    `records` are messages of one kind with `topic` and `offset`, in any order, from at least
    [span.start - margin, span.end + margin); what lies outside that is not looked at, what lies outside
    the span only helps to judge. A record that is given twice counts once. `partition`: their partition
    group, `claims`: on all of it; each window has those on its symbol's partitions. `signs` of listening are
    of the same time, or of more; they tell whose messages without seq are.
    """
    part = distinct(ordered(between(records, span.widen(margin))))
    judged = judge({part.kind: part}, voids, margin, backfills, signs)[part.kind]
    places = [
        dict(_by_symbol(between(columns, span)))
        for columns in (judged.kept, judged.duplicates, judged.voided)
    ]
    nothing = (empty(part.kind), Tally())
    windows = {}
    for symbol in dict.fromkeys(symbol for place in places for symbol in place):
        (kept, k), (duplicates, d), (voided, v) = (place.get(symbol, nothing) for place in places)
        windows[symbol] = Built(
            kind=part.kind, symbol=symbol, span=span, partition=partition, kept=kept,
            duplicates=duplicates, voided=voided, tallies=(k, d, v), claims=claims_of(symbol, claims),
            partial=partial,
        )  # fmt: skip
    return windows


def build(
    symbol: str,
    span: Slice,
    records: Columns,
    voids: Columns | None,
    margin: int,
    *,
    partition: int,
    claims: Sequence[Claim] = (),
    signs: Columns | None = None,
    backfills: frozenset[int] = frozenset(),
    partial: bool = False,
) -> Built:
    """`build_windows` for one symbol; a window without messages where there are none."""
    windows = build_windows(
        span, records.of(symbol), voids, margin,
        partition=partition, claims=claims, signs=signs, backfills=backfills, partial=partial,
    )  # fmt: skip
    if symbol in windows:
        return windows[symbol]
    return no_messages(
        records.kind, symbol, span, partition=partition, claims=claims, partial=partial
    )  # fmt: skip


def no_messages(
    kind: str, symbol: str, span: Slice, *, partition: int, claims: Sequence[Claim], partial: bool = False
) -> Built:
    """The window of a symbol of which the log holds nothing in this span."""
    nothing = empty(kind)
    return Built(
        kind=kind, symbol=symbol, span=span, partition=partition, kept=nothing, duplicates=nothing,
        voided=nothing, tallies=(Tally(), Tally(), Tally()), claims=claims_of(symbol, claims),
        partial=partial,
    )  # fmt: skip


def onto(
    built: Built, base: str, tallies: tuple[Tally, Tally, Tally], claims: Sequence[Claim], partial: bool
) -> Built:
    """The window where the log was cut: `built` came from the stored rows and what lies past them.

    What the stored document had counted as duplicate or voided stays counted; its claims are widened,
    never shortened.
    """
    kept, duplicates, voided = built.tallies
    merged = {claim.topic_id: claim for claim in claims}
    for claim in built.claims:
        held = merged.get(claim.topic_id)
        if held is not None:
            claim = Claim(
                topic_id=claim.topic_id, partition=claim.partition, start=held.start,
                next=max(held.next, claim.next),
            )  # fmt: skip
        merged[claim.topic_id] = claim
    return replace(
        built, base=base, claims=tuple(merged.values()), partial=built.partial or partial,
        tallies=(kept, duplicates + tallies[1], voided + tallies[2]),
    )  # fmt: skip


def ordered(columns: Columns) -> Columns:
    """The messages by (ts_recv, topic, offset); quick where they are in order already."""
    stamps = columns["ts_recv"]
    return columns if bool((stamps[1:] > stamps[:-1]).all()) else columns.in_order()


def distinct(columns: Columns) -> Columns:
    """Ordered messages without those that came from one record twice."""
    again = np.zeros(len(columns), np.bool_)
    again[1:] = np.logical_and.reduce([
        columns[name][1:] == columns[name][:-1] for name in ("ts_recv", "topic", "offset", "symbol")
    ])  # fmt: skip
    return columns.take(~again) if again.any() else columns


def between(columns: Columns, span: Slice) -> Columns:
    """The messages with ts_recv in the span, in the order that they have."""
    stamps = columns["ts_recv"]
    if not len(stamps):
        return columns
    inside = (stamps >= span.start) & (stamps < span.end)
    if inside.all():
        return columns
    places = np.flatnonzero(inside)
    if len(places) and places[-1] - places[0] + 1 == len(places):
        return stretch(columns, int(places[0]), int(places[-1]) + 1)
    return columns.take(places)


def stretch(columns: Columns, first: int, last: int) -> Columns:
    """Messages first … last - 1, as views of the same memory."""
    levels = columns.levels
    if levels is not None:
        counts = columns.level_counts()
        begin = int(counts[:first].sum())
        levels = levels[begin : begin + int(counts[first:last].sum())]
    arrays = {name: column[first:last] for name, column in columns.arrays.items()}
    return Columns(columns.kind, columns.symbols, arrays, levels)


def _by_symbol(columns: Columns) -> Iterator[tuple[str, tuple[Columns, Tally]]]:
    """Each symbol's messages, order kept, with their tally."""
    if not len(columns):
        return
    codes = columns["symbol"]
    if bool((codes[1:] < codes[:-1]).any()):
        columns = columns.take(by_code(codes))
        codes = columns["symbol"]
    starts = np.flatnonzero(np.concatenate(([True], codes[1:] != codes[:-1])))
    digests = _sums(digest.hashes(columns), starts)
    ends = np.append(starts[1:], len(columns))
    level_ends = np.cumsum(columns.level_counts()) if columns.levels is not None else None
    for first, last, total in zip(starts.tolist(), ends.tolist(), digests, strict=True):
        symbol = columns.symbols[int(codes[first])]
        arrays = {name: column[first:last] for name, column in columns.arrays.items()}
        arrays["symbol"] = np.zeros(last - first, np.int32)
        levels = None
        if level_ends is not None and columns.levels is not None:
            levels = columns.levels[int(level_ends[first - 1]) if first else 0 : int(level_ends[last - 1])]
        yield symbol, (Columns(columns.kind, (symbol,), arrays, levels), Tally(last - first, total))


def _sums(lanes: tuple[Array, Array], starts: Array) -> list[int]:
    """The digest of each run that begins at `starts`, all at once."""
    low32 = np.uint64(0xFFFFFFFF)
    words = []
    for lane in lanes:
        high = np.add.reduceat(lane >> np.uint64(32), starts).tolist()
        low = np.add.reduceat(lane & low32, starts).tolist()
        words.append([(h << 32) + lo for h, lo in zip(high, low, strict=True)])
    return [digest.add((high << 64) + low) for high, low in zip(*words, strict=True)]


def beyond(stored: Sequence[tuple[Slice, dict[int, int]]], records: Columns) -> Columns:
    """The records that no stored window holds: each is (its span, topic number → read through)."""
    held = np.zeros(len(records), np.bool_)
    for span, through in stored:
        inside = (records["ts_recv"] >= span.start) & (records["ts_recv"] < span.end)
        if not inside.any():
            continue
        for topic, offset in through.items():
            held |= inside & (records["topic"] == topic) & (records["offset"] < offset)
    return records.take(~held) if held.any() else records


def joined(kind: str, rows: Sequence[Columns], tail: Columns) -> Columns:
    """Stored rows and what the log holds past them, in order."""
    return ordered(concat(kind, [*rows, tail]))


def judged_already(rows: Columns, is_so: int = 1) -> Columns:
    """Rows marked as judged already (or as not yet): a build takes none away for want of a sequence."""
    return rows.with_arrays(settled=np.full(len(rows), is_so, np.int8))

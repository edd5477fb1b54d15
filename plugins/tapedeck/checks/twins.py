"""Two collectors of a vendor against each other: what one heard, while both listened, and the other did not.

Nothing of it is missing in the log; it tells which of the two can't be relied on alone. Pure and columnar.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from tapedeck.columns import Array, Columns, concat
from tapedeck.log.coverage import FILES
from tapedeck.log.judge import Judged
from tapedeck.slices import NS, Slice

EDGE = 2 * NS
"""So near to where one began or ceased to listen nothing is held against it."""
SAMPLES = 1_000
Spans = Mapping[int, Sequence[tuple[int, int]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lacking:
    """Source `src` lacks `messages` of the `of` that `other` has of symbols that both tell of."""

    src: int
    other: int
    messages: int
    of: int
    first: int
    last: int
    symbols: tuple[str, ...]
    """Those of which it lacks most, at most three."""


@dataclass(slots=True)
class Twins:
    """Gathered partition by partition and stretch by stretch."""

    both: Counter[tuple[int, int]] = field(default_factory=Counter)
    alone: dict[tuple[int, int], list[tuple[str, Array]]] = field(default_factory=dict)
    """By (who has it, who lacks it): symbol and receipt times."""
    lags: dict[tuple[int, int], list[Array]] = field(default_factory=dict)

    def take(self, judged: Mapping[str, Judged], of: Slice) -> None:
        """One partition of a stretch, its margins included: likes may lie there."""
        for kind, one in judged.items():
            if kind == "status" or not len(one.duplicates):
                continue
            whole = concat(kind, (one.kept, one.duplicates))
            whole = whole.take((whole["src"] < FILES) & (whole["seq"] != 0))
            sources = np.unique(whole["src"]).tolist()
            for pair in combinations(sources, 2):
                self._pair(pair, whole, of)

    def _pair(self, pair: tuple[int, int], whole: Columns, of: Slice) -> None:
        sides = [_once(whole, src) for src in pair]
        shared = np.intersect1d(sides[0]["symbol"], sides[1]["symbol"])
        sides = [side.take(np.isin(side["symbol"], shared)) for side in sides]
        keys = _keys(sides)
        _, left, right = np.intersect1d(keys[0], keys[1], assume_unique=True, return_indices=True)
        stamps = [side["ts_recv"] for side in sides]
        inside = (stamps[0][left] >= of.start) & (stamps[0][left] < of.end)
        self.both[pair] += int(inside.sum())
        lag = stamps[1][right] - stamps[0][left]
        self.lags.setdefault(pair, []).append(lag[:: max(1, len(lag) // SAMPLES)])
        for i, (has, lacks) in enumerate((pair, pair[::-1])):
            own, at = sides[i], stamps[i]
            only = np.flatnonzero(~np.isin(keys[i], keys[1 - i]) & (at >= of.start) & (at < of.end))
            for code in np.unique(own["symbol"][only]).tolist():
                times = at[only[own["symbol"][only] == code]]
                self.alone.setdefault((has, lacks), []).append((own.symbols[code], times))

    def lacking(self, heard: Spans) -> list[Lacking]:
        """What each lacked of another while it listened itself."""
        found = []
        for (has, lacks), parts in sorted(self.alone.items()):
            counts: Counter[str] = Counter()
            first, last = 2**63 - 1, 0
            for symbol, times in parts:
                own = times[_within(times, heard.get(lacks, ()))]
                if len(own):
                    counts[symbol] += len(own)
                    first, last = min(first, int(own.min())), max(last, int(own.max()))
            if counts:
                total = counts.total()
                of = self.both[min(has, lacks), max(has, lacks)] + total
                names = tuple(name for name, _ in counts.most_common(3))
                found.append(
                    Lacking(
                        src=lacks, other=has, messages=total, of=of, first=first, last=last, symbols=names
                    )
                )
        return found

    def lag(self) -> dict[tuple[int, int], int]:
        """By pair, how long after the first the second receives the same, at the median, ns."""
        return {pair: int(np.median(np.concatenate(parts))) for pair, parts in self.lags.items()}


def _once(whole: Columns, src: int) -> Columns:
    """A source's messages, resends apart."""
    own = whole.take(whole["src"] == src)
    _, first = np.unique(_keys([own])[0], return_index=True)
    return own.take(first)


def _keys(sides: Sequence[Columns]) -> list[Array]:
    """A number for each message: the same for likes, symbol, snapshot flag and seq."""
    seqs = np.concatenate([side["seq"] for side in sides])
    _, seq = np.unique(seqs, return_inverse=True)
    flags = np.concatenate(
        [side["snapshot"] if "snapshot" in side else np.zeros(len(side), np.int64) for side in sides]
    )
    codes = np.concatenate([side["symbol"] for side in sides]).astype(np.int64)
    both = (codes * 2 + flags) * (int(seq.max(initial=0)) + 1) + seq
    return np.split(both, np.cumsum([len(side) for side in sides])[:-1])


def _within(times: Array, spans: Sequence[tuple[int, int]]) -> Array:
    inside = np.zeros(len(times), np.bool_)
    for start, end in spans:
        inside |= (times >= start + EDGE) & (times < end - EDGE)
    return inside

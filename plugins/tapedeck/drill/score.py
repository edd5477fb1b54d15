"""Recall, precision and time to detect of what the checks said, against what was done. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from msgspec import Struct

from tapedeck.drill.detect import Seen
from tapedeck.drill.played import Allowed, Played, Truth
from tapedeck.slices import NS


class Score(Struct, frozen=True, kw_only=True):
    """One fault over all seeds. `found` of `injected`; `false`: findings that are no fault's; `untold`: what
    was done beyond, of which nothing in the tape tells. Times are of the tape, in seconds, from the fault to
    when it has shown it; a check that runs hourly adds up to an hour. `always_from`: every fault of this
    size (in `unit`) or more was found; None where the greatest was not."""

    fault: str
    what: str
    checks: list[str]
    seeds: int
    injected: int
    found: int
    false: int
    right: int
    untold: int
    detect_p50_s: float | None
    detect_max_s: float | None
    always_from: float | None
    unit: str
    skipped: str = ""

    @property
    def recall(self) -> float | None:
        """Of what was done, the share that was found."""
        return self.found / self.injected if self.injected else None

    @property
    def precision(self) -> float | None:
        """Of what was found, the share that was done."""
        return self.right / (self.right + self.false) if self.right + self.false else None


@dataclass(slots=True)
class Tally:
    """Adds up the seeds of one fault."""

    seeds: int = 0
    right: int = 0
    untold: int = 0
    delays: list[float] = field(default_factory=list)
    sizes: list[tuple[float, bool]] = field(default_factory=list)
    checks: set[str] = field(default_factory=set)
    false_of: dict[str, int] = field(default_factory=dict)

    def add(self, played: Played, seen: Sequence[Seen], known: frozenset[tuple[object, ...]]) -> None:
        """One seed. `known`: what the checks say of the tape without a fault (`Seen.about`)."""
        self.seeds += 1
        self.untold += played.untold
        fresh = [one for one in seen if one.about not in known]
        right = [False] * len(fresh)
        for truth in played.truths:
            self.checks.update(truth.checks)
            hits = [i for i, one in enumerate(fresh) if _is(truth, one)]
            for i in hits:
                right[i] = True
            self.sizes.append((truth.size, bool(hits)))
            if hits:
                told = min(fresh[i].told for i in hits)
                self.delays.append(max(0.0, (told - truth.start) / NS))
        for one, good in zip(fresh, right, strict=True):
            if good:
                self.right += 1
            elif not _may(one, played.allowed):
                self.false_of[one.check] = self.false_of.get(one.check, 0) + 1

    def score(self, fault: str, what: str, unit: str) -> Score:
        """What it came to."""
        delays = np.array(self.delays)
        return Score(
            fault=fault, what=what, checks=sorted(self.checks), seeds=self.seeds, injected=len(self.sizes),
            found=len(self.delays), false=sum(self.false_of.values()), right=self.right, untold=self.untold,
            detect_p50_s=round(float(np.median(delays)), 3) if len(delays) else None,
            detect_max_s=round(float(delays.max()), 3) if len(delays) else None,
            always_from=_from(self.sizes) if unit else None, unit=unit,
        )  # fmt: skip


def _is(truth: Truth, one: Seen) -> bool:
    if one.check not in truth.checks or (truth.reason and one.reason != truth.reason):
        return False
    if truth.symbol != "*" and one.symbol not in (truth.symbol, "*"):
        return False
    if truth.kind != "*" and one.kind != truth.kind:
        return False
    if truth.next and one.next:
        return truth.first < one.next and one.first < truth.next
    return truth.start <= one.end and one.start <= truth.end


def _may(one: Seen, allowed: Iterable[Allowed]) -> bool:
    names = {one.check, f"{one.check}:{one.reason}"}
    return any(names & {*a.checks} and one.start <= a.end and a.start <= one.end for a in allowed)


def _from(sizes: Sequence[tuple[float, bool]]) -> float | None:
    """The least size from which on all were found."""
    least = None
    for size, found in sorted(sizes, reverse=True):
        if not found:
            break
        least = size
    return None if least is None else float(f"{least:.4g}")

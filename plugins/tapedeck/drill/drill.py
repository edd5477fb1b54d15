"""A drill: faults at many seeds, one sort at a time, and what the checks made of each."""

from __future__ import annotations

import difflib
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from msgspec import Struct, convert, to_builtins
from msgspec.structs import fields

from tapedeck.checks.limits import LIMITS, Limits
from tapedeck.drill import detect
from tapedeck.drill.faults import FAULTS, Fault
from tapedeck.drill.played import as_it_was
from tapedeck.drill.score import Score, Tally
from tapedeck.drill.take import Take
from tapedeck.errors import BadInput
from tapedeck.reports.thresholds import Thresholds
from tapedeck.slices import Slice, format_time

Progress = Callable[[int, int], object]


class Drill(Struct, frozen=True, kw_only=True):
    """What a drill came to. `before`: by check, what the checks said of the tape as it was, which counts for
    nothing afterwards."""

    vendor: str
    slice: Slice
    messages: int
    symbols: list[str]
    seeds: int
    scores: list[Score]
    before: dict[str, int]
    notes: list[str]
    limits: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """As `--json` prints it."""
        scores = [
            {**to_builtins(one), "recall": one.recall, "precision": one.precision} for one in self.scores
        ]
        span = {"start": format_time(self.slice.start), "end": format_time(self.slice.end)}
        return {**to_builtins(self), "slice": span, "scores": scores}


def drill(
    take: Take,
    *,
    seeds: int = 10,
    faults: Sequence[str] = (),
    limits: Limits = LIMITS,
    thresholds: Thresholds | None = None,
    progress: Progress = lambda done, total: None,
) -> Drill:
    """Score the checks on a tape, in memory: nothing is written anywhere. The same seeds score the same.

    `faults`: only these; all where empty. Raises BadInput for one that there is not.
    """
    thresholds = thresholds or Thresholds()
    some = chosen(faults)
    usuals = detect.clean(take)
    was = as_it_was(take)
    said = detect.steady(take, was, usuals, limits)
    if any(fault.labels for fault in some):
        said += detect.labelled(take, was, thresholds)
    known = frozenset(one.about for one in said)
    before: dict[str, int] = {}
    for one in said:
        before[one.check] = before.get(one.check, 0) + 1
    scores = []
    for n, fault in enumerate(some):
        tally, skipped = Tally(), 0
        for seed in range(1, seeds + 1):
            progress(n * seeds + seed - 1, len(some) * seeds)
            played = fault.put(take, np.random.default_rng((seed, zlib.crc32(fault.name.encode()))))
            if played is None:
                skipped += 1
                continue
            seen = (
                detect.labelled(take, played, thresholds) if fault.labels
                else detect.steady(take, played, usuals, limits)
            )  # fmt: skip
            tally.add(played, seen, known)
        score = tally.score(fault.name, fault.what, fault.unit)
        scores.append(_skipped(score, fault) if skipped == seeds else score)
    progress(1, 1)
    return Drill(
        vendor=take.vendor, slice=take.of, messages=len(take), symbols=take.symbols, seeds=seeds,
        scores=scores, before=before, notes=list(take.notes),
        limits={**to_builtins(limits), **to_builtins(thresholds)},
    )  # fmt: skip


def chosen(names: Sequence[str]) -> list[Fault]:
    """The faults of these names, all where there is none. Raises BadInput."""
    known = {fault.name: fault for fault in FAULTS}
    if wrong := [name for name in names if name not in known]:
        raise BadInput(f"there is no fault {wrong[0][:40]!r}: the faults are {', '.join(known)}")
    return [known[name] for name in names] if names else list(FAULTS)


def limits_with(text: str) -> tuple[Limits, Thresholds]:
    """The thresholds in force but for those that `name=value,…` sets anew. Raises BadInput."""
    known = {**to_builtins(Limits()), **to_builtins(Thresholds())}
    changed: dict[str, float] = {}
    for part in filter(None, (p.strip() for p in text.split(","))):
        name, _, value = part.partition("=")
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            raise BadInput(f"there is no threshold {name[:40]!r}{hint}: they are {', '.join(known)}")
        try:
            changed[name] = type(known[name])(value)
        except ValueError as e:
            raise BadInput(f"the threshold {name}={value[:40]} is no number: give one") from e
        if not 0 < changed[name] < float("inf"):
            raise BadInput(f"the threshold {name}={value[:40]} is not above 0: give a number that is")
    ours = {field.name for field in fields(Limits)}
    return (
        Limits(**{name: value for name, value in changed.items() if name in ours}),
        convert({name: value for name, value in changed.items() if name not in ours}, Thresholds),
    )


HEAD = ("fault", "what", "check", "injected", "found", "recall", "false", "precision", "told in", "at most",
        "found from")  # fmt: skip


def table(made: Drill) -> list[tuple[str, ...]]:
    """The scores as cells, a head first."""
    return [HEAD, *(_cells(one) for one in made.scores)]


def _cells(one: Score) -> tuple[str, ...]:
    if one.skipped:
        return (one.fault, f"not tried: {one.skipped}", *([""] * (len(HEAD) - 2)))
    shares = ["–" if share is None else f"{share:.3f}" for share in (one.recall, one.precision)]
    times = ["–" if s is None else f"{s:,.1f} s" for s in (one.detect_p50_s, one.detect_max_s)]
    since = "" if not one.unit else "–" if one.always_from is None else f"{one.always_from:g} {one.unit}"
    untold = f" ({one.untold:,} more leave no trace)" if one.untold else ""
    return (
        one.fault, f"{one.what}{untold}", "/".join(one.checks), f"{one.injected:,}", f"{one.found:,}",
        shares[0], f"{one.false:,}", shares[1], *times, since,
    )  # fmt: skip


def _skipped(one: Score, fault: Fault) -> Score:
    needs = {
        "mute": "it takes a second symbol", "frozen": "it takes a second symbol with quotes",
        "thin": "it takes ten whole minutes", "outlier": "it takes more trades and quotes",
    }  # fmt: skip
    return Score(**{**to_builtins(one), "skipped": needs.get(fault.name, "the tape has no event times")})

"""Windows chosen at random, built again from the log: the same rows and digests must come of it."""

from __future__ import annotations

import random

from msgspec import Struct

from tapedeck.checks import findings, reconcile
from tapedeck.checks.deadline import with_deadline
from tapedeck.checks.findings import Finding
from tapedeck.checks.sides import spans_to_judge
from tapedeck.checks.windows import differing
from tapedeck.settings import Settings
from tapedeck.slices import Slice
from tapedeck.store import library, tallies

WINDOWS = 20


class Sampled(Struct, frozen=True, kw_only=True):
    """How many windows were built again, of how many that there are; and what differs."""

    windows: int
    of: int
    found: list[Finding]


def sample(settings: Settings, vendor: str, of: Slice, count: int = WINDOWS, seed: str = "") -> Sampled:
    """Build some windows of a slice again and hold them against Arctic, rows and digests; what differs is
    kept as findings. Which, depends on the seed alone. Not those that Kafka no longer holds whole, nor open
    ones.

    Raises BadInput for an unknown vendor, Unavailable.
    """
    libraries = library.ensure(settings, vendor)
    _, plan = reconcile.prepare(settings, vendor, of)
    there = sorted(
        (s.kind, s.partition, s.start) for s in tallies.read(libraries.values(), of, exact=False)
        if s.documents
    )  # fmt: skip
    if plan is None:
        return Sampled(windows=0, of=len(there), found=[])
    draw = random.Random(seed or f"{vendor}|{of.start}")  # noqa: S311
    found, built = [], 0
    for kind, partition, start in draw.sample(there, min(count, len(there))):
        span = libraries[kind].around(start)
        judged, _ = spans_to_judge(settings, plan, partition, {kind: libraries[kind]}, span)
        if judged[kind] != span:
            continue
        built += 1
        wrong = differing(settings, plan, partition, libraries, {kind: span})
        found += [reconcile.of_window(vendor, partition, one) for one in wrong]
    stands = findings.add(settings, with_deadline(settings, vendor, found))
    return Sampled(windows=built, of=len(there), found=stands)

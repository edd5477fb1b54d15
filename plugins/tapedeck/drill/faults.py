"""Faults with known truth, each put into a tape by a seed. What a bus drops, doubles, reorders and stalls is
done by the simulator's own hand (`simulate.faults`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from tapedeck.checks.activity import BUCKET
from tapedeck.columns import Array
from tapedeck.drill import untold
from tapedeck.drill.placing import ABOUT, Random, log_size, span, start_times
from tapedeck.drill.played import Allowed, Played, Truth, chosen
from tapedeck.drill.take import Take
from tapedeck.simulate.faults import Deed, Faults, commit
from tapedeck.slices import NS


@dataclass(frozen=True, slots=True)
class Fault:
    """A sort of fault. `unit`: of its size; `labels`: the reports' filters find it, not the gap check;
    `put` gives None where the tape can't have it."""

    name: str
    what: str
    unit: str
    put: Callable[[Take, Random], Played | None]
    labels: bool = False


def _bus(take: Take, seed: int, faults: Faults) -> tuple[Array, Array, list[Deed]]:
    """Which messages come, in what order and when, and what was done to them by index."""
    streams = take.streams().tolist()
    deeds: list[Deed] = []
    waited = [0.0]
    source = ((int(at), i.to_bytes(8, "little")) for i, at in enumerate(take.ts.tolist()))
    which, stamps, now = [], [], 0

    def place(payload: bytes) -> int:
        return int.from_bytes(payload, "little")

    def wait(seconds: float) -> None:
        waited[0] += seconds

    for at, payload in commit(faults, seed, source, lambda p: str(streams[place(p)]), deeds.append, wait):
        now = max(at + int(waited[0] * NS), now + 1)  # what waited comes at once, as fast as it can
        waited[0] = 0.0
        which.append(place(payload))
        stamps.append(now)
    return np.array(which), np.array(stamps), deeds


def _seed(random: Random) -> int:
    return int(random.integers(1, 2**31))


def _chained(take: Take) -> Array:
    """The messages whose stream has a chain that tells of them: not a snapshot, nor at the stream's ends."""
    streams, prev, seq = take.streams(), take.value("prev"), take.value("seq")
    chained: Array = np.isin(streams, np.unique(streams[prev != 0])) & (seq != 0)
    snapshot = np.zeros(len(take), np.bool_)
    for code, kind in enumerate(take.kinds):
        if "snapshot" in take.columns[kind]:
            own = take.kind == code
            snapshot[own] = take.columns[kind]["snapshot"][take.row[own]] == 1
    chained &= ~snapshot
    for stream in np.unique(streams[chained]).tolist():
        own = np.flatnonzero(chained & (streams == stream))
        chained[own[[0, -1]]] = False
    return chained


def _truth(take: Take, i: int, check: str, reason: str, size: float = 1.0) -> Truth:
    columns = take.columns[take.kinds[int(take.kind[i])]]
    seq = int(columns["seq"][int(take.row[i])])
    return Truth(
        checks=(check,), start=int(take.ts[i]), end=int(take.ts[i]), symbol=take.symbol_of(i),
        kind=columns.kind, first=seq, next=seq + 1, reason=reason, size=size,
    )  # fmt: skip


def _told(take: Take, deeds: list[Deed], fault: str, check: str, reason: str) -> tuple[list[Truth], int]:
    """The truths of the deeds that a chain can tell of, and how many no chain can."""
    chained = _chained(take)
    done = [d.index for d in deeds if d.fault == fault and (fault != "reorder" or d.behind is not None)]
    return [_truth(take, i, check, reason) for i in done if chained[i]], sum(not chained[i] for i in done)


def drop(take: Take, random: Random) -> Played:
    """Single messages that the bus never sent."""
    which, stamps, deeds = _bus(take, _seed(random), Faults(drop=min(0.05, ABOUT / len(take))))
    played = chosen(take, which, stamps)
    played.truths, played.untold = _told(take, deeds, "drop", "sequence", "upstream")
    return played


def burst(take: Take, random: Random) -> Played:
    """Up to half a second of everything that the bus never sent."""
    keep = np.ones(len(take), np.bool_)
    chained, streams = _chained(take), take.streams()
    spans = []
    for start in start_times(take, random, 5, NS):
        length = int(random.uniform(0.02, 0.5) * NS)
        inside = span(take, start, length)
        keep &= ~inside
        spans.append(inside)
    played = chosen(take, np.flatnonzero(keep), take.ts[keep])
    for inside in spans:
        for stream in np.unique(streams[inside]).tolist():
            own = np.flatnonzero(inside & (streams == stream))
            if chained[own].all():
                first, last = _truth(take, int(own[0]), "sequence", "upstream"), int(own[-1])
                end = int(take.value("seq")[last]) + 1
                truth = replace(first, end=int(take.ts[last]), next=end, size=float(len(own)))
                played.truths.append(truth)
            else:
                played.untold += len(own)
    return played


def dup(take: Take, random: Random) -> Played:
    """Messages that the bus sent twice."""
    which, stamps, deeds = _bus(take, _seed(random), Faults(dup=min(0.05, ABOUT / len(take))))
    played = chosen(take, which, stamps)
    played.truths, played.untold = _told(take, deeds, "dup", "duplicates", "")
    return played


def reorder(take: Take, random: Random) -> Played:
    """Messages that came behind one to three later ones of their stream."""
    which, stamps, deeds = _bus(take, _seed(random), Faults(reorder=min(0.05, ABOUT / len(take))))
    played = chosen(take, which, stamps)
    played.truths, played.untold = _told(take, deeds, "reorder", "reorders", "")
    return played


def lose(take: Take, random: Random) -> Played:
    """Messages on the tape that the publisher lost."""
    inner = np.flatnonzero((take.ts > take.of.start + 2 * NS) & (take.ts < take.of.end - 2 * NS))
    chained = _chained(take)
    prev = np.isin(take.streams(), np.unique(take.streams()[take.value("prev") != 0]))
    streams, links = take.streams(), take.value("seq") - take.value("prev")
    counted = set(np.unique(streams).tolist()) - set(np.unique(streams[chained & (links != 1)]).tolist())
    some = random.choice(inner[chained[inner] | ~prev[inner]], ABOUT, replace=False)
    keep = np.ones(len(take), np.bool_)
    keep[some] = False
    played = chosen(take, np.flatnonzero(keep), take.ts[keep], taped=take.ts)
    for i in sorted(some.tolist()):
        at = int(take.ts[i])
        if chained[i]:
            truth = _truth(take, i, "sequence", "publish")
            if streams[i] not in counted:  # its gap is of one at least: the heartbeats count the others
                played.allowed.append(Allowed(checks=("publish:publish",), start=at, end=at))
        else:  # only the counts tell, for all that lacks between two heartbeats
            truth = Truth(checks=("publish", "sequence"), start=at, end=at, reason="publish")
        played.truths.append(truth)
    return played


def deaf(take: Take, random: Random) -> Played:
    """The collector was killed, and started again."""
    longest = min(20.0, (take.of.end - take.of.start) / NS / 10)
    length = int(log_size(random, 1.0, longest) * NS)
    [start] = start_times(take, random, 1, length + 3 * NS)
    keep = ~span(take, start, length)
    played = chosen(take, np.flatnonzero(keep), take.ts[keep])
    (first, last), *_ = played.spans
    played.spans = [(first, start), (start + length, last)]
    end = start + length
    played.truths = [Truth(checks=("collector",), start=start, end=end, reason="collector", size=length / NS)]
    whole = start - 60 * NS, end + 60 * NS  # a quiet stream's hole reaches from its last to its next
    named = ("sequence:collector", "silence", "volume")
    played.allowed = [Allowed(checks=named, start=whole[0], end=whole[1])]
    return played


def stall(take: Take, random: Random) -> Played:
    """The bus stood still, then sent all that had waited."""
    longest = min(60.0, (take.of.end - take.of.start) / NS / 6)
    seconds = round(log_size(random, 2.0, longest), 3)
    [at] = start_times(take, random, 1, int(seconds * NS) + NS)
    which, stamps, _ = _bus(take, 1, Faults(stall_for=seconds, stall_at=(at - take.of.start) / NS))
    played = chosen(take, which, stamps)
    ends = at + int(seconds * NS)
    played.truths = [Truth(checks=("silence",), start=at, end=ends, size=seconds)]
    start = at // BUCKET * BUCKET
    played.allowed = [Allowed(checks=("volume",), start=start, end=ends + BUCKET)]
    return played


FAULTS = (
    Fault("drop", "messages the bus never sent", "", drop),
    Fault("burst", "all of a moment lost", "messages", burst),
    Fault("dup", "messages sent twice", "", dup),
    Fault("reorder", "messages behind later ones", "", reorder),
    Fault("lose", "messages lost in publishing", "", lose),
    Fault("deaf", "a collector killed", "s", deaf),
    Fault("stall", "a bus that stood still", "s", stall),
    Fault("mute", "one symbol silent, no sequences", "s", untold.mute),
    Fault("thin", "a share of a symbol lost, no sequences", "%", untold.thin),
    Fault("skew", "a slow clock", "ms", untold.skew),
    Fault("zone", "a wrong time zone", "h", untold.zone),
    Fault("frozen", "quotes that stand still", "s", untold.frozen, labels=True),
    Fault("outlier", "single prices off by a share", "%", untold.outlier, labels=True),
)
"""All that a drill can put in, by name."""

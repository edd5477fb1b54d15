"""Faults with known truth, each put into a tape by a seed. What a bus drops, doubles, reorders and stalls is
done by the simulator's own hand (`simulate.faults`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from tapedeck.columns import Array, Columns
from tapedeck.drill.played import INTERVAL, Allowed, Played, Truth, as_it_was, chosen
from tapedeck.drill.take import Take, delays
from tapedeck.reports.grain import least_move
from tapedeck.simulate.faults import Deed, Faults, commit
from tapedeck.slices import NS

ABOUT = 40
"""About so many single faults are put into a tape at once."""
HOUR = 3600 * NS
BUCKET = 600 * NS
Random = np.random.Generator


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
    for start in _starts(take, random, 5, NS):
        length = int(random.uniform(0.02, 0.5) * NS)
        inside = (take.ts >= start) & (take.ts < start + length)
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
    length = int(_log(random, 1.0, longest) * NS)
    [start] = _starts(take, random, 1, length + 3 * NS)
    keep = (take.ts < start) | (take.ts >= start + length)
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
    seconds = round(_log(random, 2.0, longest), 3)
    [at] = _starts(take, random, 1, int(seconds * NS) + NS)
    which, stamps, _ = _bus(take, 1, Faults(stall_for=seconds, stall_at=(at - take.of.start) / NS))
    played = chosen(take, which, stamps)
    ends = at + int(seconds * NS)
    played.truths = [Truth(checks=("silence",), start=at, end=ends, size=seconds)]
    start = at // BUCKET * BUCKET
    played.allowed = [Allowed(checks=("volume",), start=start, end=ends + BUCKET)]
    return played


def mute(take: Take, random: Random) -> Played | None:
    """One symbol of a vendor without sequences went silent while the others went on."""
    if len(take.symbols) < 2:
        return None
    bare = _without_chains(take)
    symbol = str(random.choice(take.symbols))
    longest = min(120.0, (take.of.end - take.of.start) / NS / 4)
    length = int(_log(random, 2.0, longest) * NS)
    [start] = _starts(take, random, 1, length + NS)
    own = np.array([take.symbol_of(i) == symbol for i in np.flatnonzero(_span(take, start, length)).tolist()])
    keep = np.ones(len(take), np.bool_)
    keep[np.flatnonzero(_span(take, start, length))[own]] = False
    played = chosen(bare, np.flatnonzero(keep), take.ts[keep])
    end = start + length
    played.truths = [Truth(checks=("silence",), start=start, end=end, symbol=symbol, size=length / NS)]
    played.allowed = [Allowed(checks=("volume", "silence"), start=start // BUCKET * BUCKET, end=end + BUCKET)]
    return played


def thin(take: Take, random: Random) -> Played | None:
    """A vendor without sequences sent only a part of a symbol's messages for ten minutes."""
    starts = np.arange(-(-take.of.start // BUCKET) * BUCKET, take.of.end - BUCKET + 1, BUCKET)
    if not len(starts):
        return None
    bare, symbol = _without_chains(take), str(random.choice(take.symbols))
    start, share = int(random.choice(starts)), float(random.uniform(0.5, 0.98))
    inside = np.flatnonzero(_span(take, start, BUCKET))
    own = inside[[take.symbol_of(i) == symbol for i in inside.tolist()]]
    keep = np.ones(len(take), np.bool_)
    keep[own[random.random(len(own)) < share]] = False
    played = chosen(bare, np.flatnonzero(keep), take.ts[keep])
    whose = ("volume", "silence")
    truth = Truth(checks=whose, start=start, end=start + BUCKET, symbol=symbol, size=100 * share)
    played.truths = [truth]
    played.allowed = [Allowed(checks=whose, start=start, end=start + BUCKET)]
    return played


def skew(take: Take, random: Random) -> Played | None:
    """From some time on the collector's clock is slow, or the vendor's fast."""
    least = min(delays(take), default=None)
    if least is None:
        return None
    shift = int(_log(random, 0.01, 3.0) * NS)
    [at] = _starts(take, random, 1, NS)
    played = _of_events(take, lambda c: c["ts_event"] + np.where(c["ts_recv"] >= at, shift, 0))
    size = 1000 * shift / NS
    played.truths = [Truth(checks=("clock",), start=at, end=take.of.end, size=size)]
    return played


def zone(take: Take, random: Random) -> Played | None:
    """The vendor's times are in another zone."""
    if not list(delays(take)):
        return None
    quarters = int(random.integers(1, 57)) * int(random.choice((-1, 1)))
    played = _of_events(take, lambda c: c["ts_event"] - quarters * HOUR // 4)
    size = abs(quarters) / 4
    played.truths = [Truth(checks=("clock",), start=take.of.start, end=take.of.end, size=size)]
    return played


def frozen(take: Take, random: Random) -> Played | None:
    """A symbol's quotes came on, but said the same, while others moved."""
    if "quote" not in take.columns or len(take.columns["quote"].symbols) < 2:
        return None
    symbol = str(random.choice(take.columns["quote"].symbols))
    longest = min(240.0, (take.of.end - take.of.start) / NS / 2)
    length = int(_log(random, 20.0, longest) * NS)
    [start] = _starts(take, random, 1, length + NS)
    played, quotes = as_it_was(take), take.columns["quote"]
    own = quotes["symbol"] == quotes.symbols.index(symbol)
    stamps = quotes["ts_recv"]
    inside = np.flatnonzero(own & (stamps >= start) & (stamps < start + length))
    before = np.flatnonzero(own & (stamps < start))
    if not len(before) or not len(inside):
        return None
    changed = {}
    for name in ("bid", "ask", "bid_size", "ask_size"):
        values = played.columns["quote"][name].copy()
        values[inside] = values[before[-1]]
        changed[name] = values
    played.columns["quote"] = played.columns["quote"].with_arrays(**changed)
    end = start + length
    truth = Truth(checks=("stale",), start=start, end=end, symbol=symbol, kind="quote", size=length / NS)
    played.truths = [truth]
    # Trades beside quotes that stand lie outside them, and the day's median spread is theirs: both are true.
    played.allowed = [Allowed(checks=("outlier",), start=take.of.start, end=take.of.end)]
    return played


def outlier(take: Take, random: Random) -> Played | None:
    """Single trades and quotes whose price is off by a share."""
    priced = [code for code, kind in enumerate(take.kinds) if kind in ("trade", "quote")]
    places = np.flatnonzero(np.isin(take.kind, priced))
    if len(places) < 10 * ABOUT:
        return None
    played = as_it_was(take)
    some = np.sort(random.choice(places[100:-100], ABOUT, replace=False))
    for kind in ("trade", "quote"):
        if kind not in take.columns:
            continue
        own = some[take.kind[some] == take.kinds.index(kind)]
        rows = take.row[own]
        columns = played.columns[kind]
        names = ("price",) if kind == "trade" else ("bid", "ask")
        share = _log_many(random, 0.0002, 0.05, len(own)) * random.choice((-1, 1), len(own))
        changed = {}
        grain = np.zeros(len(columns.symbols))
        for code in range(len(columns.symbols)):
            prices = columns[names[0]][columns["symbol"] == code]
            grain[code] = float(f"{least_move(prices) or 1e-9:.6g}")
        tick = grain[columns["symbol"][rows]]  # exact, so that no finer grain comes in
        for name in names:
            values = columns[name].copy()
            values[rows] = np.round(np.round(values[rows] * (1 + share) / tick) * tick, 9)
            changed[name] = values
        played.columns[kind] = columns.with_arrays(**changed)
        for i, size in zip(own.tolist(), np.abs(share).tolist(), strict=True):
            at = int(take.ts[i])
            truth = Truth(
                checks=("outlier",), start=at, end=at, symbol=take.symbol_of(i), kind=kind, size=100 * size
            )
            played.truths.append(truth)
    return played


def _of_events(take: Take, moved: Callable[[Columns], Array]) -> Played:
    played = as_it_was(take)
    for kind, columns in played.columns.items():
        events = np.where(columns["ts_event"] != 0, moved(columns), 0)
        played.columns[kind] = columns.with_arrays(ts_event=events)
    return played


def _without_chains(take: Take) -> Take:
    """The same tape of a vendor that has no sequences."""
    bare = {
        kind: columns.with_arrays(**{name: np.zeros(len(columns), np.int64) for name in ("seq", "prev")})
        for kind, columns in take.columns.items()
    }
    return replace(take, columns=bare)


def _span(take: Take, start: int, length: int) -> Array:
    inside: Array = (take.ts >= start) & (take.ts < start + length)
    return inside


def _starts(take: Take, random: Random, count: int, length: int) -> list[int]:
    """So many times, in order, well apart and from the ends, after each of which `length` is left."""
    first, last = take.of.start + 5 * INTERVAL, take.of.end - length - 5 * INTERVAL
    step = max(1, (last - first) // count)
    return [int(first + i * step + random.integers(0, max(1, step - length))) for i in range(count)]


def _log(random: Random, low: float, high: float) -> float:
    """Between both, as often small as large by magnitude."""
    return float(np.exp(random.uniform(np.log(low), np.log(max(low * 1.01, high)))))


def _log_many(random: Random, low: float, high: float, count: int) -> Array:
    found: Array = np.exp(random.uniform(np.log(low), np.log(high), count))
    return found


FAULTS = (
    Fault("drop", "messages the bus never sent", "", drop),
    Fault("burst", "all of a moment lost", "messages", burst),
    Fault("dup", "messages sent twice", "", dup),
    Fault("reorder", "messages behind later ones", "", reorder),
    Fault("lose", "messages lost in publishing", "", lose),
    Fault("deaf", "a collector killed", "s", deaf),
    Fault("stall", "a bus that stood still", "s", stall),
    Fault("mute", "one symbol silent, no sequences", "s", mute),
    Fault("thin", "a share of a symbol lost, no sequences", "%", thin),
    Fault("skew", "a slow clock", "ms", skew),
    Fault("zone", "a wrong time zone", "h", zone),
    Fault("frozen", "quotes that stand still", "s", frozen, labels=True),
    Fault("outlier", "single prices off by a share", "%", outlier, labels=True),
)
"""All that a drill can put in, by name."""

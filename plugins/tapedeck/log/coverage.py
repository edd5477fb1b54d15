"""Coverage: who listened, and when (DESIGN §1)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tapedeck.codec import decode_batch
from tapedeck.log import client, meta, topics
from tapedeck.log.meta import Extent
from tapedeck.log.plan import Range
from tapedeck.log.read import read
from tapedeck.log.resolve import resolve
from tapedeck.message import CONNECTED, DISCONNECTED, WHOLE_FEED
from tapedeck.settings import Settings
from tapedeck.slices import NS, Slice

PAUSE = 10 * NS
"""A collector beats each second: one that was silent for longer did not listen."""
FILES = 1000
"""Sources from here on are files; of a collector only its heartbeats say that it listened, whatever was
published or voided of it later."""
BEFORE = 3600 * NS
"""How far before the slice a change of the connection is looked for."""

Sign = tuple[int, int, int]
"""(time, a status's code or 0 for a heartbeat, the life's first stamp of a heartbeat)."""


def coverage(settings: Settings, vendor: str, of: Slice) -> dict[int, tuple[Slice, ...]]:
    """Per source, when it listened within the slice; in order, never touching one another.

    A collector listened from its life's first heartbeat to its last, but not from a disconnect to the
    next connect, nor where it was silent for more than PAUSE. A file covers each of its extents. What has
    not come through yet is not there. Raises as `topics.verify` does, Unavailable.
    """
    known = meta.read(settings)
    pinned = topics.verify(settings, vendor, known)
    wide = Slice(max(0, of.start - BEFORE), of.end)
    listening = [
        life
        for life in known.lives
        if life.vendor == vendor and life.since < of.end and not (life.closed and life.closed < wide.start)
    ]
    found: dict[int, list[Slice]] = {}
    live = {pin.id for pin in pinned.live} & {life.topic_id for life in listening}
    for src, signs in _signs(settings, vendor, wide, live).items():
        tapers = {life.since: life.taper for life in listening if life.src == src}
        found.setdefault(src, []).extend(listened(signs, tapers))
    for extent in known.extents:
        if extent.topic_id == pinned.backfill.id and extent.src >= FILES and _holds(extent):
            found.setdefault(extent.src, []).append(Slice(extent.first, extent.last + 1))
    clipped = {src: _within(spans, of) for src, spans in sorted(found.items())}
    return {src: spans for src, spans in clipped.items() if spans}


def listened(signs: Iterable[Sign], tapers: Mapping[int, int]) -> list[Slice]:
    """When one collector listened, by the signs of life that it gave. `tapers`: by a life's first stamp its
    taper's, where it moved from another topic: it goes on there connected or not, as it was."""
    spans: list[Slice] = []
    begin: int | None = None
    life, last, connected, changed = -1, 0, True, False

    def end(at: int) -> None:
        nonlocal begin
        if begin is not None and at > begin:
            spans.append(Slice(begin, at))
        begin = None

    for time, code, since in sorted(signs):
        if code == 0 and tapers.get(since, since) == tapers.get(life, life):
            life = since
        if code == 0 and since != life:  # a life begins, or the slice does within one
            end(last + 1)
            life, connected, changed = since, True, False
            begin = since if 0 <= time - since <= PAUSE else time
        elif code == 0 and time - last > PAUSE:
            end(last + 1)
            begin = time if connected else None
        elif code == DISCONNECTED:
            end(time)
            connected, changed = False, True
        elif code == CONNECTED:
            if not changed:
                begin = None  # it had not been connected before
            begin = time if begin is None else begin
            connected, changed = True, True
        if code == 0:
            last = time
    end(last + 1)
    return spans


def _signs(settings: Settings, vendor: str, wide: Slice, live: set[str]) -> dict[int, list[Sign]]:
    """Heartbeats and changes of connection by source, from the partitions that hold the fewest records."""
    found: dict[int, list[Sign]] = {}
    if not live:
        return found
    known = topics.verify(settings, vendor)
    pins = [pin for pin in known.live if pin.id in live]
    bounds = client.bounds(settings, [(pin.name, p) for pin in pins for p in range(pin.partitions)])
    held = [
        sum(high - low for (_, p), (low, high) in bounds.items() if p % known.groups == quiet)
        for quiet in range(known.groups)
    ]
    plan = resolve(settings, vendor, wide, partitions=[held.index(min(held))])
    least = {r.topic_id: r for r in sorted(_of(plan.ranges, live), key=lambda r: r.start - r.stop)}
    for records in read(settings, least.values()):  # each topic's heartbeats are in all its partitions
        for kind, part in decode_batch(records.values).columns.items():
            if kind not in ("heartbeat", "status"):
                continue
            second = part["code"] if kind == "status" else part["since"]
            rows = zip(
                part["symbol"].tolist(), part["src"].tolist(), part["ts_recv"].tolist(), second.tolist(),
                strict=True,
            )  # fmt: skip
            for symbol, src, time, value in rows:
                if part.symbols[symbol] == WHOLE_FEED and (
                    kind == "heartbeat" or value in (CONNECTED, DISCONNECTED)
                ):
                    sign = (time, 0, value) if kind == "heartbeat" else (time, value, 0)
                    found.setdefault(src, []).append(sign)
    return found


def _of(ranges: Iterable[Range], topic_ids: set[str]) -> list[Range]:
    return [r for r in ranges if r.topic_id in topic_ids]


def _holds(extent: Extent) -> bool:
    return extent.next is not None and extent.last > 0


def _within(spans: Iterable[Slice], of: Slice) -> tuple[Slice, ...]:
    """What of the spans lies in the slice, merged where they touch."""
    merged: list[Slice] = []
    for span in sorted(spans):
        start, end = max(span.start, of.start), min(span.end, of.end)
        if start >= end:
            continue
        if merged and start <= merged[-1].end:
            merged[-1] = Slice(merged[-1].start, max(end, merged[-1].end))
        else:
            merged.append(Slice(start, end))
    return tuple(merged)

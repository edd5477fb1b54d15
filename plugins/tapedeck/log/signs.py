"""Signs of listening: what the log itself shows of who heard the bus, and when (DESIGN §1, coverage). Pure.

A sign is a heartbeat, or the record of a connect or disconnect, of which every partition has a copy. In a
live topic a collector listened from a sign that says "connected" to its next one, as long as its life's
heartbeats follow. In the backfill topic, which is in no order of time, one heartbeat says it all: from its
`since` to its own time the source answers for what there was.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from tapedeck.columns import Array, Columns
from tapedeck.message import CONNECTED, DISCONNECTED, WHOLE_FEED

NO_BEAT = -1
"""`since` of a sign that is no heartbeat."""


@dataclass(frozen=True, slots=True)
class Span:
    """A source listened in [start, end), UTC ns. `topic`, `offset`: of the record of the backfill topic that
    says so; -1 where live signs do."""

    start: int
    end: int
    topic: int = -1
    offset: int = -1


def changes_of(status: Columns) -> Columns | None:
    """The connects and disconnects of the whole feed among statuses, as signs; None where there are none."""
    if WHOLE_FEED not in status.symbols:
        return None
    change = np.isin(status["code"], (CONNECTED, DISCONNECTED))
    change &= status["symbol"] == status.symbols.index(WHOLE_FEED)
    if not change.any():
        return None
    part = status.take(change)
    count = len(part)
    arrays = {name: part[name] for name in part.arrays if name not in ("code", "text")}
    arrays |= {
        "symbol": np.zeros(count, np.int32),
        "since": np.full(count, NO_BEAT, np.int64),
        "sent": np.zeros(count, np.int64),
        "closing": np.zeros(count, np.int64),
        "connected": (part["code"] == CONNECTED).astype(np.int64),
    }
    return Columns("heartbeat", (WHOLE_FEED,), arrays)


def listened(signs: Columns, pause: int, backfills: Iterable[int] = ()) -> dict[int, list[Span]]:
    """By source, when it listened, by time; spans of one source may overlap where history says so too.

    Heartbeats of one life that are at most `pause` ns apart prove that it listened between them.
    """
    found: dict[int, list[Span]] = {}
    history = np.isin(signs["topic"], list(backfills))
    for src in np.unique(signs["src"]).tolist():
        own = signs["src"] == src
        spans = _live(signs.take(own & ~history), pause)
        for i in np.flatnonzero(own & history & (signs["since"] != NO_BEAT)).tolist():
            end = int(signs["ts_recv"][i]) + 1
            spans.append(
                Span(int(signs["since"][i]), end, int(signs["topic"][i]), int(signs["offset"][i]))
            )  # fmt: skip
        if spans:
            found[src] = sorted(spans, key=lambda span: span.start)
    return found


def _live(signs: Columns, pause: int) -> list[Span]:
    """When one collector listened by its live signs; spans neither overlap nor touch.

    Where it moved to a new topic two heartbeats bear one time: the old life's counts, which goes on to there.
    """
    signs = signs.take(np.lexsort((signs["since"], signs["ts_recv"])))
    times, first = np.unique(signs["ts_recv"], return_index=True)
    if len(times) < 2:
        return []
    since, connected = signs["since"][first], signs["connected"][first] != 0
    following = _next_beat(since)
    proved = following < len(times)
    beat = np.minimum(following, len(times) - 1)
    proved &= (times[beat] - times <= pause) & (since[beat] <= times)
    heard = np.flatnonzero((connected & proved)[:-1])
    if not len(heard):
        return []
    cuts = np.flatnonzero(np.diff(heard) > 1) + 1
    return [Span(int(times[run[0]]), int(times[run[-1] + 1])) for run in np.split(heard, cuts)]


def _next_beat(since: Array) -> Array:
    """For each sign the place of the first heartbeat behind it; the number of signs where there is none."""
    count = len(since)
    beats = np.flatnonzero(since != NO_BEAT)
    after = np.searchsorted(beats, np.arange(count), side="right")
    places = np.append(beats, count)
    found: Array = places[after]
    return found

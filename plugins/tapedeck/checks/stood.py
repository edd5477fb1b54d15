"""Where a quiet symbol's chain stood before a slice: what Arctic has of it, where that is certain."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from tapedeck.checks.gaps import Head, Tail, tails
from tapedeck.log.meta import VendorTopics
from tapedeck.partitions import of_groups
from tapedeck.settings import Settings
from tapedeck.slices import Slice
from tapedeck.store import database, documents, library, positions
from tapedeck.store.window import between

MS = 1_000_000


def stood_before(
    settings: Settings, vendor: str, pins: VendorTopics, partition: int, kind: str, heads: Mapping[str, Head]
) -> dict[str, Tail]:
    """The last message in Arctic before each head, where a writer has closed all windows up to it.

    Only of the same source: where another one recorded before, a chain begins with each.
    """
    saved = positions.read(settings, vendor)
    lanes = [(pin.id, p) for pin in pins.live for p in of_groups([partition], pins.groups, pin.partitions)]
    known = [saved[lane] for lane in lanes if lane in saved]
    closed = min((position.closed.get(kind, 0) for position in known), default=0)
    one = library.named(settings, f"{vendor}.{kind}")
    found: dict[str, Tail] = {}
    for symbol, head in heads.items():
        if not head.prev or closed < one.around(head.ts_recv).start:
            continue
        before = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=head.ts_recv // MS)
        with database.answering(settings):
            document = one.collection.find_one({"sy": symbol, "s": {"$lt": before}}, sort=[("s", -1)])
        if document is None:
            continue
        rows = between(documents.stored(document).rows(kind), Slice(0, head.ts_recv))
        tail = tails(rows).get(symbol)
        if tail is not None and tail.src == head.src:
            found[symbol] = tail
    return found

"""Whether the ledger's blocks are what was entered: each is held against its own sums."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from tapedeck.settings import Settings
from tapedeck.slices import Slice
from tapedeck.store import database
from tapedeck.store.facts import CONTROL, ROW, UNDECODABLE, WHATS
from tapedeck.store.ledger import BLOCK, COLLECTION, MINUTE_NS, checksum

SMALL = 200
"""Blocks that are fetched at once: one takes up to some hundred kB."""


def meeting(settings: Settings, vendor: str, of: Slice) -> Iterator[dict[str, Any]]:
    """The vendor's blocks that have facts of minutes of the slice. Raises Unavailable."""
    first, last = of.start // MINUTE_NS, -(-of.end // MINUTE_NS)
    query = {
        "vendor": vendor, "days": {"$in": list(range(first // 1440, (last - 1) // 1440 + 1))},
        "first": {"$lt": last}, "last": {"$gte": first},
    }  # fmt: skip
    with database.answering(settings):
        yield from database.collection(settings, COLLECTION).find(query, batch_size=SMALL)


def wrong(block: Mapping[str, Any]) -> Iterator[str]:
    """What of a block is not as it must be. Whatever it holds, this raises nothing."""
    try:
        if block.get("sum") != checksum(block):
            yield "its bytes don't have the checksum that it was written with"
    except (KeyError, TypeError, ValueError) as e:
        yield f"it is no block of the ledger ({e!r})"
        return
    yield from unsound(block)


def unsound(block: Mapping[str, Any]) -> Iterator[str]:
    """What of a block contradicts itself, whatever its checksum."""
    try:
        yield from _wrong(block)
    except (KeyError, TypeError, ValueError) as e:
        yield f"it is no block of the ledger ({e!r})"


def _wrong(block: Mapping[str, Any]) -> Iterator[str]:
    runs = [(int(a), int(b)) for a, b in block["runs"]]
    low = int(block["block"]) * BLOCK
    if block["_id"] != f"{block['topic_id']}|{block['partition']}|{block['block']}":
        yield "its name is not that of its place"
    if any(not low <= a < b <= low + BLOCK for a, b in runs) or any(
        b >= c for (_, b), (c, _) in pairwise(runs)
    ):
        yield "its runs of offsets are no runs"
    rows = np.frombuffer(block["facts"], ROW)
    covered, counted = sum(b - a for a, b in runs), int(rows["messages"].sum())
    if covered != counted or bool((rows["messages"] <= 0).any()):
        yield f"its facts are of {counted:,} records where it covers {covered:,} offsets"
    key = rows["minute"] * len(WHATS) + rows["what"]
    if bool((key[1:] <= key[:-1]).any()) or bool(((rows["what"] < 0) | (rows["what"] >= len(WHATS))).any()):
        yield "its facts are not in order"
    none = np.isin(rows["what"], (CONTROL, UNDECODABLE)) & ((rows["high"] != 0) | (rows["low"] != 0))
    if bool(none.any()):
        yield "it has a digest of what is no message"
    if len(rows):
        days = np.unique(rows["minute"] // 1440).tolist()
        ends = (int(rows["minute"].min()), int(rows["minute"].max()))
        if (block["first"], block["last"]) != ends or list(block["days"]) != days:
            yield "a search for its minutes would not find it"

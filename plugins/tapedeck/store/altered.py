"""What a build would take from a standing window or change in it, counted before anything is written."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tapedeck import digest
from tapedeck.store import documents
from tapedeck.store.documents import Stored
from tapedeck.store.library import Library
from tapedeck.store.rebuilt import total_of
from tapedeck.store.window import Built


def altered(one: Library, built: Built, parts: Sequence[Stored]) -> int:
    """How many stored messages of the window would no longer stand as they do; 0 where it only grows.

    `parts`: what the window's documents say of themselves. They are read whole only where that differs from
    the build; messages are told apart by 64 bits of their hash. Of documents that can't be decoded all count.
    """
    stands, becomes = total_of(parts)[0], built.tallies[0]
    if not stands.messages or stands == becomes:
        return 0
    if not becomes.messages:
        return stands.messages
    try:
        held = [
            stored.rows(built.kind) for stored in documents.load(one.collection, [built.symbol], built.span)
        ]
    except Exception:  # bytes that were altered may fail in any way
        return stands.messages
    wanted = digest.hashes(built.kept)[0]
    return sum(int((~np.isin(digest.hashes(rows)[0], wanted)).sum()) for rows in held)

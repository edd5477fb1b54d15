"""How things stood when a slice ended: who was heard last when, who was halted, which silences went on.

Kept by the slice's end, so that the check of the next slice goes on from there: a silence over three hours is
one silence, and one that is over is no longer said to go on.
"""

from __future__ import annotations

import time

import msgspec
from msgspec import Struct

from tapedeck.settings import Settings
from tapedeck.store import database

COLLECTION = "heard"
KEPT_NS = 60 * 86_400 * 10**9
"""So long what a slice left is kept."""


class Heard(Struct, frozen=True, kw_only=True):
    """At one instant. `last`: by symbol, when it was heard last (ns); `silent`: by symbol ("*": the feed),
    when a silence began that was found and still went on; `gone`: likewise of symbols that were taken for
    delisted; `halted`: symbols."""

    last: dict[str, int] = {}
    silent: dict[str, int] = {}
    gone: dict[str, int] = {}
    halted: list[str] = []


NOTHING = Heard()
"""Where nobody looked at what was before."""


def before(settings: Settings, vendor: str, start: int) -> Heard:
    """How things stood at `start`, UTC ns, as the slice that ended there left them."""
    with database.answering(settings):
        found = database.collection(settings, COLLECTION).find_one({"_id": f"{vendor}|{start}"})
    return msgspec.msgpack.decode(found["heard"], type=Heard) if found else NOTHING


def keep(settings: Settings, vendor: str, end: int, heard: Heard) -> None:
    """Leave it for the slice that begins at `end`. Forgets what is older than is needed."""
    document = {"vendor": vendor, "end": end, "heard": msgspec.msgpack.encode(heard)}
    oldest = time.time_ns() - KEPT_NS
    with database.answering(settings):
        book = database.collection(settings, COLLECTION)
        book.replace_one({"_id": f"{vendor}|{end}"}, document, upsert=True)
        if end > oldest:
            book.delete_many({"vendor": vendor, "end": {"$lt": oldest}})

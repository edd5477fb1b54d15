"""Asking one source for what is wanted, publishing what it has, and keeping what it was asked for.

The record of an asking is `fetching` before the first message is published, so that one who is killed is
completed by the next; then `given`, `nothing` (which is not asked again) or `later`.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from tapedeck.jobs.history.source import Say, Source, Want
from tapedeck.settings import Settings
from tapedeck.slices import Slice
from tapedeck.store import database

COLLECTION = "history"
SETTLED = ("given", "nothing")


class Asked(Struct, frozen=True, kw_only=True):
    """What became of one want: messages that files gave it, each file with its source number."""

    want: Want
    outcome: str
    published: int = 0
    present: int = 0
    files: tuple[str, ...] = ()
    spans: tuple[Slice, ...] = ()
    """Of what was published for it: windows there differ."""


def unasked(settings: Settings, vendor: str, source: Source, wants: Sequence[Want]) -> list[Want]:
    """Those that the source has not been asked for, or not in such a way that it settled them."""
    with database.answering(settings):
        book = database.collection(settings, COLLECTION)
        ids = {_id(vendor, source, want): want for want in wants}
        settled = book.find({"_id": {"$in": list(ids)}, "outcome": {"$in": SETTLED}}, {"_id": 1})
        done = {document["_id"] for document in settled}
    return [want for key, want in ids.items() if key not in done]


def unfinished(settings: Settings, vendor: str, source: Source) -> list[Want]:
    """Wants of askings that were killed, and of those for which there may be something now."""
    with database.answering(settings):
        found = database.collection(settings, COLLECTION).find(
            {"vendor": vendor, "source": source.name, "outcome": {"$nin": SETTLED}}
        )
        return [msgspec.convert(document["want"], Want) for document in found]


def fetch(
    settings: Settings, vendor: str, source: Source, wants: Sequence[Want], symbols: Sequence[str],
    *, by: str, say: Say = lambda line: None,
) -> list[Asked]:  # fmt: skip
    """Ask, publish, record. All files are fetched and read whole before anything is published.

    Raises BadInput for a file that is not sound, Unavailable; then nothing is recorded as asked.
    """
    answer = source.find(wants, symbols)
    files: dict[str, list[str]] = {want.id: [] for want in wants}
    for found in answer.found:
        for want in found.wants:
            files[want.id].append(f"{found.file.name} (source {found.file.src})")
    counts = {want.id: [0, 0] for want in wants}
    spans: dict[str, list[Slice]] = {want.id: [] for want in wants}
    for want in wants:
        if files[want.id]:
            _keep(settings, vendor, source, Asked(want=want, outcome="fetching"), by)
    for found in answer.found:
        given = found.file.publish(settings, vendor, found.wants)
        say(f"{found.file.name}: {given.published:,} messages published, {given.present:,} were there")
        for want in found.wants:
            counts[want.id][0] += given.published
            counts[want.id][1] += given.present
            spans[want.id].append(given.span)
    done = []
    for want in wants:
        published, present = counts[want.id]
        outcome = "given" if published + present else "later" if want.id in answer.later else "nothing"
        done.append(
            Asked(
                want=want, outcome=outcome, published=published, present=present,
                files=tuple(dict.fromkeys(files[want.id])), spans=tuple(spans[want.id]),
            )
        )  # fmt: skip
    return done


def record(settings: Settings, vendor: str, source: Source, done: Sequence[Asked], by: str) -> None:
    """Keep what became of the wants, once their windows are built."""
    for one in done:
        _keep(settings, vendor, source, one, by)


def _keep(settings: Settings, vendor: str, source: Source, one: Asked, by: str) -> None:
    document: dict[str, Any] = {
        "vendor": vendor, "source": source.name, "at": time.time_ns(), "by": by, **msgspec.to_builtins(one)
    }  # fmt: skip
    with database.answering(settings):
        database.collection(settings, COLLECTION).replace_one(
            {"_id": _id(vendor, source, one.want)}, document, upsert=True
        )


def _id(vendor: str, source: Source, want: Want) -> str:
    return hashlib.sha256(f"{vendor}|{source.name}|{want.id}".encode()).hexdigest()[:24]

"""A collector's slice published again from its tape with today's normaliser; what was before is then void.

The log is append-only (DESIGN §2.9): what the tape says today goes into the backfill topic under the names
that it always had, and once Kafka has all of it a void says that the live topic's messages of that source and
slice, and those of the backfill topic before these, are no data. Killed before the void, what bears a name
that stands is a resend, and what only today's normaliser says stands beside the old; run again, it is all
done anew and the rest of both is void.
"""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import msgspec
from msgspec import Struct

from tapedeck import vendors
from tapedeck.errors import BadInput
from tapedeck.log import client, meta, topics
from tapedeck.log.meta import Life
from tapedeck.message import CONNECTED, DISCONNECTED, WHOLE_FEED, Status
from tapedeck.settings import Settings
from tapedeck.slices import Slice, format_time
from tapedeck.tape import lock
from tapedeck.tape.answers import Answers
from tapedeck.tape.follow import Follower
from tapedeck.tape.history import History, Names
from tapedeck.tape.lines import normalised
from tapedeck.tape.load import Loaded, Progress, Refused, walk_into
from tapedeck.tape.segment import own_of, segments, stamp_of
from tapedeck.tape.sender import Sender
from tapedeck.vendors import Normalised, Vendor

REASON = "published again from the tape with a later normaliser"


class Recording(Struct, frozen=True):
    """A collector's tape that was read whole: `span` is from its first stamp to behind its last message."""

    path: Path
    src: int
    lines: int
    span: Slice


def check(vendor: str, folder: Path) -> Recording:
    """What lies in a tape's folder. Nothing is published.

    Raises BadInput where it is no tape of this vendor, or has a hole: what is not on the tape can't be
    published again, and would be voided all the same.
    """
    found = segments(folder)
    if not found:
        raise BadInput(
            f"{folder} is no raw tape: give the folder that holds a collector's segments (*.tape, *.zst)"
        )
    for before, after in pairwise(found):
        if after != before.following and after.n:
            raise BadInput(
                f"the tape {folder} has no {before.following.name} before {after.name}: put it back, or "
                "renormalise each side of that hole by itself, in folders of their own"
            )
    src, count, first, last = 0, 0, 0, 0
    follower = Follower(folder)
    try:
        while chunk := follower.read():
            for line in chunk.data.split(b"\n")[:-1]:
                if line.startswith(b"!tape "):
                    src = src or _owner(vendor, folder, line)
                if (stamp := stamp_of(line)) is not None:
                    first, last = first or stamp, stamp + len(line)
                count += not line.startswith(b"!")
    finally:
        follower.close()
    return Recording(folder, src, count, Slice(first, last + 1))


def renormalise(
    settings: Settings,
    vendor: str,
    tape: Recording,
    of: Slice | None = None,
    progress: Progress = lambda lines: None,
) -> Loaded:
    """Publish what the tape has of the slice (all of it by default), then void what was there before.

    The live writer, or a rebuild of the slice, brings it into Arctic. Returns when Kafka has acknowledged
    all. Raises BadInput where the slice is not on this tape whole, or another job of this source is at work,
    Unavailable where Kafka fails; it can then be run again.
    """
    of = of or tape.span
    if of.start < tape.span.start or of.end > tape.span.end:
        raise BadInput(
            f"the tape {tape.path} goes from {format_time(tape.span.start)} to {format_time(tape.span.end)} "
            f"and {of} is not all on it: what is not there would be voided and not come again; give a slice "
            "within those"
        )
    _refuse_other_tapes(settings, vendor, tape, of)
    spoken = vendors.get(vendor)
    pinned = topics.ensure(settings, vendor)
    with (
        lock.held(settings.state / "load", f"load of {vendor}-{tape.src}", remedy="or wait until it is done"),
        client.consumer(settings) as consumer,
    ):
        history = History(settings, consumer, pinned.backfill, vendor, tape.src)
        history.names()  # closes the extent of one that was killed; what it published is voided with the rest
        refused = Refused(settings, vendor, of.start, tape.src)
        outbox = Sender(settings, pinned, tape.src, history)
        try:
            answers = Answers()
            done = walk_into(
                outbox, _said(tape, spoken, answers), Names.none(), refused, progress,
                path=tape.path, src=tape.src, of=of, answers=answers,
            )  # fmt: skip
            outbox.drain()
            for first, last in answers.spans():
                if max(first, of.start) <= min(last, of.end - 1):
                    outbox.answer(max(first, of.start), min(last, of.end - 1))
            outbox.drain()
            outbox.void(of, WHOLE_FEED, REASON)
            outbox.finish()
        finally:
            outbox.close()
    return done


def _said(tape: Recording, vendor: Vendor, answers: Answers) -> Iterator[tuple[int, bytes, Normalised]]:
    """Each line that says something as (its stamp, payload, what it says); `answers` hears who listened.

    A damaged line has said so already, in quarantine, and says nothing new.
    """
    follower = Follower(tape.path)
    try:
        while chunk := follower.read():
            for line in chunk.data.split(b"\n")[:-1]:
                if (stamp := stamp_of(line)) is None or stamp >= tape.span.end:
                    continue
                if line.startswith(b"!"):
                    _hear(answers, line, stamp)
                    if status := _status(line, stamp, tape.src):
                        yield stamp, line, [status]
                    continue
                payload = line.partition(b" ")[2]
                if payload.startswith(b"b64:"):
                    try:
                        payload = b64decode(payload[4:], validate=True)
                    except Base64Error:
                        continue
                yield stamp, payload, normalised(vendor, payload, stamp, tape.src)
    finally:
        follower.close()


def _hear(answers: Answers, line: bytes, stamp: int) -> None:
    """One line of the taper's own: another life and a disconnect end what a connect begins."""
    word, table = own_of(line)
    if word == "connect" or (word == "heartbeat" and table.get("connected") and not answers.connected):
        answers.connect()
    elif word == "tape" and table.get("n") == 0:
        answers.end()
    answers.line(stamp)
    if word == "disconnect":
        answers.end()


def _status(line: bytes, stamp: int, src: int) -> Status | None:
    word, table = own_of(line)
    if word not in ("connect", "disconnect"):
        return None
    code = CONNECTED if word == "connect" else DISCONNECTED
    return Status(WHOLE_FEED, 0, stamp, 0, 0, src, code, str(table.get("why", ""))[:500])


def _owner(vendor: str, folder: Path, line: bytes) -> int:
    try:
        table = own_of(line)[1]
        owner, src = table["vendor"], int(table["src"])
    except (msgspec.DecodeError, KeyError, TypeError, ValueError) as e:
        raise BadInput(f"the tape {folder} begins with a damaged line: put its first segment back") from e
    if owner != vendor:
        raise BadInput(f"the tape {folder} is of {owner}, not of {vendor}: give that vendor, or its tape")
    return src


def _refuse_other_tapes(settings: Settings, vendor: str, tape: Recording, of: Slice) -> None:
    """Lives of this source in the slice that lie on another tape would be voided and never come again."""
    here = {segment.life for segment in segments(tape.path)}
    lives = [life for life in meta.read(settings).lives if (life.vendor, life.src) == (vendor, tape.src)]
    for life, later in zip(lives, [*lives[1:], None], strict=True):
        if life.taper not in here and life.since < of.end and _end(life, later) > of.start:
            raise BadInput(
                f"collector {tape.src} of {vendor} had a life at {format_time(life.since)}, in {of}, that is "
                f"not on the tape {tape.path}: what it sent would be voided and not come again; give a slice "
                "without it, or put its segments there"
            )


def _end(life: Life, later: Life | None) -> int:
    """When a life was over, at the latest."""
    if life.closed is not None:
        return life.closed + 1
    return later.since if later is not None else 2**63 - 1

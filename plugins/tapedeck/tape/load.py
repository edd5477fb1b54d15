"""Captured files into `md.<vendor>.backfill`, with their own receipt times, each message once by its name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from msgspec import Struct

from tapedeck import vendors
from tapedeck.log import client, quarantine, topics
from tapedeck.log.quarantine import Entry
from tapedeck.message import KIND_OF, Message, encode
from tapedeck.settings import Settings
from tapedeck.slices import Slice
from tapedeck.tape import capture, lock
from tapedeck.tape.answers import Answers
from tapedeck.tape.capture import Capture
from tapedeck.tape.history import History, Names
from tapedeck.tape.lines import TOO_LONG
from tapedeck.tape.sender import Sender
from tapedeck.vendors import Chatter, Normalised, Refusal

POLL_LINES = 1000

Progress = Callable[[int], None]
Wanted = Callable[[Message], bool]


class Loaded(Struct, frozen=True):
    """What a load did with one file.

    `messages` published by kind, `refused` newly quarantined by reason, `chatter` by name; `present` came
    through before (messages and refusals), `redeemed` are quarantined payloads that are messages now.
    """

    file: str
    src: int
    messages: dict[str, int]
    refused: dict[str, int]
    chatter: dict[str, int]
    present: int
    redeemed: int


def check(vendor: str, paths: Sequence[Path], symbol: str | None = None) -> list[Capture]:
    """The files, each read whole. Raises BadInput for the first that can't be loaded; publishes nothing."""
    spoken = vendors.get(vendor)
    return [capture.check(path, spoken, symbol) for path in paths]


def load(
    settings: Settings,
    vendor: str,
    file: Capture,
    symbol: str | None = None,
    progress: Progress = lambda lines: None,
    wanted: Wanted | None = None,
) -> Loaded:
    """Publish what of the file did not come through before; returns when Kafka has acknowledged all.

    `symbol` is what payloads that name none are about; it redeems them where they were refused.
    `progress` is told how many lines are done. `wanted` leaves out messages; a file that is published whole
    and has messages without seq answers for all its time (`log.owners`). Killed at any point it can be
    run again: the extent that it left open is read and closed, and what is missing is published in one of
    its own. A load of the same file at the same time on another machine does no harm but resends.
    Raises Unavailable where Kafka fails or stalls, BadInput where this file is being loaded now.
    """
    spoken = vendors.get(vendor)
    with lock.held(
        settings.state / "load", f"load of {vendor}-{file.src}", remedy="or wait until it is done"
    ):
        # Behind the lock: where that can't be written, nothing is made.
        pinned = topics.ensure(settings, vendor)
        with client.consumer(settings) as consumer:
            history = History(settings, consumer, pinned.backfill, vendor, file.src)
            names = history.names()
            refused = Refused(settings, vendor, file.first, file.src)
            outbox = Sender(settings, pinned, file.src, history)
            try:
                said, answers = capture.walk(file, spoken, symbol), Answers()
                answers.connect()
                done = walk_into(
                    outbox, said, names, refused, progress, path=file.path, src=file.src, wanted=wanted,
                    answers=answers,
                )  # fmt: skip
                if wanted is None:
                    outbox.drain()  # what is not there yet may hide nothing
                    for first, last in answers.spans():
                        if not history.has_answered(first, last):
                            outbox.answer(first, last)
                outbox.finish()
            finally:
                outbox.close()
    return done


def walk_into(
    outbox: Sender,
    lines: Iterable[tuple[int, bytes, Normalised]],
    names: Names,
    refused: Refused,
    progress: Progress,
    *,
    path: Path,
    src: int,
    of: Slice | None = None,
    wanted: Wanted | None = None,
    answers: Answers | None = None,
) -> Loaded:
    """Publish what lines say and `names` do not name; of a slice, only its messages.

    Each line is (its stamp, payload, what it says); `answers` is told of it. Redemptions go
    when all before them is acknowledged.
    """
    messages: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    chatter: Counter[str] = Counter()
    present = 0
    redemptions = []
    for number, (stamp, payload, said) in enumerate(lines, 1):
        k = 0
        if answers is not None:
            answers.take(stamp, said)
        for one in said:
            if isinstance(one, Chatter):
                chatter[one.name] += 1
                continue
            if of is not None and not of.start <= stamp + k < of.end:
                k += 1
                continue
            there = names.has(stamp + k)
            value = b"" if isinstance(one, Refusal) else encode(one)
            if isinstance(one, Refusal) or len(value) > outbox.limit:
                reason = one.reason if isinstance(one, Refusal) else TOO_LONG
                if there or (stamp, k) in refused.known:
                    present += 1
                else:
                    outbox.refuse(Entry(payload, src, stamp, k, reason))
                    reasons[reason] += 1
            else:
                if there:
                    present += 1
                elif wanted is None or wanted(one):
                    outbox.publish(one, value, stamp + k)
                    messages[KIND_OF[type(one)]] += 1
                if entry := refused.standing.pop((stamp, k), None):
                    redemptions.append(entry.redemption())
            k += 1
        if number % POLL_LINES == 0:
            outbox.poll()
            progress(number)
    if redemptions:
        outbox.drain()  # a redemption says that the message is in the log
        for redemption in redemptions:
            outbox.refuse(redemption)
    return Loaded(str(path), src, dict(messages), dict(reasons), dict(chatter), present, len(redemptions))


class Refused:
    """What of a source is in quarantine: `known` names all, `standing` those never redeemed."""

    def __init__(self, settings: Settings, vendor: str, first: int, src: int) -> None:
        entries: dict[tuple[int, int], Entry] = {}
        redeemed = set()
        for entry in quarantine.read(settings, vendor, first, src):
            name = entry.recv_ns, entry.k
            if entry.redeemed:
                redeemed.add(name)
            else:
                entries.setdefault(name, entry)
        self.known = frozenset(entries)
        self.standing = {name: entry for name, entry in entries.items() if name not in redeemed}

"""Publishing what a target's partition lacks of a slice, acknowledged and counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

from msgspec import Struct

from tapedeck import digest
from tapedeck.columns import Array
from tapedeck.jobs import target
from tapedeck.jobs.kept import Kept
from tapedeck.jobs.standing import Standing, behind
from tapedeck.jobs.target import Target
from tapedeck.log import produce
from tapedeck.settings import Settings

BATCH = 10_000
"""After so many records the lease is looked at again."""


class Copied(Struct, frozen=True, kw_only=True):
    """What happened to one partition of the target. `before`, `after`: digests in hexadecimal."""

    partition: int
    messages: int
    already: int
    written: int
    behind: int
    """Of those written, how many stand behind later ones, since an earlier replay came before them."""
    duplicates: int
    voided: int
    undecodable: int
    before: str
    after: str


class Copying:
    """Publishes what a partition lacks, and counts. The topic is made with the first message."""

    def __init__(
        self, settings: Settings, there: Target, partition: int, before: Standing,
        check_lease: Callable[[], None],
    ) -> None:  # fmt: skip
        self.settings, self.target, self.partition = settings, there, partition
        self.before, self.check_lease = before, check_lease
        self.messages = self.written = self.behind = 0
        self.duplicates = self.voided = self.undecodable = 0
        self.digests: list[int] = []
        self.outbox: produce.Outbox | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing may be on its way to Kafka any more when the lease is given up."""
        if self.outbox is not None:
            self.outbox.close()

    def copy(self, stretch: Kept) -> None:
        """Publish what is missing of a stretch."""
        missing = self.before.missing(stretch)
        self.messages += len(stretch)
        self.duplicates += stretch.duplicates
        self.voided += stretch.voided
        self.undecodable += stretch.undecodable
        self.digests.append(stretch.digest)
        if len(missing):
            self.behind += behind(self.before, stretch.ts_recv[missing])
            self._send(stretch, missing)

    def _send(self, stretch: Kept, missing: Array) -> None:
        self.check_lease()
        if self.outbox is None:
            self.target = target.ensure(self.settings, self.target)
            lane = produce.Target(self.target.topic, self.partition)
            self.outbox = produce.Outbox(self.settings, [lane], self.check_lease)
        for at in range(0, len(missing), BATCH):
            self.check_lease()
            rows = missing[at : at + BATCH]
            self.outbox.send_all(
                0, stretch.values.take(rows), stretch.keys.take(rows), stretch.timestamps_ms[rows]
            )
            self.outbox.poll(0)
        self.written += len(missing)

    def finish(self) -> Copied:
        """Wait until Kafka has acknowledged all."""
        if self.outbox is not None:
            self.outbox.drain()
        return Copied(
            partition=self.partition, messages=self.messages, already=self.messages - self.written,
            written=self.written, behind=self.behind, duplicates=self.duplicates, voided=self.voided,
            undecodable=self.undecodable, before=digest.to_hex(self.before.digest),
            after=digest.to_hex(digest.add(*self.digests)),
        )  # fmt: skip

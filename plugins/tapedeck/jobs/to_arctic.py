"""Replaying into Arctic libraries `PREFIX_<vendor>.<kind>`: a second truth beside the first.

The windows that meet the slice are built from the log by the one window function and compared and replaced
as a rebuild does it: repeated, it writes nothing. So yesterday's libraries can be compared with what
today's normaliser, encoder or log make of them.
"""

from __future__ import annotations

import re

from msgspec import structs

from tapedeck.errors import BadInput
from tapedeck.jobs.checkpoint import Checkpoint
from tapedeck.jobs.clock import Clock
from tapedeck.jobs.order import Copied, Order, Preview
from tapedeck.jobs.pacing import Cap
from tapedeck.jobs.target import Say, label
from tapedeck.log.meta import Meta
from tapedeck.log.plan import Plan
from tapedeck.partitions import partition_of
from tapedeck.settings import Settings
from tapedeck.slices import Slice
from tapedeck.store import library
from tapedeck.store.rebuild import rebuild_partition
from tapedeck.store.rebuilt import Key, Rebuilt

SCHEME = "arctic:"
_PREFIX = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,19}")


class ArcticTarget:
    """`arctic:PREFIX`."""

    idempotent = True
    refuses_late = False

    def __init__(self, settings: Settings, order: Order, known: Meta) -> None:
        groups = known.topics(order.vendor).groups  # a window is built of one partition group
        self._settings, self.order = settings, structs.replace(order, partitions=groups)
        self._prefix = order.to.removeprefix(SCHEME)
        if not _PREFIX.fullmatch(self._prefix):
            raise BadInput(
                f"{self._prefix!r} can't begin a library's name: use 1 to 20 of A-Z, a-z, 0-9 and '_', a "
                "letter first, for example arctic:check"
            )
        owner = f"{self._prefix}_{order.vendor}"
        if owner in settings.vendors or any(pin.vendor == owner for pin in known.pins.values()):
            raise BadInput(f"the libraries {owner}.* are those of the vendor {owner}: take another prefix")

    def reads(self) -> Slice:
        """Whole windows: their content does not depend on who asks."""
        spans = [span for one in self._libraries().values() for span in one.windows(self.order.slice)]
        return Slice(min(span.start for span in spans), max(span.end for span in spans))

    def parts(self) -> list[int]:
        """See `Target.parts`."""
        order = self.order
        if order.symbols:
            return sorted({partition_of(symbol, order.partitions) for symbol in order.symbols})
        return list(range(order.partitions))

    def preview(self, plan: Plan) -> Preview:
        """Reads the whole slice."""
        total = sum((self._rebuilt(plan, part, dry=True) for part in self.parts()), Rebuilt())
        return Preview(
            already=total.messages if not total.written else 0,
            says=f"{self.order.to}: {total.added:,} windows to add, "
            f"{total.written - total.added:,} to change, {total.windows - total.written:,} unchanged, "
            f"of {total.messages:,} messages",
        )

    def copy(
        self, plan: Plan, part: int, say: Say, clock: Clock | None = None,
        checkpoint: Checkpoint | None = None,
    ) -> Copied:  # fmt: skip
        """See `Target.copy`."""
        done = self._rebuilt(plan, part, dry=False)
        say(
            f"{label(part)}: {done.windows:,} windows of {done.messages:,} messages, {done.written:,} written"
        )
        return Copied(
            partition=part, messages=done.messages, duplicates=done.duplicates, voided=done.voided,
            undecodable=done.undecodable, before=done.before, after=done.after, notes=done.notes,
            more={
                "windows_added": done.added, "windows_changed": done.written - done.added,
                "windows_unchanged": done.windows - done.written,
            },
        )  # fmt: skip

    def _libraries(self) -> dict[str, library.Library]:
        found = library.prefixed(self._settings, self.order.vendor, self._prefix)
        return {kind: found[kind] for kind in self.order.kinds}

    def _rebuilt(self, plan: Plan, part: int, dry: bool) -> Rebuilt:
        if not dry:
            library.ensure(self._settings, self.order.vendor, self._prefix)
        libraries, order, cap = self._libraries(), self.order, Cap(self.order.rate)
        only: frozenset[Key] | None = None
        if order.symbols:
            only = frozenset(
                (kind, symbol, span.start)
                for kind, one in libraries.items()
                for span in one.windows(order.slice)
                for symbol in order.symbols
            )
        return rebuild_partition(
            self._settings, order.vendor, order.slice, part, within=plan, only=only, by="replay",
            libraries=libraries, dry=dry, seen=lambda records: cap.took(len(records)),
        )  # fmt: skip

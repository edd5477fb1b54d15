"""What a rebuild did, in numbers that add up over windows and partitions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct, structs

from tapedeck import digest
from tapedeck.log.plan import Claim
from tapedeck.store.documents import Outcome, Stored
from tapedeck.store.window import Built, Tally

Key = tuple[str, str, int]
"""(kind, symbol, start of the window in ns)."""


class Rebuilt(Struct, frozen=True, kw_only=True):
    """What a rebuild did to the windows that meet its slice.

    `messages`, `duplicates` and `voided` are what their documents now say; digests are over the kept
    messages, before and after.
    """

    written: int = 0
    added: int = 0
    """Of those written: nothing stood there before."""
    equal: int = 0
    outdated: int = 0
    """Left as they are: newer code built them."""
    partial: int = 0
    """Of all: their log was no longer whole, and they stand on what is left of it."""
    standing: int = 0
    """Of all: their log was cut, so they stand and were only added to."""
    withheld: int = 0
    """Left as they are: messages that stand in them would be removed or changed, which was not allowed."""
    altered: int = 0
    """Messages that stand and would be removed or changed in windows that were withheld, or only foreseen."""
    messages: int = 0
    duplicates: int = 0
    voided: int = 0
    undecodable: int = 0
    before: str = digest.to_hex(0)
    after: str = digest.to_hex(0)
    notes: tuple[str, ...] = ()
    """Sentences that say what keeps the slice from being complete; none where it is."""
    claims: tuple[Claim, ...] = ()
    """What of the log was read."""

    @property
    def windows(self) -> int:
        """All windows that were looked at."""
        return self.written + self.equal + self.outdated + self.withheld

    def __add__(self, other: Rebuilt) -> Rebuilt:
        """Both together, of different windows."""
        sums = {
            name: getattr(self, name) + getattr(other, name)
            for name in self.__struct_fields__
            if isinstance(getattr(self, name), int)
        }
        return Rebuilt(
            **sums,
            before=digest.to_hex(digest.add(digest.from_hex(self.before), digest.from_hex(other.before))),
            after=digest.to_hex(digest.add(digest.from_hex(self.after), digest.from_hex(other.after))),
            notes=tuple(dict.fromkeys((*self.notes, *other.notes))),
            claims=(*self.claims, *other.claims),
        )


def total_of(parts: Sequence[Stored]) -> tuple[Tally, Tally, Tally]:
    """Kept, duplicate and voided of a stored window, over its parts; nothing of none."""
    kept, duplicates, voided = Tally(), Tally(), Tally()
    for part in parts:
        kept, duplicates, voided = (
            kept + part.tallies[0], duplicates + part.tallies[1], voided + part.tallies[2]
        )  # fmt: skip
    return kept, duplicates, voided


def counted(
    builds: Sequence[Built], outcomes: Sequence[Outcome], stood: Mapping[str, Sequence[Stored]]
) -> tuple[Rebuilt, list[Key]]:
    """The counts of windows of one span that were replaced, and those that must be built again.

    `stood`: by symbol, what stood there before.
    """
    counts = dict.fromkeys(Outcome, 0)
    messages, before, after, partial = [0, 0, 0], 0, 0, 0
    refused: list[Key] = []
    added = 0
    for built, outcome in zip(builds, outcomes, strict=True):
        if outcome is Outcome.REFUSED:
            refused.append((built.kind, built.symbol, built.span.start))
            continue
        counts[outcome] += 1
        added += outcome is Outcome.WRITTEN and not stood.get(built.symbol)
        old = total_of(stood.get(built.symbol, ()))
        stands = old if outcome is Outcome.OUTDATED else built.tallies
        before, after = digest.add(before, old[0].digest), digest.add(after, stands[0].digest)
        partial += built.partial
        for place, tally in enumerate(stands):
            messages[place] += tally.messages
    return Rebuilt(
        written=counts[Outcome.WRITTEN], added=added, equal=counts[Outcome.EQUAL],
        outdated=counts[Outcome.OUTDATED], partial=partial, messages=messages[0],
        duplicates=messages[1], voided=messages[2], before=digest.to_hex(before), after=digest.to_hex(after),
    ), refused  # fmt: skip


def counted_standing(parts: Sequence[Stored], altered: int = 0) -> Rebuilt:
    """The counts of a stored window that stands as it is.

    Its log was cut; or, where so many messages in it would be `altered`, it was withheld.
    """
    kept, duplicates, voided = total_of(parts)
    return Rebuilt(
        equal=int(not altered), standing=int(not altered), withheld=int(altered > 0), altered=altered,
        partial=int(parts[0].partial), messages=kept.messages, duplicates=duplicates.messages,
        voided=voided.messages, before=digest.to_hex(kept.digest), after=digest.to_hex(kept.digest),
    )  # fmt: skip


def counted_equal(parts: Sequence[Stored]) -> Rebuilt:
    """The counts of a stored window that is as the log has it."""
    return structs.replace(counted_standing(parts), standing=0)

"""Rebuilding what nobody was asked about: what only grows is written, what would lose or change is bounded.

A scheduled run never waits for a person (DESIGN §7). So windows whose messages would be removed or changed
are left until it is known how many that are in all; where that is more than a share, they stay as they are.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct, structs

from tapedeck.jobs.checkpoint import Checkpoint
from tapedeck.jobs.limits import allowed
from tapedeck.jobs.pacing import Cap
from tapedeck.jobs.target import Say
from tapedeck.log.plan import Plan
from tapedeck.settings import Settings
from tapedeck.slices import Slice, format_time
from tapedeck.store.rebuild import rebuild_partition
from tapedeck.store.rebuilt import Rebuilt


class Begun(Struct, frozen=True):
    """A checkpoint: all windows that start before `through` (UTC ns) are done, with what was done."""

    through: int
    done: Rebuilt


def rebuild(
    settings: Settings, vendor: str, of: Slice, partition: int, *, share: float | None, by: str,
    within: Plan | None = None, checkpoint: Checkpoint | None = None, say: Say = lambda line: None,
) -> Rebuilt:  # fmt: skip
    """`store.rebuild` of one partition; not beyond `share` of its messages where that is not None.

    Goes on where `checkpoint` says, and tells it as it goes. Reads no faster than `jobs.rate` allows.
    """
    keep, cap = checkpoint or Checkpoint(), Cap(settings.jobs.rate)

    def reached(through: int, done: Rebuilt) -> None:
        keep.save(msgspec.json.encode(Begun(through, structs.replace(done, claims=()))))
        say(
            f"partition {partition}: windows up to {format_time(through - 1)} are done: "
            f"{done.windows:,} with {done.messages:,} messages, {done.written:,} of them written"
        )

    begun = _begun(keep)
    if begun is not None:
        say(f"partition {partition}: going on after {format_time(begun[0] - 1)}, where it was left")
    done = rebuild_partition(
        settings, vendor, of, partition, within=within, by=by, spare=share is not None, begun=begun,
        reached=reached, seen=lambda records: cap.took(len(records)),
    )  # fmt: skip
    if done.withheld and share is not None and done.altered <= allowed(share, done.messages):
        say(f"partition {partition}: {done.withheld:,} windows change {done.altered:,} messages, as allowed")
        rest = rebuild_partition(
            settings, vendor, of, partition, within=within, by=by,
            seen=lambda records: cap.took(len(records)),
        )  # fmt: skip
        done = structs.replace(
            rest, written=done.written + rest.written, added=done.added + rest.added,
            equal=max(0, rest.equal - done.written), before=done.before,
        )  # fmt: skip
    keep.clear()
    return done


def _begun(checkpoint: Checkpoint) -> tuple[int, Rebuilt] | None:
    """Of a checkpoint of another version nothing is made: the part is done again."""
    try:
        found = msgspec.json.decode(checkpoint.load() or b"null", type=Begun | None)
    except msgspec.DecodeError:
        return None
    return None if found is None else (found.through, found.done)

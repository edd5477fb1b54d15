"""Replaying a slice of a vendor: to a topic, onto a bus, into Arctic, to Parquet files.

What is replayed are the messages that stand (DESIGN §2.3): no margins, no control records, no resends
or copies, nothing voided; in order (ts_recv, topic, offset). `prepare` freezes the plan and looks at all
that could be wrong; each part of the target is then copied (`copy_part`), in one process or in many; and
`finish` proves the whole. What a target promises says `jobs.target`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from msgspec import structs, to_builtins

from tapedeck import digest
from tapedeck.errors import BadInput, Mismatch
from tapedeck.jobs import plans, raw, receipts, targets
from tapedeck.jobs.checkpoint import Checkpoint
from tapedeck.jobs.clock import Clock
from tapedeck.jobs.forecast import forecast
from tapedeck.jobs.hours import hours_of
from tapedeck.jobs.known import check_known
from tapedeck.jobs.order import Copied, Order, Preview
from tapedeck.jobs.origin import Origin
from tapedeck.jobs.pacing import parse_speed
from tapedeck.jobs.receipts import Receipt
from tapedeck.jobs.target import Say, Target
from tapedeck.log import meta
from tapedeck.log.plan import Plan
from tapedeck.log.resolve import resolve
from tapedeck.log.timeline import timeline
from tapedeck.message import KINDS, check_kinds, check_symbol
from tapedeck.settings import Settings
from tapedeck.slices import Slice

JOB = "replay"
Progress = Callable[[int, int], object]


def prepare(
    settings: Settings, vendor: str, of: Slice, to: str, symbols: Sequence[str] = (),
    kinds: Sequence[str] = (), *, speed: str = "max", rate: int = 0, restamp: bool = False,
    from_tape: bool = False, tape: str = "", partial: bool = False, skip_closed: bool = False,
) -> tuple[Order, Plan]:  # fmt: skip
    """The order and its frozen plan. Writes nothing, and looks at all that could be wrong.

    `speed`: max, or so many times real time. `rate`: so many records of the log a second at most.
    `restamp`: CreateTime is the time of the replay. `from_tape`: raw payloads, of the tape in the folder
    `tape`. `partial`: also where Kafka has deleted some of the slice, which is refused else. `skip_closed`:
    in time, hours in which no symbol's venue is open take none.
    Raises BadInput for a vendor of which nothing is recorded, a symbol that it does not have, and
    a target that can't be replayed into.
    """
    settings.vendor(vendor)
    wanted = tuple(sorted({check_symbol(symbol) for symbol in symbols}))
    chosen = tuple(kind for kind in KINDS if not kinds or kind in check_kinds(tuple(kinds)))
    paced = parse_speed(speed)
    targets.check(to, speed=paced, restamp=restamp, raw=from_tape)
    if rate < 0:
        raise BadInput(
            f"a replay can't read {rate} records a second: write a number over 0, or 0 for no limit"
        )
    if skip_closed and not paced:
        raise BadInput(
            "a replay as fast as possible waits for no closed hours: set a speed, or leave that out"
        )
    if tape and not from_tape:
        raise BadInput(f"the tape {tape} holds raw payloads: ask for them (--raw), or leave it out")
    if from_tape and (wanted or kinds):
        raise BadInput("raw payloads are of all symbols and kinds: leave those out")
    folder = str(raw.folder_of(settings, vendor, tape)) if from_tape else ""
    known = meta.read(settings)
    count = 1 if from_tape else known.topics(vendor).live[-1].partitions
    asked = Order(
        vendor=vendor, slice=of, to=to, symbols=wanted, kinds=chosen, partitions=count, speed=paced,
        rate=rate, restamp=restamp, tape=folder, skip_closed=skip_closed,
    )  # fmt: skip
    if skip_closed and not hours_of(settings, [asked], of).total:
        raise BadInput(
            f"no venue of {vendor} is open in {of}, so nothing would be left: leave --skip-closed out"
        )
    target = targets.opened(settings, asked, known)
    if from_tape:
        plan = raw.plan_of(vendor, of, raw.folder_of(settings, vendor, folder))
    else:
        _check_symbols(settings, vendor, of, wanted)
        plan = resolve(settings, vendor, target.reads(), symbols=wanted)
        if plan.expired and not partial:
            raise BadInput(
                f"Kafka has deleted records of {vendor} {of} (partitions "
                f"{', '.join(map(str, plan.expired))}): replay a later slice, or what is left with "
                "--partial; what was deleted is in Arctic (`tapedeck read`) or on the tape (--raw)"
            )
    return structs.replace(target.order, plan=plan.digest), plan


def preview(settings: Settings, order: Order, plan: Plan) -> Preview:
    """What the target holds of the replay, or what would change. Writes nothing.

    Raises BadInput where it holds anything else in the slice, so that nothing is written then.
    """
    return _target(settings, order).preview(plan)


def look(settings: Settings, order: Order, plan: Plan) -> None:
    """Raises what `preview` raises, where copying would find that out only once a part was written."""
    target = _target(settings, order)
    if target.refuses_late:
        target.preview(plan)


def shown(settings: Settings, order: Order, plan: Plan) -> Iterator[str]:
    """The plan for a person, line by line, the slice in force first. Raises what `preview` raises."""
    table = plan.table().splitlines()
    yield f"{order.vendor} {order.slice}"
    if not order.tape:
        yield from table[1:]
        yield forecast(settings, order, plan).line
    else:
        yield f"raw payloads of the tape {order.tape}"
        yield from (f"note: {note}" for note in plan.notes)
    if order.speed:
        less = ", closed hours left out" if order.skip_closed else ""
        yield f"at {order.speed:g} times real time{less}"
    target = _target(settings, order)
    yield f"to {target.preview(plan).says}"
    if not target.idempotent:
        yield "not to be repeated: what was sent before is not told apart"


def parts(settings: Settings, order: Order) -> list[int]:
    """What can be copied apart from the rest, each by a process of its own."""
    return _target(settings, order).parts()


def copy_part(
    settings: Settings, order: Order, plan: Plan, part: int, say: Say = lambda line: None,
    clock: Clock | None = None, checkpoint: Checkpoint | None = None,
) -> Copied:  # fmt: skip
    """Bring one part of the target to hold exactly its share of the plan's slice (see `jobs.target`)."""
    return _target(settings, order).copy(plan, part, say, clock, checkpoint)


def finish(settings: Settings, order: Order, plan: Plan, copied: Iterable[Copied], origin: Origin) -> Receipt:
    """The receipt of a replay of which every part was copied. Raises Mismatch where one is missing."""
    done = sorted(copied, key=lambda part: part.partition)
    expected = parts(settings, order)
    if [part.partition for part in done] != expected:
        missing = sorted(set(expected) - {part.partition for part in done})
        raise Mismatch(f"the replay to {order.to} lacks its partitions {missing}: run those again")
    names = ("messages", "already", "written", "behind", "duplicates", "voided", "undecodable")
    counts = {name: sum(getattr(part, name) for part in done) for name in names}
    for name in dict.fromkeys(name for part in done for name in part.more):
        counts[name] = sum(part.more.get(name, 0) for part in done)
    notes = [note for part in done for note in part.notes]
    if counts["behind"]:
        notes.append(f"{counts['behind']} messages came late to the log and now stand behind later ones")
    lateness = next((part.lateness for part in done if part.lateness is not None), None)
    wrote = counts["written"] + counts.get("windows_added", 0) + counts.get("windows_changed", 0)
    return receipts.issue(
        settings, origin, JOB, plan.vendor, order.slice, plan,
        outcome="written" if wrote else "unchanged" if counts["messages"] else "empty",
        counts=counts, asked=order.asked, notes=tuple(notes),
        before=digest.to_hex(digest.add(*(digest.from_hex(part.before) for part in done))),
        after=digest.to_hex(digest.add(*(digest.from_hex(part.after) for part in done))),
        lateness=to_builtins(lateness) if lateness else {},
    )  # fmt: skip


def replay(
    settings: Settings, vendor: str, of: Slice, to: str, symbols: Sequence[str] = (),
    kinds: Sequence[str] = (), *, origin: Origin, progress: Progress = lambda done, total: None,
    say: Say = lambda line: None, speed: str = "max", rate: int = 0, restamp: bool = False,
    from_tape: bool = False, tape: str = "", partial: bool = False, skip_closed: bool = False,
) -> Receipt:  # fmt: skip
    """The whole job in this process: prepare, look, copy part after part, receipt.

    `progress` is told how many parts are done, of how many. The rest is as for `prepare`.
    """
    order, plan = prepare(
        settings, vendor, of, to, symbols, kinds, speed=speed, rate=rate, restamp=restamp,
        from_tape=from_tape, tape=tape, partial=partial, skip_closed=skip_closed,
    )  # fmt: skip
    look(settings, order, plan)
    plans.keep(settings, plan)
    target = _target(settings, order)
    chosen = target.parts()
    copied: list[Copied] = []
    for part in chosen:
        progress(len(copied), len(chosen))
        copied.append(target.copy(plan, part, say))
    return finish(settings, order, plan, copied, origin)


def _target(settings: Settings, order: Order) -> Target:
    return targets.opened(settings, order, meta.read(settings))


def _check_symbols(settings: Settings, vendor: str, of: Slice, symbols: Sequence[str]) -> None:
    """Raises BadInput for a symbol that settings, libraries and the slice itself do not know."""
    for symbol in symbols:
        try:
            check_known(settings, vendor, [symbol])
        except BadInput:
            reading = timeline(vendor, settings).between(of.start, of.end, symbols=[symbol])
            if not reading.count().messages:
                raise

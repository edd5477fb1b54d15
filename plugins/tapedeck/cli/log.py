"""`tapedeck cat`, `tail`: the log by time."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import click

from tapedeck import endpoints, settings
from tapedeck.cli.progress import bar
from tapedeck.cli.show import FOLLOWING, FORMATS, check_out, output, reader_gone, writer
from tapedeck.errors import BadInput, NothingRecorded
from tapedeck.jobs.known import check_known
from tapedeck.log import timeline as timelines
from tapedeck.log.coverage import coverage
from tapedeck.log.marks import Mark
from tapedeck.log.plan import Plan, from_json
from tapedeck.log.quarantine import count as count_quarantined
from tapedeck.log.reading import Reading
from tapedeck.log.tail import Tail, behind_text
from tapedeck.settings import Settings
from tapedeck.slices import NS, Slice, format_time, slice_of

CHUNK = 500
BEHIND = 5 * NS
"""A tail that is further behind says so on a terminal, every so often."""
SAY_SECONDS = 5.0
T = TypeVar("T")


def _list(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip()) if text else ()


@click.command()
@click.argument("vendor")
@click.argument("start", required=False)
@click.argument("end", required=False)
@click.option("--symbols", help="Only these, comma-separated, as the vendor writes them.")
@click.option("--kinds", help="Only these, comma-separated: trade, quote, book, status, fields.")
@click.option("--format", "form", type=click.Choice(FORMATS), default="table", show_default=True)
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="Write to this file, whole or not at all."
)
@click.option("--local", is_flag=True, help="The table's times in this machine's zone.")
@click.option("--count", "only_count", is_flag=True, help="Only count, by kind, with what was left out.")
@click.option(
    "--plan", "only_plan", is_flag=True, help="Only show which offsets answer; with --json to store it."
)
@click.option(
    "--stored",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Read a plan that --plan --json printed, instead of START and END.",
)
@click.option("--everything", is_flag=True, help="Resends, copies and voided messages too, marked.")
@click.option(
    "--incomplete",
    type=click.Choice(("flag", "refuse", "wait")),
    default="flag",
    show_default=True,
    help="What to do where more may come, or some has expired.",
)
@click.option("--wait", "deadline", default="5m", show_default=True, help="How long --incomplete wait waits.")
@click.option("--json", "as_json", is_flag=True, help="The counts, or the plan, as one JSON object.")
def cat(
    vendor: str, start: str | None, end: str | None, symbols: str | None, kinds: str | None, form: str,
    out: Path | None, local: bool, only_count: bool, only_plan: bool, stored: Path | None, everything: bool,
    incomplete: str, deadline: str, as_json: bool,
) -> None:  # fmt: skip
    """Print a vendor's messages with START <= receipt time < END, in order.

    \b
    Examples:
      tapedeck cat binance_usdm 2024-08-08T23:54:16Z 2024-08-08T23:54:17Z --kinds trade
      tapedeck cat binance_usdm 5m now --count
      tapedeck cat binance_usdm 2h 1h --incomplete wait --wait 10m --format parquet --out hour.parquet
      tapedeck cat binance_usdm 2h 1h --plan --json > plan.json; tapedeck cat binance_usdm --stored plan.json
    """
    deck = endpoints.resolve(settings.load())
    line = timelines.timeline(vendor, deck)
    asked: dict[str, Any] = {"symbols": _list(symbols), "kinds": _list(kinds), "everything": everything}
    check_out("table" if only_count or only_plan or as_json else form, out)
    if stored is not None:
        if start is not None:
            raise BadInput("--stored takes the place of START and END: give one or the other")
        reading = line.reading(from_json(stored.read_bytes()), **asked)
    elif start is None or end is None:
        raise BadInput(
            f"a slice needs START and END: `tapedeck cat {vendor} 5m now`, or a plan with --stored"
        )
    else:
        try:
            reading = line.between(
                start, end, **asked, incomplete=incomplete, deadline=deadline, waiting=_waiting(deadline)  # type: ignore[arg-type]
            )  # fmt: skip
        except NothingRecorded as e:  # a valid slice, which holds nothing; there is no plan to show, though
            if only_plan or incomplete != "flag":
                raise
            nothing = line.reading(_of_nothing(vendor, slice_of(start, end), str(e)), everything=everything)
            reading = replace(nothing, symbols=frozenset(asked["symbols"]))
    if only_plan:
        click.echo(reading.plan.to_json() if as_json else reading.plan.table())
        return
    for note in reading.plan.notes:
        click.echo(f"note: {note}", err=True)
    if only_count or as_json:
        _count(deck, reading, as_json)
    elif not _print(reading, form, out, local):
        check_known(deck, vendor, _list(symbols))
        click.echo(f"{vendor} has no messages in {reading.plan.slice}", err=True)


def _of_nothing(vendor: str, of: Slice, why: str) -> Plan:
    """The plan where there is no topic yet."""
    return Plan(vendor=vendor, slice=of, margin=0, partitions=0, ranges=(), claims=(), notes=(why,))


def _print(reading: Reading, form: str, out: Path | None, local: bool) -> int:
    """Write the messages and give how many those were."""
    count = 0
    with bar("reading", reading.plan.records, beside_output=out is None) as advance, output(out) as stream:
        reading = replace(reading, seen=lambda records: advance(len(records)))
        if form == "parquet":
            from tapedeck.cli.parquet import write_parquet

            return write_parquet(reading.batches(), stream, reading.everything)
        to = writer(form, stream, local, reading.everything)
        for chunk in _chunks(reading.marked(), CHUNK):
            to.write(chunk)
            count += len(chunk)
    return count


def _count(deck: Settings, reading: Reading, as_json: bool) -> None:
    plan = reading.plan
    with bar("counting", plan.records) as advance:
        total = replace(reading, seen=lambda records: advance(len(records))).count()
    if not total.messages:
        check_known(deck, plan.vendor, sorted(reading.symbols))
    alone, quarantined = plan.slice.end - plan.slice.start, 0
    if plan.partitions:
        alone -= _length(coverage(deck, plan.vendor, plan.slice))
        quarantined = count_quarantined(deck, plan.vendor, plan.slice)
    whole = {
        "messages": total.messages,
        "kinds": {kind: n for kind, n in total.kinds.items() if n},
        "duplicates": total.duplicates,
        "voided": total.voided,
        "undecodable": total.undecodable,
        "quarantined": quarantined,
        "complete": plan.complete,
        "uncovered_seconds": round(alone / NS, 3),
        "start": format_time(plan.slice.start),
        "end": format_time(plan.slice.end),
    }
    if as_json:
        click.echo(json.dumps(whole))
        return
    click.echo(f"{plan.vendor} {plan.slice}")
    for kind, n in total.kinds.items():
        if n:
            click.echo(f"{kind:<12}{n:>14,}")
    for name in ("messages", "duplicates", "voided", "undecodable", "quarantined"):
        click.echo(f"{name:<12}{whole[name]:>14,}")
    click.echo(f"complete: {'yes' if plan.complete else 'no'}")
    if round(alone / NS):  # less is but the way from an edge of the slice to the next heartbeat
        click.echo(f"no source listened for {alone / NS:,.0f} s of the slice")
    if not total.messages:
        click.echo("the slice holds no messages")


def _length(covered: dict[int, tuple[Slice, ...]]) -> int:
    """How long at least one source listened, ns."""
    total = reach = 0
    for one in sorted(span for spans in covered.values() for span in spans):
        total += max(0, one.end - max(one.start, reach))
        reach = max(reach, one.end)
    return total


@click.command()
@click.argument("vendor")
@click.option("--since", default=None, help="Begin so long ago (5m) or at an RFC 3339 time; default now.")
@click.option("--symbols", help="Only these, comma-separated, as the vendor writes them.")
@click.option("--kinds", help="Only these, comma-separated: trade, quote, book, status, fields.")
@click.option("--format", "form", type=click.Choice(FOLLOWING), default="table", show_default=True)
@click.option("--local", is_flag=True, help="The table's times in this machine's zone.")
@click.option("--json", "as_json", is_flag=True, help="For machines: the same as --format jsonl.")
def tail(
    vendor: str, since: str | None, symbols: str | None, kinds: str | None, form: str, local: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Follow a vendor's live messages; Ctrl-C ends it. On a terminal it says when it is behind.

    They are printed as they come, so each symbol's are in order, but not those of different symbols: `cat` of
    a slice merges all into one order.

    \b
    Examples:
      tapedeck tail binance_usdm --since 5m
      tapedeck tail binance_usdm --symbols BTCUSDT --kinds trade --format jsonl
    """
    deck = endpoints.resolve(settings.load())
    form = "jsonl" if as_json else form
    check_out(form, None)
    following = timelines.timeline(vendor, deck).tail(since, symbols=_list(symbols), kinds=_list(kinds))
    to = writer(form, sys.stdout.buffer, local)
    said, next_say = False, time.monotonic() + SAY_SECONDS
    try:
        for batch in following.batches():
            to.write([(message, Mark.KEPT) for message in batch])
            if batch:
                sys.stdout.flush()
            elif reader_gone():
                return
            if sys.stderr.isatty() and time.monotonic() >= next_say:
                said, next_say = _say_behind(following, said), time.monotonic() + SAY_SECONDS
    except KeyboardInterrupt:
        return


def _say_behind(following: Tail, said: bool) -> bool:
    """Tell on stderr how far the tail is behind, and once when it is not any more."""
    behind = following.behind
    if behind.records and behind.ns > BEHIND:
        click.echo(f"tail: {behind_text(behind)}", err=True)
        return True
    if said:
        click.echo("tail: has caught up", err=True)
    return False


def _waiting(deadline: str) -> Any:
    """What tells on a terminal for whom a slice waits, when that changes."""
    told: list[tuple[str, ...]] = []

    def tell(plan: Plan) -> None:
        if sys.stderr.isatty() and told != [plan.notes]:
            told[:] = [plan.notes]
            why = "; ".join(plan.notes) or "its end is ahead of now"
            click.echo(f"waiting at most {deadline}: {why}", err=True)

    return tell


def _chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    source = iter(items)
    while chunk := list(islice(source, size)):
        yield chunk

"""`tapedeck replay`, `backfill`, `void`, `receipts`: the jobs, and what they proved."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tapedeck import endpoints, settings
from tapedeck.errors import BadInput
from tapedeck.jobs.origin import asked_here
from tapedeck.slices import parse_slice

if TYPE_CHECKING:
    from tapedeck.jobs.receipts import Receipt


@click.command()
@click.argument("vendor")
@click.argument("start")
@click.argument("end")
@click.option("--to", required=True, metavar="TARGET", help="Where to, see above.")
@click.option("--symbols", help="Only these, comma-separated, as the vendor writes them.")
@click.option("--kinds", help="Only these, comma-separated: trade, quote, book, status, fields.")
@click.option("--speed", default="max", show_default=True, help="max, or so many times real time: 1, 10.")
@click.option("--rate", type=click.IntRange(min=1), help="Read at most so many records of the log a second.")
@click.option("--restamp", is_flag=True, help="Into a new topic: CreateTime is the time of the replay.")
@click.option("--raw", is_flag=True, help="Onto a bus: the vendor's own payloads, from a collector's tape.")
@click.option("--tape", default="", metavar="FOLDER", help="Which tape, where there are several.")
@click.option("--partial", is_flag=True, help="Also where Kafka has deleted some of the slice.")
@click.option("--skip-closed", is_flag=True, help="In time: hours in which no venue is open take none.")
@click.option("--plan", "only_plan", is_flag=True, help="Only show what would be done; write nothing.")
@click.option("--json", "as_json", is_flag=True, help="The receipt (or the plan) as one JSON object.")
def replay(
    vendor: str, start: str, end: str, to: str, symbols: str | None, kinds: str | None, speed: str,
    rate: int | None, restamp: bool, raw: bool, tape: str, partial: bool, skip_closed: bool,
    only_plan: bool, as_json: bool,
) -> None:  # fmt: skip
    """Play a vendor's messages with START <= receipt time < END to a topic, onto a bus, into a store.

    \b
    kafka:TOPIC    keys, values and CreateTimes byte for byte, each symbol in its own partition;
                   a topic that does not exist is made, and repeated it adds nothing
    zmq:ADDRESS    published there, one message (MsgPack) a frame, in one order; it begins with the
                   first subscriber, and repeated it sends all again
    arctic:PREFIX  the libraries PREFIX_VENDOR.KIND, built from the log as the vendor's own are
    parquet:DIR    vendor=…/kind=…/day=…/symbol=…, in a folder of its own; repeated, it adds nothing

    VENDOR may be several, comma-separated: each goes to a target of its own, {vendor} in TARGET being its
    name, and in time (--speed) they go by one clock.

    \b
    Examples:
      tapedeck replay binance_usdm 2024-08-08T23:54:16Z 2024-08-08T23:55:16Z --to kafka:replay.btc
      tapedeck replay binance_usdm 2h 1h --to kafka:replay.btc --symbols BTCUSDT --kinds trade --plan
      tapedeck replay binance_usdm 2h 1h --to zmq:tcp://127.0.0.1:5599 --speed 10
      tapedeck replay binance_usdm,binance_spot 2h 1h --to kafka:replay.{vendor} --speed 10
    """
    from tapedeck.jobs import replay as job
    from tapedeck.jobs import together
    from tapedeck.jobs.forecast import forecast

    deck, of = endpoints.resolve(settings.load()), parse_slice(start, end)
    origin = asked_here()
    some: dict[str, Any] = {
        "symbols": _list(symbols), "kinds": _list(kinds), "speed": speed, "rate": rate or 0,
        "restamp": restamp, "from_tape": raw, "tape": tape, "partial": partial, "skip_closed": skip_closed,
    }  # fmt: skip
    vendors = _list(vendor) or (vendor,)
    if only_plan:
        said = []
        for order, plan in together.prepare(deck, vendors, of, to, **some):
            if as_json:
                found, cost = job.preview(deck, order, plan), forecast(deck, order, plan)
                about = {"already": found.already, "target": found, "forecast": cost}
                said.append({"order": order, "plan": plan, **about})
            else:
                for line in job.shown(deck, order, plan):
                    click.echo(line)
        if as_json:
            click.echo(msgspec.json.encode(said[0] if len(said) == 1 else {"plans": said}))
        return
    with progress_of("parts") as progress:
        if len(vendors) == 1:
            own = together.spread(vendors, to)[0][1]
            receipts = [job.replay(deck, vendors[0], of, own, origin=origin, progress=progress, **some)]
        else:
            prepared = together.prepare(deck, vendors, of, to, **some)
            receipts = together.replayed(deck, prepared, origin=origin, progress=progress)
    if as_json and len(receipts) > 1:
        click.echo(msgspec.json.encode({"receipts": receipts}))
        return
    for receipt in receipts:
        _show(receipt, as_json)


@click.command()
@click.argument("vendor")
@click.argument("start")
@click.argument("end")
@click.option("--plan", "only_plan", is_flag=True, help="Only show what would be done; write nothing.")
@click.option("--json", "as_json", is_flag=True, help="The receipts as one JSON object.")
def backfill(vendor: str, start: str, end: str, only_plan: bool, as_json: bool) -> None:
    """Rebuild from the log every window of a vendor that meets [START, END); write those that differ.

    Then, where the settings name sources of history, what the log never had is fetched, and the gaps that
    it closes are closed. Repeated, it writes nothing.

    \b
    Examples:
      tapedeck backfill binance_usdm 2024-08-08T00:00:00Z 2024-08-09T00:00:00Z
      tapedeck backfill binance_usdm 2d 1d --plan
    """
    from tapedeck.checks import doors
    from tapedeck.jobs import backfill as job

    deck, of = endpoints.resolve(settings.load()), parse_slice(start, end)
    if only_plan:
        order, plan = job.prepare(deck, vendor, of)
        would = job.foreseen(deck, order, plan) if plan else None
        if as_json:
            click.echo(msgspec.json.encode({"order": order, "plan": plan, "would": would}))
            return
        for line in job.shown(deck, order, plan, would):
            click.echo(line)
        return
    with progress_of("partitions") as progress:
        receipt, *filled = doors.backfill(vendor, of.start, of.end, settings=deck, progress=progress)
    if as_json:
        whole = {**msgspec.to_builtins(receipt), "history": filled[0] if filled else None}
        click.echo(msgspec.json.encode(whole))
        return
    _show(receipt, as_json=False)
    for one in filled:
        click.echo(f"{one.line}\nreceipt {one.id}")


@click.command()
@click.argument("vendor")
@click.argument("start")
@click.argument("end")
@click.option("--src", type=click.IntRange(min=1), required=True, help="Whose messages: a source's number.")
@click.option("--symbols", help="Only these, comma-separated, as the vendor writes them.")
@click.option("--reason", required=True, help="Why, in a sentence; it stays in the log.")
@click.option("--plan", "only_plan", is_flag=True, help="Only show what would be voided; write nothing.")
@click.option("--approve", type=click.IntRange(min=0), default=None, help="So many messages, as planned.")
@click.option("--json", "as_json", is_flag=True, help="The receipt (or the plan) as one JSON object.")
def void(
    vendor: str, start: str, end: str, src: int, symbols: str | None, reason: str, only_plan: bool,
    approve: int | None, as_json: bool,
) -> None:  # fmt: skip
    """Say that what a source sent in [START, END) is no data: a vendor's garbage, say.

    The log keeps it all; a record says what is void, and the windows are rebuilt without it. Repeated, it
    voids nothing twice. What takes out more than 0.1 % of a day's messages must be approved, by how many:
    typed at a terminal, or with --approve N as the plan says; in Airflow, DAG void, somebody else approves.

    \b
    Examples:
      tapedeck void binance_usdm 2h 1h --src 1 --symbols BTCUSDT --reason "prices in cents" --plan
      tapedeck void binance_usdm 2h 1h --src 1 --symbols BTCUSDT --reason "prices in cents" --approve 3600
    """
    from tapedeck.jobs import void as job

    deck, of = endpoints.resolve(settings.load()), parse_slice(start, end)
    origin = asked_here()
    order = job.order(deck, vendor, of, src, reason, _list(symbols))
    foreseen = job.foresee(deck, order)
    why = job.exceeded(deck, order, foreseen)
    if only_plan and as_json:
        click.echo(msgspec.json.encode({"order": order, "plan": foreseen, "approval": why}))
    elif only_plan or not as_json:
        for line in (*job.shown(order, foreseen), *(f"needs an approval: {one}" for one in why)):
            click.echo(line, err=not only_plan)
    if only_plan:
        return
    if why and approve is None:
        approve = _approved(foreseen.messages, why)
    with progress_of("partitions") as progress:
        receipt = job.void(deck, order, origin=origin, approved=approve, progress=progress)
    _show(receipt, as_json)


def _approved(messages: int, why: Sequence[str]) -> int:
    """What a person types to approve it. Raises BadInput where there is no terminal, or it is another."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise BadInput(f"{why[0]}: look at it with --plan, then give --approve {messages}")
    typed = click.prompt(f"type the number of messages to void ({messages:,})", err=True, default="")
    if typed.replace(",", "").strip() != str(messages):
        raise BadInput("that is not the number of messages, so nothing was voided")
    return messages


@click.command()
@click.argument("identity", metavar="[ID]", required=False)
@click.option("--vendor", default="", help="Only this vendor's.")
@click.option("--job", default="", help="Only of this job: replay, backfill, history, reconcile or void.")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="So many at most.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object for machines.")
def receipts(identity: str | None, vendor: str, job: str, limit: int, as_json: bool) -> None:
    """List what finished jobs have proved, newest first; with an ID, or its beginning, show one whole.

    \b
    Examples:
      tapedeck receipts --vendor binance_usdm
      tapedeck receipts 83af6201 --json
    """
    from tapedeck.jobs import doors
    from tapedeck.jobs import receipts as book

    deck = endpoints.resolve(settings.load())
    if identity:
        one = book.find(deck, identity)
        click.echo(one.to_json() if as_json else _whole(one))
        return
    found = doors.receipts(vendor, job, limit, settings=deck)
    if as_json:
        click.echo(msgspec.json.encode({"receipts": found}))
        return
    for one in found:
        click.echo(f"{one.id}  {one.ended[:19]}Z  {one.line}")
    if not found:
        click.echo("no job has finished yet")


def _show(receipt: Receipt, as_json: bool) -> None:
    """What a job that has just finished has to say."""
    for note in receipt.notes:
        click.echo(f"note: {note}", err=True)
    if as_json:
        click.echo(receipt.to_json())
    elif receipt.outcome == "empty":
        where = f"[{receipt.start}, {receipt.end})"
        click.echo(f"{receipt.vendor} has no messages in {where}: nothing was written (receipt {receipt.id})")
    else:
        click.echo(f"{receipt.line}\nreceipt {receipt.id}")


def _whole(one: Receipt) -> str:
    """Every field of a receipt on a line of its own, the plan's ranges as their number."""
    fields = msgspec.to_builtins(one)
    fields["ranges"] = f"{len(fields['ranges'].get('ranges', []))} (see --json)"
    for name in ("counts", "asked", "lateness"):
        fields[name] = ", ".join(f"{key} {_value(value)}" for key, value in fields[name].items()) or "-"
    fields["notes"] = "; ".join(fields["notes"]) or "-"
    width = max(map(len, fields))
    return "\n".join(f"{name:<{width}}  {_value(value)}" for name, value in fields.items())


def _value(value: object) -> str:
    if isinstance(value, dict):
        return " ".join(f"≤{edge}:{count:,}" for edge, count in value.items()) or "-"
    if isinstance(value, list):
        return "+".join(map(str, value)) or "all"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value) if value != "" else "-"


@contextmanager
def progress_of(what: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on a terminal; nothing in a pipe. Gives what to tell parts done, of how many."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def _list(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip()) if text else ()

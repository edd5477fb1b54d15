"""`tapedeck collect`, `load` and `tape`: what is recorded, and what was captured elsewhere."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tapedeck import logs, settings, vendors
from tapedeck.errors import BadInput
from tapedeck.settings import Settings
from tapedeck.slices import format_time, parse_slice
from tapedeck.tape import collector, listing
from tapedeck.tape import load as loading
from tapedeck.tape import renormalise as renormalising
from tapedeck.tape.ending import Ending
from tapedeck.tape.load import Loaded


@click.command()
@click.argument("vendor")
@click.option(
    "--src", type=click.IntRange(1, 999), default=1, show_default=True, help="The collector's number."
)
@click.option("--bus", default="", metavar="ADDRESS", help="zmq:tcp://HOST:PORT or websocket, if not as set.")
@click.option("--retire", is_flag=True, help="Wait no more for this collector, which does not run any more.")
def collect(vendor: str, src: int, bus: str, retire: bool) -> None:
    """Record a vendor's bus on the raw tape and publish it to Kafka, until Ctrl-C or SIGTERM.

    Two processes do it, taper and publisher; either is started again if it dies. Kafka may be away:
    the tape grows, and is published when it is back.

    \b
    Example:
      tapedeck collect binance_usdm
      tapedeck collect binance_usdm --bus websocket     (the venue itself, no key needed)
    """
    deck = settings.load()
    if retire:
        count = collector.retire(deck, vendor, src)
        click.echo(f"collector {src} of {vendor}: {count} open lives retired")
        return
    say = logs.teller(deck, "collect", vendor=vendor, src=src)
    status = collector.collect(deck, vendor, src, bus, Ending().listen(), say)
    if status:
        sys.exit(status)


@click.command()
@click.argument("vendor")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--symbol", help="What payloads that name no symbol are about; redeems them from quarantine.")
@click.option("--renormalise", is_flag=True, help="FILE is a collector's tape: publish it anew, see above.")
@click.option("--from", "start", metavar="START", help="Of that tape only what came at or after START,")
@click.option("--to", "end", metavar="END", help="and before END.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object for machines.")
def load(
    vendor: str, files: tuple[Path, ...], symbol: str | None, renormalise: bool, start: str | None,
    end: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Publish captured files to the backfill topic with their own receipt times.

    Files are lines of `recv_ns payload`, plain, gzip or zstd. All are read whole before anything is
    published. Loading one again publishes only what did not come through before.

    With --renormalise FILE is the folder of a collector's raw tape: all of it, or the slice, is published
    again with today's normaliser, and what was published of it before is then void.

    \b
    Example:
      tapedeck load binance_usdm btcusdt_20240808.gz
      tapedeck load binance_usdm .tapedeck/tape/binance_usdm/1 --renormalise --from 2h --to 1h
      tapedeck load binance_usdm btcusdt_20240808.gz --symbol BTCUSDT
    """
    deck = settings.load()
    deck.vendor(vendor)
    vendors.get(vendor)
    if renormalise:
        _renormalise(deck, vendor, files, symbol, start, end, as_json)
        return
    if start or end:
        raise BadInput("--from and --to are for --renormalise: a captured file is loaded whole")
    captures = loading.check(vendor, files, symbol)
    done: list[Loaded] = []
    with _bar(sum(file.lines for file in captures)) as advance:
        for file in captures:
            one = loading.load(deck, vendor, file, symbol, advance)
            done.append(one)
            advance(file.lines)
            if not as_json:
                click.echo(_line(one))
    if as_json:
        _total(done)


@click.command()
@click.argument("vendor")
@click.option("--json", "as_json", is_flag=True, help="One JSON object for machines.")
def tape(vendor: str, as_json: bool) -> None:
    """List the raw tapes of a vendor's collectors: segments, what they hold, what Kafka has acknowledged.

    \b
    Example:
      tapedeck tape binance_usdm
    """
    deck = settings.load()
    found = listing.tapes(deck, vendor)
    if as_json:
        click.echo(json.dumps({"tapes": msgspec.to_builtins(found)}))
        return
    if not found:
        click.echo(f"no tape of {vendor} lies in {deck.tape_dir(vendor, 1).parent}")
    for one in found:
        click.echo(f"collector {one.src}  {one.folder}")
        for s in one.segments:
            through = "published" if s.published else "partly" if s.reached else "waiting"
            span = f"{format_time(s.first):<30}  {format_time(s.last):<30}" if s.lines else f"{'empty':<62}"
            click.echo(f"  {s.file:<35}  {span}  {s.lines:>12,} lines  {s.bytes:>15,} bytes  {through}")
        stamp = format_time(one.acknowledged) if one.acknowledged else "nothing yet"
        click.echo(f"  acknowledged by Kafka through {stamp}")


def _renormalise(
    deck: Settings, vendor: str, files: tuple[Path, ...], symbol: str | None, start: str | None,
    end: str | None, as_json: bool,
) -> None:  # fmt: skip
    if symbol or len(files) != 1:
        raise BadInput("--renormalise takes the folder of one collector's tape, and no --symbol")
    if (start is None) != (end is None):
        raise BadInput("give both --from and --to, or neither for the whole tape")
    of = parse_slice(start, end) if start is not None and end is not None else None
    tape = renormalising.check(vendor, files[0].absolute())
    with _bar(tape.lines) as advance:
        done = renormalising.renormalise(deck, vendor, tape, of, advance)
        advance(tape.lines)
    if as_json:
        _total([done])
    else:
        click.echo(f"{_line(done)}; what was published of it before is void")


def _total(done: list[Loaded]) -> None:
    total = {
        "messages": sum(sum(one.messages.values()) for one in done),
        "refused": sum(sum(one.refused.values()) for one in done),
        "present": sum(one.present for one in done),
        "redeemed": sum(one.redeemed for one in done),
    }
    click.echo(json.dumps({**total, "files": msgspec.to_builtins(done)}))


def _line(one: Loaded) -> str:
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(one.messages.items()))
    parts = [f"{sum(one.messages.values()):,} messages published" + (f" ({kinds})" if kinds else "")]
    if one.present:
        parts.append(f"{one.present:,} already there")
    parts += [f"{count:,} refused ({reason})" for reason, count in sorted(one.refused.items())]
    if one.redeemed:
        parts.append(f"{one.redeemed:,} redeemed from quarantine")
    parts += [f"{count:,} {name} passed over" for name, count in sorted(one.chatter.items())]
    return f"{one.file}: {'; '.join(parts)}"


@contextmanager
def _bar(total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar on a terminal; nothing in a pipe. Gives what to tell lines done of the present file."""
    if not sys.stderr.isatty():
        yield lambda lines: None
        return
    columns = (TextColumn("loading"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task, before = progress.add_task("", total=total), 0

        def advance(lines: int) -> None:
            nonlocal before
            before = 0 if lines < before else before
            progress.advance(task, lines - before)
            before = lines

        yield advance

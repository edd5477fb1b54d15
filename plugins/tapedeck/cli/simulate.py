"""`tapedeck simulate`: a bus from captured files, or from a synthetic market."""

from __future__ import annotations

import json
import os
import sys
import time

import click
import msgspec

from tapedeck import settings, vendors
from tapedeck.errors import BadInput
from tapedeck.simulate import capture, market
from tapedeck.simulate.simulation import Simulation, Synthetic
from tapedeck.slices import NS, parse_duration, parse_time

DEFAULT_RATE, DEFAULT_BURST = 100.0, 1.0


@click.command()
@click.argument("vendor")
@click.argument("files", nargs=-1, metavar="[FILE]…")
@click.option(
    "--speed", default="1", show_default=True, help="Pace: 1 is the file's own, 10 ten times it; or max."
)
@click.option(
    "--fault", "faults", multiple=True, metavar="drop=P,dup=P,reorder=P,stall=P",
    help="Probabilities a message: lost, sent twice, sent behind 1 to 3 later ones of its stream, everything "
    "waits 0.5 s. Or stall=2s@10s: once, 2 s, 10 s into the play. What is overdue then goes at once.",
)  # fmt: skip
@click.option(
    "--seed", type=int, default=1, show_default=True, help="Decides the faults and the synthetic market."
)
@click.option(
    "--ledger", metavar="FILE", help="JSON lines: each fault as it was done, then totals by stream."
)
@click.option(
    "--bus", metavar="ADDRESS",
    help="Where to publish, if not at the vendor's bus: zmq:tcp://HOST:PORT, websocket:ws://HOST:PORT (as a "
    "venue) or nats:nats://HOST:PORT/SUBJECT (which tells nobody who listens: it begins at once).",
)  # fmt: skip
@click.option("--wait-subscribers", type=int, default=1, show_default=True, help="Begin when so many listen.")
@click.option(
    "--wait-timeout", default="5m", show_default=True, help="Give up when they have not come by then."
)
@click.option(
    "--symbols", type=int, help="Synthetic: how many symbols; the vendor's own, then SYM0003USDT, …"
)
@click.option("--rate", type=float, help="Synthetic: messages a second over all symbols.  [default: 100]")
@click.option(
    "--burst", type=float, help="Synthetic: so many times the rate in each tenth second.  [default: 1]"
)
@click.option("--duration", metavar="SECONDS", help="Synthetic: its length; without one it ends with Ctrl-C.")
@click.option(
    "--start",
    metavar="TIME",
    help="Synthetic: its first receipt time.  [default: now; with --out, as long ago as it lasts]",
)
@click.option(
    "--out", metavar="FILE", help="Synthetic: write a captured file (.gz, .zst or plain) and play nothing."
)
@click.option("--json", "as_json", is_flag=True, help="The totals as one JSON object for machines.")
def simulate(
    vendor: str, files: tuple[str, ...], speed: str, faults: tuple[str, ...], seed: int, ledger: str | None,
    bus: str | None, wait_subscribers: int, wait_timeout: str, symbols: int | None, rate: float | None,
    burst: float | None, duration: str | None, start: str | None, out: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Publish captured FILEs on the vendor's bus, or a synthetic market where no FILE is given.

    Captured files have a line `recv_ns payload` a message, plain or packed with gzip or zstd; several are
    merged by receipt time. Nothing is bound or sent before all input was found right.

    \b
    Examples:
      tapedeck simulate binance_usdm btcusdt.gz ethusdt.gz --speed 10 --fault drop=0.001 --ledger done.jsonl
      tapedeck simulate binance_spot --symbols 20 --rate 5000 --burst 4 --duration 60
      tapedeck simulate binance_usdm --rate 200 --duration 600 --start 2024-08-08T12:00:00Z --out history.zst
    """
    deck = settings.load()
    vendors.get(vendor)
    given = [
        f"--{name}"
        for name, value in (
            ("symbols", symbols), ("rate", rate), ("burst", burst), ("duration", duration), ("start", start),
            ("out", out),
        )
        if value is not None
    ]  # fmt: skip
    if files and given:
        raise BadInput(f"{given[0]} is for a synthetic market, and files are given: leave out one of them")
    seconds = None if duration is None else _seconds(duration)
    synthetic = None
    if not files:
        known = deck.vendors[vendor].symbols if vendor in deck.vendors else []
        count = len(known) or 1 if symbols is None else symbols
        if not 1 <= count <= 100_000:
            raise BadInput(f"{count} symbols make no market: give --symbols from 1 to 100000")
        synthetic = Synthetic(
            symbols=tuple(market.symbol_names(known, count)),
            rate=DEFAULT_RATE if rate is None else rate,
            burst=DEFAULT_BURST if burst is None else burst,
            duration=seconds,
            start=None if start is None else parse_time(start),
        )
        market.generate(
            vendor, synthetic.symbols, synthetic.rate, seconds, seed, synthetic.start or 0, synthetic.burst
        )  # refuses what makes no market before a process is started
        if out is not None:
            _write(vendor, synthetic, seed, out, as_json, bool(faults or ledger))
            return
    asked = Simulation(
        vendor=vendor, files=files, synthetic=synthetic, speed=_pace(speed), faults=",".join(faults),
        seed=seed, ledger=ledger or "", bus=bus or "", wait_subscribers=wait_subscribers,
        wait_timeout=_seconds(wait_timeout),
    )  # fmt: skip
    sys.stdout.flush()
    sys.stderr.flush()
    request = msgspec.json.encode(asked).decode()
    words = [sys.executable, "-P", "-m", "live.simulator", request, *(["--json"] if as_json else [])]
    os.execv(sys.executable, words)  # noqa: S606


def _write(vendor: str, synthetic: Synthetic, seed: int, out: str, as_json: bool, played: bool) -> None:
    """Write the synthetic market as a captured file."""
    if played:
        raise BadInput("--fault and --ledger are for what is played, --out plays nothing: leave them out")
    if synthetic.duration is None:
        raise BadInput("--out needs an end: give --duration, for example --duration 600")
    start = synthetic.start
    if start is None:
        start = time.time_ns() - round(synthetic.duration * NS)
    messages = market.generate(
        vendor, synthetic.symbols, synthetic.rate, synthetic.duration, seed, start, synthetic.burst
    )
    count = capture.write(out, messages)
    if as_json:
        click.echo(json.dumps({"file": out, "messages": count}))
    else:
        click.echo(f"{out}: {count:,} messages of {len(synthetic.symbols)} symbols")


def _pace(text: str) -> float | None:
    if text == "max":
        return None
    try:
        pace = float(text)
    except ValueError:
        pace = 0.0
    if not 0 < pace < 1e9:
        raise BadInput(f"the speed {text[:40]!r} is no pace: give a number above 0, or max")
    return pace


def _seconds(text: str) -> float:
    """Seconds of `30`, `0.5` or `5m`."""
    if text.replace(".", "", 1).isdigit():
        return float(text)
    return parse_duration(text) / NS

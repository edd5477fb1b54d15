"""`make demo`: the whole road once, told as it goes, with the commands that a user would type.

Two simulated markets are recorded live with a few drops injected, a capture is loaded as history, Airflow
rebuilds and replays, and a table says what each store holds of it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import msgspec

from tapedeck import endpoints, settings
from tapedeck.buses import captured
from tapedeck.embedded import airflow, airflow_api
from tapedeck.embedded.ports import is_free
from tapedeck.errors import TapedeckError, Unavailable
from tapedeck.jobs.receipts import Receipt
from tapedeck.log import meta
from tapedeck.log.timeline import timeline
from tapedeck.message import KINDS
from tapedeck.settings import Settings
from tapedeck.simulate import capture, market
from tapedeck.slices import NS, Slice, format_time
from tapedeck.store.library import named, symbols_of
from tapedeck.store.read import read

LIVE = ("binance_usdm", "binance_spot")
SECONDS = 30
RATE = 300
DROPS = "drop=0.002"
TOPIC = "demo.replay"
DEADLINE = 300.0


@dataclass(slots=True)
class Row:
    """What one slice of one vendor is, hop by hop."""

    vendor: str
    what: str
    slice: Slice
    bus: int
    """Messages that the bus sent, or the captured files hold."""
    kafka: int = 0
    status: int = 0
    """Messages among them that tapedeck itself made: connects and disconnects."""
    arctic: int = 0
    nightly: int = 0
    replayed: int | None = None

    @property
    def agrees(self) -> bool:
        """Whether every hop holds the same."""
        counts = {self.kafka, self.arctic, self.nightly, self.bus + self.status}
        return len(counts) == 1 and self.replayed in (None, self.kafka)


@click.command()
@click.option("--vendor", default=LIVE[0], show_default=True, help="Whose captures FILES are.")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
def demo(vendor: str, files: tuple[Path, ...]) -> None:
    """Record, load, rebuild and replay a market; FILES are captures to load instead of a made one."""
    began = time.monotonic()
    _tapedeck("up")
    deck = endpoints.resolve(settings.load())
    place = deck.state / "demo"
    place.mkdir(parents=True, exist_ok=True)
    rows = _record(deck, place)
    rows.append(_load(deck, place, vendor, list(files)))
    _rebuild_and_replay(deck, rows)
    for row in rows:
        _count(deck, row)
    _print_table(rows)
    _print_ways_on(deck, rows, time.monotonic() - began)
    if not all(row.agrees for row in rows):
        raise Unavailable("the table does not agree with itself: look at `tapedeck receipts` and the logs")


def _record(deck: Settings, place: Path) -> list[Row]:
    """Half a minute of two live markets, with a few drops injected, through the whole live path."""
    _say(f"recording {' and '.join(LIVE)} live for {SECONDS} s, with {DROPS} injected on the bus")
    with ExitStack() as stack:
        buses = {vendor: f"zmq:tcp://127.0.0.1:{_free_port(i)}" for i, vendor in enumerate(LIVE)}
        for vendor, bus in buses.items():
            stack.enter_context(_process(place, "write", vendor))
            stack.enter_context(_process(place, "collect", vendor, "--bus", bus))
        start = time.time_ns()
        ledgers = {vendor: place / f"{vendor}-{start}.jsonl" for vendor in LIVE}
        players = [
            subprocess.Popen(
                [*_COMMAND, "simulate", vendor, "--symbols", "6", "--rate", str(RATE), "--burst", "4",
                 "--duration", str(SECONDS), "--seed", str(start // NS), "--fault", DROPS,
                 "--bus", buses[vendor], "--ledger", str(ledgers[vendor]), "--json"],
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            )
            for vendor in LIVE
        ]  # fmt: skip
        for player in players:
            if player.wait(SECONDS + 60):
                raise Unavailable(f"the simulator ended with {player.returncode}: see {place}")
        _await_logged(deck, start, {vendor: _sent(ledgers[vendor]) for vendor in LIVE})
        for vendor in LIVE:
            drops = _sent(ledgers[vendor], "drop")
            _say(
                f"{vendor}: the bus sent {_sent(ledgers[vendor]):,} messages; {drops} more were dropped on it"
            )
    # the collectors have closed: nothing more can come
    of = _whole_windows(deck, LIVE[0], start, time.time_ns())
    while begun := [t for t, end in _plays(place) if t < of.start < end]:  # an earlier demo reaches into it
        of = _whole_windows(deck, LIVE[0], min(begun), of.end)
    return [Row(vendor, "live", of, _sent_in(place, vendor, of)) for vendor in LIVE]


def _plays(place: Path) -> list[tuple[int, int]]:
    """When the demos of this state directory played, about: (start, end) in ns UTC."""
    starts = {int(path.stem.rpartition("-")[2]) for path in place.glob("*.jsonl")}
    return [(start, start + (SECONDS + 60) * NS) for start in sorted(starts)]


def _whole_windows(deck: Settings, vendor: str, start: int, end: int) -> Slice:
    """The slice widened to whole windows, which is what a receipt of the nightly job counts."""
    windows = named(deck, f"{vendor}.trade").windows(Slice(start, end))
    return Slice(windows[0].start, windows[-1].end)


def _sent_in(place: Path, vendor: str, of: Slice) -> int:
    """What the demo's simulators have sent in the slice, runs before this one included."""
    ledgers = {int(path.stem.rpartition("-")[2]): path for path in place.glob(f"{vendor}-*.jsonl")}
    return sum(_sent(path) for start, path in ledgers.items() if of.start <= start < of.end)


def _load(deck: Settings, place: Path, vendor: str, files: list[Path]) -> Row:
    """History from captured files: those that were given, else a market made up for yesterday noon."""
    if not files:
        noon = (time.time_ns() // (86_400 * NS) - 1) * 86_400 * NS + 43_200 * NS
        made = place / f"{vendor}-{format_time(noon)[:10]}.zst"
        _say(f"making two minutes of {vendor} as a captured file, {made.name}")
        names = market.symbol_names(deck.vendor(vendor).symbols, 4)
        capture.write(made, market.generate(vendor, names, 150.0, 120.0, 7, noon))
        files = [made]
    stamps = [recv_ns for file in files for recv_ns, _ in captured.read(file)]
    of = _whole_windows(deck, vendor, min(stamps), max(stamps) + 1)
    stood = _standing(deck, vendor, of)  # these files' before, or others' of the same hours
    _say(f"loading {len(files)} captured file{'s' * (len(files) > 1)} as history of {vendor}")
    loaded = json.loads(_tapedeck("load", vendor, *map(str, files), "--json"))["files"]
    return Row(vendor, "history", of, stood + sum(sum(file["messages"].values()) for file in loaded))


def _standing(deck: Settings, vendor: str, of: Slice) -> int:
    """The vendor's messages that the log held of the slice before."""
    if vendor not in {pin.vendor for pin in meta.read(deck).pins.values()}:
        return 0
    total = timeline(vendor, deck).count(of.start, of.end)
    return total.messages - total.kinds["status"]


def _rebuild_and_replay(deck: Settings, rows: list[Row]) -> None:
    """`nightly_backfill` and `replay` through Airflow's API, as an operator's script would."""
    api = airflow_api.Client(endpoints.resolve(deck).airflow.url, *airflow.login(deck))
    for group in ([row for row in rows if row.what == "live"], [row for row in rows if row.what != "live"]):
        names, bounds = [row.vendor for row in group], _bounds(group[0].slice)
        _say(f"Airflow: nightly_backfill of {' and '.join(names)}, {group[0].what}")
        receipts = _run(deck, api, "nightly_backfill", {"vendors": names, **bounds})
        for row in group:
            row.nightly = receipts[row.vendor]
    history = rows[-1]
    target = f"{TOPIC}.{history.vendor}"
    _say(f"Airflow: replay of {history.vendor}, {history.what}, into the topic {target}")
    conf = {"vendor": history.vendor, "to": f"kafka:{target}", **_bounds(history.slice)}
    history.replayed = _run(deck, api, "replay", conf)[history.vendor]


def _bounds(of: Slice) -> dict[str, str]:
    return {"start_exact": format_time(of.start), "end_exact": format_time(of.end)}


def _run(deck: Settings, api: airflow_api.Client, dag: str, conf: dict[str, Any]) -> dict[str, int]:
    """Run a DAG to its end and give the messages that its receipts count, by vendor."""
    run = api.call("POST", f"/api/v2/dags/{dag}/dagRuns", {"logical_date": None, "conf": conf})
    path = f"/api/v2/dags/{dag}/dagRuns/{run['dag_run_id']}"
    deadline = time.monotonic() + DEADLINE
    while (state := api.call("GET", path)["state"]) not in ("success", "failed"):
        if time.monotonic() > deadline:
            raise Unavailable(f"{dag} is still {state} after {DEADLINE:.0f} s: look at it in Airflow")
        time.sleep(0.5)
    if state == "failed":
        raise Unavailable(f"{dag} failed: see its log in Airflow, run {run['dag_run_id']}")
    listed = msgspec.json.decode(_tapedeck("receipts", "--json", quiet=True))
    receipts = msgspec.convert(listed["receipts"], list[Receipt], strict=False)
    return {r.vendor: r.counts["messages"] for r in receipts if r.run == run["dag_run_id"]}


def _count(deck: Settings, row: Row) -> None:
    total = timeline(row.vendor, deck).count(row.slice.start, row.slice.end)
    row.kafka, row.status = total.messages, total.kinds["status"]
    for kind in KINDS:
        for symbol in symbols_of(deck, name := f"{row.vendor}.{kind}"):
            found = read(name, symbol, row.slice.start, row.slice.end, tail=False, settings=deck)
            row.arctic += found.attrs["messages"]


def _await_logged(deck: Settings, start: int, sent: dict[str, int]) -> None:
    """Wait until Kafka holds what the bus sent."""
    deadline = time.monotonic() + 60
    for vendor, expected in sent.items():
        while True:
            total = timeline(vendor, deck).count(start, time.time_ns())
            if total.messages - total.kinds["status"] >= expected:
                break
            if time.monotonic() > deadline:
                raise Unavailable(
                    f"{vendor}: Kafka holds {total.messages:,} of {expected:,}: see the demo's logs"
                )
            time.sleep(0.5)


def _sent(ledger: Path, field: str = "sent") -> int:
    """A total of the ledger's last line."""
    last = json.loads(ledger.read_text().splitlines()[-1])
    return int(last["totals"][field])


@contextmanager
def _process(place: Path, verb: str, vendor: str, *more: str) -> Iterator[None]:
    """A live process, ended as an operator would at the end of the block; its log lies in `place`."""
    log = place / f"{verb}-{vendor}.log"
    with log.open("ab") as out:
        process = subprocess.Popen([*_COMMAND, verb, vendor, *more], stdout=out, stderr=out)
    try:
        yield
        if process.poll() is not None:
            raise Unavailable(f"`tapedeck {verb} {vendor}` ended with {process.returncode}: see {log}")
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


_COMMAND = (sys.executable, "-m", "tapedeck.cli")


def _tapedeck(*arguments: str, quiet: bool = False) -> str:
    """Run a verb as a user would and give its stdout; its failure is the demo's."""
    if not quiet:
        _say("tapedeck " + " ".join(arguments))
    done = subprocess.run([*_COMMAND, *arguments], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise Unavailable(f"`tapedeck {' '.join(arguments)}` ended with {done.returncode}")
    if not quiet:
        click.echo("".join(f"    {line}\n" for line in done.stdout.splitlines()), nl=False)
    return done.stdout


def _free_port(nth: int) -> int:
    free = (port for port in range(5601, 6000) if is_free(port))
    return [next(free) for _ in range(nth + 1)][-1]


def _say(text: str) -> None:
    click.echo(f"[{time.strftime('%H:%M:%S')}] {text}")


def _print_table(rows: list[Row]) -> None:
    click.echo()
    click.echo(
        f"{'vendor':<14}{'slice':<9}{'bus or file':>12}{'+ status':>10}{'Kafka':>10}{'Arctic':>10}"
        f"{'nightly receipt':>17}{'replay receipt':>16}  agrees"
    )
    for row in rows:
        replayed = "" if row.replayed is None else f"{row.replayed:,}"
        click.echo(
            f"{row.vendor:<14}{row.what:<9}{row.bus:>12,}{row.status:>10,}{row.kafka:>10,}{row.arctic:>10,}"
            f"{row.nightly:>17,}{replayed:>16}  {'yes' if row.agrees else 'NO'}"
        )


def _print_ways_on(deck: Settings, rows: list[Row], seconds: float) -> None:
    user, password = airflow.login(deck)
    live = rows[0]
    bounds = f"{format_time(live.slice.start)} {format_time(live.slice.end)}"
    click.echo(f"\nDone in {seconds:.0f} s. Airflow: {endpoints.resolve(deck).airflow.url}")
    click.echo(f"Log in as {user} with password {password}; both DAGs' runs are there.\n\nTry next:")
    click.echo(f"  .venv/bin/tapedeck read {live.vendor}.trade BTCUSDT {bounds}")
    click.echo(f"  .venv/bin/tapedeck cat {live.vendor} {bounds} --count")
    click.echo("  .venv/bin/tapedeck receipts")
    click.echo("\n`make down` ends the servers; what they hold stays.")


def main() -> None:
    """Run the demo and exit as every verb does."""
    try:
        demo(standalone_mode=True)
    except TapedeckError as e:
        click.echo(f"tapedeck: {e}", err=True)
        sys.exit(e.exit_code)


if __name__ == "__main__":
    main()

"""One simulation from request to ledger: what to play, where, how fast and with which faults."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterator
from typing import Any

from msgspec import Struct

from tapedeck import vendors
from tapedeck.buses import captured, nats_url, zeromq_endpoint
from tapedeck.errors import BadInput
from tapedeck.settings import Settings
from tapedeck.simulate import market
from tapedeck.simulate.faults import commit, parse_faults
from tapedeck.simulate.ledger import Ledger
from tapedeck.simulate.player import Player
from tapedeck.simulate.stage import Stage
from tapedeck.simulate.stage_nats import NatsStage
from tapedeck.simulate.stage_websocket import WebsocketStage

LINGER_S = 120.0
LINGER_STOPPED_S = 10.0


class Synthetic(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A synthetic market: `duration` in seconds (None: without an end), `start` in ns (None: now)."""

    symbols: tuple[str, ...]
    rate: float = 100.0
    burst: float = 1.0
    duration: float | None = None
    start: int | None = None


class Simulation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to play: captured files, or a synthetic market. `speed` None: as fast as possible."""

    vendor: str
    files: tuple[str, ...] = ()
    synthetic: Synthetic | None = None
    speed: float | None = 1.0
    faults: str = ""
    seed: int = 1
    ledger: str = ""
    bus: str = ""
    wait_subscribers: int = 1
    wait_timeout: float = 300.0


class Rehearsed(Struct, frozen=True):
    """A simulation whose whole input was found right; nothing is bound or written yet."""

    simulation: Simulation
    vendor: vendors.Vendor
    bus: str


def rehearse(settings: Settings, simulation: Simulation) -> Rehearsed:
    """Check all that was asked for, captured files to their last line.

    Raises BadInput for an unknown vendor, a speed or rate that is none, a fault that is none, a bus that
    can't be played on, and a file that is missing, cut off or no capture.
    """
    vendor = vendors.get(simulation.vendor)
    bus = simulation.bus or settings.vendor(simulation.vendor).bus
    if not bus.startswith(("zmq:", "nats:", "websocket:ws://")):
        raise BadInput(
            f"the bus of {simulation.vendor} is {bus!r}, which can't be simulated: "
            "give --bus zmq:tcp://127.0.0.1:PORT, websocket:ws://127.0.0.1:PORT or nats:nats://HOST:PORT/SUBJECT"
        )
    if simulation.speed is not None and not 0 < simulation.speed < 1e9:
        raise BadInput(f"the speed {simulation.speed:g} is no pace: give a number above 0, or max")
    if simulation.wait_subscribers < 0 or simulation.wait_timeout < 0:
        raise BadInput("a number of subscribers or a time to wait is negative: give 0 or more")
    if bus.startswith("zmq:"):
        zeromq_endpoint(bus)
    elif bus.startswith("nats:"):
        nats_url(bus)
    parse_faults(simulation.faults)
    if bool(simulation.files) == (simulation.synthetic is not None):
        raise BadInput("captured files and a synthetic market exclude each other: give one of them")
    for file in simulation.files:
        captured.check(file)
    _source(simulation, 0)
    return Rehearsed(simulation, vendor, bus)


def _stage(bus: str, vendor: vendors.Vendor) -> Stage | NatsStage | WebsocketStage:
    if bus.startswith("zmq:"):
        return Stage(zeromq_endpoint(bus))
    if bus.startswith("nats:"):
        return NatsStage(nats_url(bus))
    return WebsocketStage(bus.removeprefix("websocket:"), vendor)


def run(
    rehearsed: Rehearsed,
    tell: Callable[[str], None],
    progress: Callable[[int], None],
    stoppable: Callable[[Callable[[], None]], None],
) -> dict[str, Any]:
    """Bind the bus, wait for who listens, play, write the ledger; gives its totals and `complete`.

    `tell` hears one sentence a step, `stoppable` is given what to call to stop early (by a signal).
    Raises Unavailable where the address is taken or too few came to listen, BadInput where the ledger
    can't be written.
    """
    simulation, vendor = rehearsed.simulation, rehearsed.vendor
    ledger = Ledger(simulation.ledger, vendor)
    try:
        stage = _stage(rehearsed.bus, vendor)
    except Exception:
        ledger.discard()
        raise
    complete = False
    try:
        player = Player(stage.send, vendor, ledger, simulation.speed, progress)

        def stop() -> None:
            player.stopping = True

        stoppable(stop)
        tell(f"bound {stage.endpoint}, waiting for {simulation.wait_subscribers} to subscribe")
        if stage.wait_for_listeners(
            simulation.wait_subscribers, simulation.wait_timeout, lambda: player.stopping
        ):
            tell("playing")
            faults = parse_faults(simulation.faults)
            source = _source(simulation, time.time_ns())
            if faults:
                source = commit(faults, simulation.seed, source, vendor.stream_of, ledger.tell, player.wait)
            complete = player.play(source)
        ledger.close(complete=complete)
    except BaseException:
        ledger.discard()
        stage.close(0)
        raise
    stage.close(LINGER_S if complete else LINGER_STOPPED_S)
    return {**ledger.totals(), "complete": complete}


def _source(simulation: Simulation, now: int) -> Iterator[tuple[int, bytes]]:
    """The messages to play; several files are merged by receipt time."""
    if synthetic := simulation.synthetic:
        return market.generate(
            simulation.vendor, synthetic.symbols, synthetic.rate, synthetic.duration, simulation.seed,
            now if synthetic.start is None else synthetic.start, synthetic.burst,
        )  # fmt: skip
    if len(simulation.files) == 1:
        return captured.read(simulation.files[0])
    return heapq.merge(*(captured.read(file) for file in simulation.files))

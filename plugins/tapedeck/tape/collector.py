"""A live collector: taper and publisher as two processes, each started again if it dies (DESIGN §6)."""

from __future__ import annotations

import os
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType

import msgspec
import psutil
from msgspec import structs

from tapedeck import buses, health, metrics, vendors
from tapedeck.endpoints import Server
from tapedeck.errors import BadInput, Unavailable
from tapedeck.log import meta
from tapedeck.metrics import Snapshot
from tapedeck.settings import Settings, shown_address, where
from tapedeck.tape import lock
from tapedeck.tape.ending import PATIENCE, Ending
from tapedeck.tape.half import TAPER_BUS, Half, Say
from tapedeck.tape.share import Share
from tapedeck.tape.waiting import Waiting, waiting

LOOK_SECONDS = 0.05
RECORD_SECONDS = 1.0
TAPER_PAUSE, PUBLISHER_PAUSE = 2.0, 30.0
"""The longest pauses before a half that dies again and again is started again: what the bus sends while
there is no taper is lost, what waits for a publisher is not."""


class Record(Server, frozen=True, kw_only=True):
    """`<state_dir>/live/collector-<vendor>-<src>.json`, what `tapedeck status` shows.

    `lag` is the seconds from the receipt time up to which Kafka has acknowledged everything to now;
    None before the first acknowledgement. A half that is not running has no pid. `waiting` bytes of the
    tape are not yet acknowledged, `free` are left on its disk. `health` is where it answers /healthz,
    /readyz and /metrics; `held` says what keeps a half from working, empty where nothing does.
    """

    vendor: str
    src: int
    taper_pid: int | None
    publisher_pid: int | None
    lag: float | None
    waiting: int = 0
    free: int = 0
    messages: int = 0
    held: str = ""
    health: str = ""
    publisher_pids: list[int | None] = []
    """Of all its publishers; the first is `publisher_pid`."""


def collect(settings: Settings, vendor: str, src: int, bus: str, ending: Ending, say: Say) -> int:
    """Run a collector until `ending`; gives the exit status.

    When it is to end, first the taper does, having taken what waits on the bus and said goodbye, then the
    publisher, having published what is on the tape if Kafka lets it; a half that just died is started once
    more to do so. Where a half can't, that is said, and the status is 3. If this process is killed, both
    halves notice and end by themselves in the same way; the next start goes on where they were. A taper that
    says why it can't go on (a full disk) ends the collector with its status; a publisher never does, since
    the tape must go on.
    Raises BadInput where the vendor, bus or symbols are wrong, or another collector of this number runs,
    Unavailable where its health can't be served.
    """
    table = settings.vendor(vendor)
    address = bus or table.bus
    try:
        buses.check(address, vendors.get(vendor), table.symbols)
    except BadInput as e:
        if bus:
            raise
        raise BadInput(f"{e} (vendors.{vendor} is set in {where(f'vendors.{vendor}.bus')})") from e
    if table.publishers > settings.kafka.partitions:
        raise BadInput(
            f"vendors.{vendor}.publishers is {table.publishers} and a topic has {settings.kafka.partitions} "
            f"partitions: set it to that or less (it is set in {where(f'vendors.{vendor}.publishers')})"
        )
    folder = settings.tape_dir(vendor, src)
    who = [vendor, "--src", str(src), "--parent", str(os.getpid())]
    with (
        lock.held(folder, "collector"),
        Half(
            "taper", [*_python("taper"), *who], TAPER_PAUSE, say, heeded=True, told={TAPER_BUS: address}
        ) as taper,
        _Publishers(table.publishers, who, say) as publishers,
        _Watched(settings, vendor, src, {"taper": taper, **publishers.halves}) as watched,
        health.Serving(settings, {"vendor": vendor, "src": str(src)}, watched.look) as serving,
        _Recorder(settings, vendor, src, shown_address(address), watched, serving.address) as recorder,
    ):
        bus = shown_address(address)
        say(f"{vendor} as collector {src}: {bus} → {folder} → {settings.live_topic(vendor)}")
        while not ending.asked() and taper.verdict is None:
            taper.keep_up()
            publishers.keep_up()
            recorder.renew()
            time.sleep(LOOK_SECONDS)
        said_goodbye = taper.finish(PATIENCE + 5)
        published = publishers.finish(PATIENCE + 15)
        if not published:
            say(
                f"what Kafka has not acknowledged remains on the tape {folder}, and the next collector "
                "publishes it first"
            )
        return taper.verdict or (0 if said_goodbye and published else Unavailable.exit_code)


def retire(settings: Settings, vendor: str, src: int) -> int:
    """Say in md.meta that nobody need wait for this collector any more; gives how many lives that ended.

    Raises BadInput where it runs on this machine, or was never registered.
    """
    publishers = [Share(part).role for part in range(settings.vendor(vendor).publishers)]
    folder = settings.tape_dir(vendor, src)
    if any(lock.is_held(folder, role) for role in ("collector", "taper", *publishers)):
        raise BadInput(
            f"collector {src} of {vendor} runs here: end it (it then says goodbye by itself), then retire it "
            "if something is left open"
        )
    lives = [life for life in meta.read(settings).lives if life.vendor == vendor]
    if not any(life.src == src for life in lives):
        known = ", ".join(str(n) for n in sorted({life.src for life in lives})) or "none"
        raise BadInput(
            f"{vendor} never had a collector {src} (it had: {known}): give one of those with --src"
        )
    open_lives = [life for life in lives if life.src == src and life.closed is None and not life.retired]
    if open_lives:
        meta.put(settings, *(structs.replace(life, retired=True) for life in open_lives))
    return len(open_lives)


class _Publishers:
    """The publishers that share the tape, as one half."""

    def __init__(self, count: int, who: list[str], say: Say) -> None:
        self.halves: dict[str, Half] = {}
        """By their role, who leads first."""
        for part in range(count):
            role = Share(part, count).role
            words = [*_python("publisher"), *who, "--part", str(part)]
            self.halves[role] = Half(role, words, PUBLISHER_PAUSE, say)
        self._stack = ExitStack()

    def __enter__(self) -> _Publishers:
        for half in self.halves.values():
            self._stack.enter_context(half)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def keep_up(self) -> None:
        """See `Half.keep_up`."""
        for half in self.halves.values():
            half.keep_up()

    def finish(self, seconds: float) -> bool:
        """See `Half.finish`; who leads comes last, since it waits for the others' goodbye."""
        return all([half.finish(seconds) for half in reversed(self.halves.values())])


class _Watched:
    """How the halves and their tape are. What they said of themselves is forgotten at both ends."""

    def __init__(self, settings: Settings, vendor: str, src: int, halves: dict[str, Half]) -> None:
        self._folder = settings.tape_dir(vendor, src)
        self.halves = halves
        self._files = {role: health.half_file(settings, role, vendor, src) for role in self.halves}

    def __enter__(self) -> _Watched:
        self._forget()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._forget()

    def heard(self) -> list[Snapshot]:
        """What each half last said of itself."""
        return [health.heard(file, role) for role, file in self._files.items()]

    def tape(self) -> Waiting:
        """What of the tape waits for Kafka."""
        return waiting(self._folder)

    def look(self) -> list[Snapshot]:
        """All that is known, for who scrapes; the collector's own numbers stand with the taper's."""
        taper, *publishers = self.heard()
        tape = self.tape()
        lag = {} if tape.lag is None else {metrics.COLLECTOR_LAG: tape.lag}
        own = metrics.snapshot(
            "taper", taper.at, taper.held,
            {
                metrics.COLLECTOR_STARTS: {role: float(half.starts) for role, half in self.halves.items()},
                metrics.TAPE_FREE: tape.free,
                metrics.TAPE_WAITING: tape.bytes,
                **lag,
            },
        )  # fmt: skip
        taper = structs.replace(taper, values={**taper.values, **own.values})
        return [taper, metrics.together("publisher", publishers)]

    def _forget(self) -> None:
        for file in self._files.values():
            with suppress(OSError):
                file.unlink(missing_ok=True)


class _Recorder:
    """Keeps the record for `tapedeck status`; removes it on a clean end."""

    def __init__(
        self, settings: Settings, vendor: str, src: int, address: str, watched: _Watched, at: str
    ) -> None:
        self._path = settings.state / "live" / f"collector-{vendor}-{src}.json"
        self._watched = watched
        self._record = Record(
            name=self._path.stem, pid=os.getpid(), started=psutil.Process().create_time(), address=address,
            log="", vendor=vendor, src=src, taper_pid=None, publisher_pid=None, lag=None, health=at,
        )  # fmt: skip
        self._next = 0.0

    def __enter__(self) -> _Recorder:
        try:
            write_record(self._path, self._record)
        except OSError as e:
            raise Unavailable(
                f"{self._path} can't be written ({e.strerror}): make the state directory writable, or set "
                "TAPEDECK_STATE_DIR to a folder that is"
            ) from e
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._path.unlink(missing_ok=True)

    def renew(self) -> None:
        """Write the record, once a second."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + RECORD_SECONDS
        heard, tape = self._watched.heard(), self._watched.tape()
        taper, *publishers = (half.pid for half in self._watched.halves.values())
        record = structs.replace(
            self._record,
            taper_pid=taper,
            publisher_pid=publishers[0],
            publisher_pids=publishers,
            lag=tape.lag,
            waiting=tape.bytes,
            free=tape.free,
            messages=int(heard[0].values.get(metrics.TAPER_MESSAGES.name, {}).get("", 0)),
            held="; ".join(f"{one.role}: {one.held}" for one in heard if one.held),
        )
        with suppress(OSError):  # a record for show; that a disk is full, the taper says
            write_record(self._path, record)


def _python(half: str) -> list[str]:
    return [sys.executable, "-m", f"live.{half}"]


def write_record(path: Path, record: Server) -> None:
    """Replace a live process's record, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_bytes(msgspec.json.encode(record))
    new.rename(path)

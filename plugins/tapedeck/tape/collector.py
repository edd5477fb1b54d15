"""A live collector: taper and publisher as two processes, each started again if it dies (DESIGN §6)."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import msgspec
import psutil
from msgspec import structs

from tapedeck import buses, vendors
from tapedeck.endpoints import Server
from tapedeck.errors import BadInput, Unavailable
from tapedeck.log import meta
from tapedeck.settings import Settings
from tapedeck.slices import NS
from tapedeck.tape import lock, position
from tapedeck.tape.ending import PATIENCE, Ending

LOOK_SECONDS = 0.2
RECORD_SECONDS = 1.0
RETRY_SECONDS = (0.5, 30.0)
STEADY_SECONDS = 60.0
"""A half that lived so long is started again at once."""

Say = Callable[[str], None]


class Record(Server, frozen=True, kw_only=True):
    """`<state_dir>/live/collector-<vendor>-<src>.json`, what `tapedeck status` shows.

    `lag` is the seconds from the receipt time up to which Kafka has acknowledged everything to now;
    None before the first acknowledgement. A half that is not running has no pid.
    """

    vendor: str
    src: int
    taper_pid: int | None
    publisher_pid: int | None
    lag: float | None


def collect(settings: Settings, vendor: str, src: int, bus: str, ending: Ending, say: Say) -> int:
    """Run a collector until `ending`; gives the exit status.

    When it is to end, first the taper does, having taken what waits on the bus, then the publisher, having
    published what is on the tape if Kafka lets it. If this process is killed, both halves notice and end
    by themselves in the same way; the next start goes on where they were. A taper that says why it
    can't go on (a full disk) ends the collector with its status; a publisher never does, since
    the tape must go on.
    Raises BadInput where the vendor, bus or symbols are wrong, or another collector of this number runs.
    """
    table = settings.vendor(vendor)
    address = bus or table.bus
    buses.check(address, vendors.get(vendor), table.symbols)
    folder = settings.tape_dir(vendor, src)
    who = [vendor, "--src", str(src), "--parent", str(os.getpid())]
    with (
        lock.held(folder, "collector"),
        _Half("taper", [*who, "--bus", address], say) as taper,
        _Half("publisher", who, say) as publisher,
        _Recorder(settings, vendor, src, address, taper, publisher) as recorder,
    ):
        say(f"{vendor} as collector {src}: {address} → {folder} → {settings.live_topic(vendor)}")
        while not ending.asked() and taper.verdict is None:
            taper.keep_up()
            publisher.keep_up()
            recorder.renew()
            time.sleep(LOOK_SECONDS)
        taper.end(PATIENCE + 5)
        publisher.end(PATIENCE + 15)
        return taper.verdict or 0


def retire(settings: Settings, vendor: str, src: int) -> int:
    """Say in md.meta that nobody need wait for this collector any more; gives how many lives that ended.

    Raises BadInput where it runs on this machine, or was never registered.
    """
    settings.vendor(vendor)
    if any(
        lock.is_held(settings.tape_dir(vendor, src), role) for role in ("collector", "taper", "publisher")
    ):
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


class _Half:
    """One of the two processes. Ended at the end of the block if it still runs."""

    def __init__(self, name: str, arguments: Sequence[str], say: Say) -> None:
        self._name, self._say = name, say
        self._command = [sys.executable, "-m", f"live.{name}", *arguments]
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._next, self._pause = 0.0, RETRY_SECONDS[0]
        self.verdict: int | None = None
        """The status with which it said that it can't go on (2 or 3); None while it can."""

    def __enter__(self) -> _Half:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end(1.0)

    @property
    def pid(self) -> int | None:
        """Its process, if it runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def keep_up(self) -> None:
        """Start it, or start it again when it died and its pause is over."""
        now = time.monotonic()
        if self._process is not None and (status := self._process.poll()) is not None:
            self._process = None
            self.verdict = status if status in (2, 3) else None
            self._pause = (
                RETRY_SECONDS[0]
                if now - self._started > STEADY_SECONDS
                else min(self._pause * 2, RETRY_SECONDS[1])
            )
            self._next = now + self._pause
            self._say(f"the {self._name} ended ({_why(status)}): it is started again in {self._pause:g} s")
        if self._process is None and now >= self._next:
            # A session of its own: Ctrl-C is for the supervisor, which ends the halves in turn.
            self._process = subprocess.Popen(self._command, start_new_session=True)
            self._started = now

    def end(self, seconds: float) -> None:
        """SIGTERM, and SIGKILL where that takes longer than so many seconds."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            status = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._say(
                f"the {self._name} did not end within {seconds:.0f} s and is killed; nothing on tape is lost"
            )
            self._process.kill()
            status = self._process.wait()
        if status in (2, 3) and self.verdict is None:
            self.verdict = status


class _Recorder:
    """Keeps the record for `tapedeck status`; removes it on a clean end."""

    def __init__(
        self, settings: Settings, vendor: str, src: int, address: str, taper: _Half, publisher: _Half
    ) -> None:
        self._path = settings.state / "live" / f"collector-{vendor}-{src}.json"
        self._folder = settings.tape_dir(vendor, src)
        self._taper, self._publisher = taper, publisher
        self._record = Record(
            name=self._path.stem, pid=os.getpid(), started=psutil.Process().create_time(), address=address,
            log="", vendor=vendor, src=src, taper_pid=None, publisher_pid=None, lag=None,
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
        stamp = position.last_stamp(self._folder)
        record = structs.replace(
            self._record,
            taper_pid=self._taper.pid,
            publisher_pid=self._publisher.pid,
            lag=round(max(0.0, (time.time_ns() - stamp) / NS), 3) if stamp else None,
        )
        with suppress(OSError):  # a record for show; that a disk is full, the taper says
            write_record(self._path, record)


def write_record(path: Path, record: Server) -> None:
    """Replace a live process's record, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_bytes(msgspec.json.encode(record))
    new.rename(path)


def _why(status: int) -> str:
    return f"killed by signal {-status}" if status < 0 else f"status {status}"

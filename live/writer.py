"""`python -m live.writer VENDOR`: Kafka to Arctic. Started by `tapedeck write`."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import chain, count
from pathlib import Path
from types import TracebackType

import click
import msgspec
import psutil
from msgspec import structs

from tapedeck import endpoints, health, logs, metrics, settings
from tapedeck.checks.facts import Looking, facts
from tapedeck.embedded.process import alive, birth
from tapedeck.errors import TapedeckError, Unavailable
from tapedeck.metrics import Snapshot
from tapedeck.settings import Settings
from tapedeck.store.crew import Telling
from tapedeck.store.report import Report
from tapedeck.store.writer import write
from tapedeck.tape.ending import Ending


@click.command()
@click.argument("vendor")
@click.option("--parent", type=int, help="End when this process is gone.")
def main(vendor: str, parent: int | None) -> None:
    """Write a vendor's log to Arctic until SIGTERM; then what is closed is written."""
    ending = Ending(parent).listen()
    say = logs.teller(None, "writer", vendor=vendor)
    try:
        deck = endpoints.resolve(settings.load())
        say = logs.teller(deck, "writer", vendor=vendor)
        by = f"writer {os.uname().nodename} {os.getpid()}"
        with _Recorder(deck, vendor, say) as recorder:
            write(deck, vendor, ending.asked, say, recorder.renew, by)
    except TapedeckError as e:
        say(str(e))
        sys.exit(e.exit_code)


class _Recorder:
    """Serves the writer's health, and keeps the record that `tapedeck status` reads: `writer-VENDOR.json`,
    or the first of `writer-VENDOR-2.json` and on that is no other living writer's."""

    def __init__(self, settings: Settings, vendor: str, say: Callable[[str], None]) -> None:
        self._folder, self._stem = settings.state / "live", f"writer-{vendor}"
        self._fresh = self._folder / f"{self._stem}.{os.getpid()}.new"
        self._vendor, self._say = vendor, say
        self._server = endpoints.Server(
            name=self._stem,
            pid=os.getpid(),
            started=psutil.Process().create_time(),
            address="",
            log="",
            birth=birth(os.getpid()),
        )
        self._shown, self._told = False, ""
        self._last = metrics.snapshot("writer", time.time(), Report().held, {})
        self._facts = Looking(lambda: facts(settings, vendor))
        self._serving = health.Serving(settings, {"vendor": vendor}, self._look)
        self._host = os.uname().nodename
        self._telling = Telling(settings, f"{vendor} {self._host} {os.getpid()}")

    def _look(self) -> list[Snapshot]:
        told = metrics.snapshot("writer", self._last.at, self._last.held, self._facts.values)
        return [structs.replace(self._last, values={**self._last.values, **told.values})]

    def __enter__(self) -> _Recorder:
        """Try the folder."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._fresh.write_bytes(b"{}")
            self._fresh.unlink()
        except OSError as e:
            raise Unavailable(
                f"{self._folder} can't be written ({e.strerror}): make the state directory writable, or set "
                "TAPEDECK_STATE_DIR to a folder that is"
            ) from e
        self._serving.__enter__()
        self._facts.start()
        self._telling.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._serving.__exit__(kind, error, trace)
        self._telling.end()
        with suppress(OSError):
            self._fresh.unlink(missing_ok=True)
            if self._shown:
                self._place().unlink(missing_ok=True)

    def renew(self, report: Report) -> None:
        """Say how the writer is, and write the record.

        Where that fails it is told, once: what the writer writes does not hang on it.
        """
        self._last = metrics.snapshot("writer", time.time(), report.held, report.values())
        path = self._place()
        record = {
            **msgspec.to_builtins(self._server), "vendor": self._vendor, "host": self._host,
            "health": self._serving.address, **report.shown(),
        }  # fmt: skip
        self._telling.tell(record)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._fresh.write_bytes(msgspec.json.encode({**record, "name": path.stem, "at": time.time()}))
            self._fresh.replace(path)
        except OSError as e:
            told = f"{path} can't be written ({e.strerror}): `tapedeck status` shows it as it last was"
        else:
            self._shown, told = True, ""
        if told and told != self._told:
            self._say(told)
        self._told = told

    def _place(self) -> Path:
        """The first record that is ours, or nobody's who lives. Of two that took one, the later has it and
        the other goes on to the next."""
        numbered = (self._folder / f"{self._stem}-{number}.json" for number in count(2))
        return next(filter(_is_free, chain([self._folder / f"{self._stem}.json"], numbered)))


def _is_free(path: Path) -> bool:
    """Whether a record at this place is ours, or nobody's who lives."""
    try:
        other = msgspec.json.decode(path.read_bytes(), type=endpoints.Server)
    except (OSError, msgspec.DecodeError):
        return True
    return other.pid == os.getpid() or not alive(other)


if __name__ == "__main__":
    main()

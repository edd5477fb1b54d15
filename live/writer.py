"""`python -m live.writer VENDOR`: Kafka to Arctic. Started by `tapedeck write`."""

from __future__ import annotations

import dataclasses
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType

import click
import msgspec
import psutil

from tapedeck import endpoints, settings
from tapedeck.embedded.process import birth
from tapedeck.errors import TapedeckError, Unavailable
from tapedeck.settings import Settings
from tapedeck.store.writer import Report, write
from tapedeck.tape.ending import Ending


@click.command()
@click.argument("vendor")
@click.option("--parent", type=int, help="End when this process is gone.")
def main(vendor: str, parent: int | None) -> None:
    """Write a vendor's log to Arctic until SIGTERM; then what is closed is written."""
    ending = Ending(parent).listen()

    def say(sentence: str) -> None:
        click.echo(f"writer {vendor}: {sentence}", err=True)

    try:
        deck = endpoints.resolve(settings.load())
        by = f"writer {os.uname().nodename} {os.getpid()}"
        with _Recorder(deck, vendor, say) as recorder:
            write(deck, vendor, ending.asked, say, recorder.renew, by)
    except TapedeckError as e:
        say(str(e))
        sys.exit(e.exit_code)


class _Recorder:
    """Keeps the record that `tapedeck status` reads: of the writer that holds the lease."""

    def __init__(self, settings: Settings, vendor: str, say: Callable[[str], None]) -> None:
        self._path = settings.state / "live" / f"writer-{vendor}.json"
        self._fresh = self._path.with_suffix(f".{os.getpid()}.new")
        self._vendor, self._say = vendor, say
        self._server = endpoints.Server(
            name=self._path.stem,
            pid=os.getpid(),
            started=psutil.Process().create_time(),
            address="",
            log="",
            birth=birth(os.getpid()),
        )
        self._shown, self._told = False, ""

    def __enter__(self) -> _Recorder:
        """Try the folder, once: a record that waits would stand for the writer that holds the lease."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._fresh.write_bytes(b"{}")
            self._fresh.unlink()
        except OSError as e:
            raise Unavailable(
                f"{self._path} can't be written ({e.strerror}): make the state directory writable, or set "
                "TAPEDECK_STATE_DIR to a folder that is"
            ) from e
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._fresh.unlink(missing_ok=True)
            if self._shown:
                self._path.unlink(missing_ok=True)

    def renew(self, report: Report) -> None:
        """Write the record. Where that fails it is told, once: what the writer writes does not hang on it."""
        record = {**msgspec.to_builtins(self._server), "vendor": self._vendor, **dataclasses.asdict(report)}
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._fresh.write_bytes(msgspec.json.encode({**record, "at": time.time()}))
            self._fresh.replace(self._path)
        except OSError as e:
            told = f"{self._path} can't be written ({e.strerror}): `tapedeck status` shows it as it last was"
        else:
            self._shown, told = True, ""
        if told and told != self._told:
            self._say(told)
        self._told = told


if __name__ == "__main__":
    main()

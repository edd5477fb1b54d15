"""`python -m live.writer VENDOR`: Kafka to Arctic. Started by `tapedeck write`."""

from __future__ import annotations

import dataclasses
import os
import sys
import time
from pathlib import Path

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
        record = deck.state / "live" / f"writer-{vendor}.json"
        by = f"writer {os.uname().nodename} {os.getpid()}"
        shown = False

        def show(report: Report) -> None:
            nonlocal shown
            _show(deck, record, vendor, report)
            shown = True

        try:
            write(deck, vendor, ending.asked, say, show, by)
        finally:
            if shown:
                record.unlink(missing_ok=True)
    except TapedeckError as e:
        say(str(e))
        sys.exit(e.exit_code)


def _show(deck: Settings, path: Path, vendor: str, report: Report) -> None:
    """Keep the record that `tapedeck status` reads: of the writer that holds the lease."""
    server = endpoints.Server(
        name=path.stem,
        pid=os.getpid(),
        started=psutil.Process().create_time(),
        address="",
        log="",
        birth=birth(os.getpid()),
    )
    table = {**msgspec.to_builtins(server), "vendor": vendor, **dataclasses.asdict(report), "at": time.time()}
    fresh = path.with_suffix(".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_bytes(msgspec.json.encode(table))
        fresh.replace(path)
    except OSError as e:
        raise Unavailable(
            f"{path} can't be written ({e.strerror}): make the state directory writable, or set state_dir"
        ) from e


if __name__ == "__main__":
    main()

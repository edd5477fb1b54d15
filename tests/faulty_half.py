"""`python -m tests.faulty_half HALF VENDOR --die POINT`: half a collector, killed by SIGKILL at that point.

See `tests.faulty`: what is tested is the product as it is.
"""

from __future__ import annotations

import sys

import click

from tests.faulty import die_at

Point = tuple[str, str, str]
TAPER: dict[str, Point] = {
    "lines are to be taped": ("tapedeck.tape.write:TapeWriter", "write", "before"),
    "lines are taped": ("tapedeck.tape.write:TapeWriter", "write", "after"),
    "a segment is to be closed": ("tapedeck.tape.write:TapeWriter", "rotate", "before"),
    "a segment is begun": ("tapedeck.tape.write:TapeWriter", "rotate", "after"),
    "a segment is to be compressed": ("tapedeck.tape.compress", "compress", "before"),
    "a segment is compressed": ("tapedeck.tape.compress", "compress", "after"),
}
PUBLISHER: dict[str, Point] = {
    "a life is to be registered": ("tapedeck.tape.publish:_Session", "_register", "before"),
    "a life is registered": ("tapedeck.tape.publish:_Session", "_register", "after"),
    "lines are to be produced": ("tapedeck.log.produce:Outbox", "send_packed", "before"),
    "lines are produced": ("tapedeck.log.produce:Outbox", "send_packed", "after"),
    "acknowledgements are to be taken": ("tapedeck.log.produce:Outbox", "_take_reports", "before"),
    "acknowledgements are taken": ("tapedeck.log.produce:Outbox", "_take_reports", "after"),
    "a position is to be saved": ("tapedeck.tape.position", "save", "before"),
    "a position is saved": ("tapedeck.tape.position", "save", "after"),
}
"""By name, a function and whether the half dies before or after it."""


@click.command()
@click.argument("half", type=click.Choice(["taper", "publisher"]))
@click.argument("vendor")
@click.option("--die", type=click.Choice([*TAPER, *PUBLISHER]))
@click.option("--turn", default=1)
@click.option("--bus", default="")
def main(half: str, vendor: str, die: str | None, turn: int, bus: str) -> None:
    if die:
        die_at((TAPER | PUBLISHER)[die], turn)
    sys.argv = [f"live.{half}", vendor, *(["--bus", bus] if bus else [])]
    if half == "taper":
        from live import taper

        taper.main()
    else:
        from live import publisher

        publisher.main()


if __name__ == "__main__":
    main()

"""The bus simulator as a process: `python -m live.simulator '{"vendor": …}'` (a `Simulation` as JSON).

`tapedeck simulate` becomes this process, so its signals and exit status are this one's. SIGINT and
SIGTERM end the play early and cleanly: what was sent goes out, the ledger is written, status 0.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from tapedeck import settings
from tapedeck.errors import TapedeckError
from tapedeck.simulate import simulation

_ROWS = 30


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the simulation that the first argument asks for; gives the exit status (DESIGN §9)."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if not arguments or arguments[1:] not in ([], ["--json"]):
            raise msgspec.DecodeError("no argument came, or one too many")
        asked = msgspec.json.decode(arguments[0], type=simulation.Simulation)
    except msgspec.DecodeError as e:
        print(
            f"tapedeck: the simulator takes one JSON object ({e}): use `tapedeck simulate`", file=sys.stderr
        )
        return 2
    try:
        if asked.files and sys.stderr.isatty():
            _tell("reading all files through before anything is sent")
        rehearsed = simulation.rehearse(settings.load(), asked)
        progress = _Progress()
        totals = simulation.run(rehearsed, _tell, progress, _stop_on_signals)
        progress.end()
    except KeyboardInterrupt:
        return 130
    except TapedeckError as e:
        print(f"tapedeck: {e}", file=sys.stderr)
        return e.exit_code
    print(msgspec.json.encode(totals).decode() if "--json" in arguments else _summary(totals), flush=True)
    return 0


def _summary(totals: dict[str, Any]) -> str:
    whole = totals["totals"]
    faults = ", ".join(
        f"{whole[fault]:,} {fault}" for fault in ("drop", "dup", "reorder", "stall") if whole[fault]
    )
    rows = [f"{row['sent']:>12,}  {row['stream'] or '(no stream)'}" for row in totals["streams"][:_ROWS]]
    if (more := len(totals["streams"]) - _ROWS) > 0:
        rows.append(f"{'':>12}  and {more} streams more (--json has all)")
    how = "played to the end" if totals["complete"] else "stopped early"
    return "\n".join([*rows, f"{whole['sent']:>12,}  sent, {how}; faults: {faults or 'none'}"])


def _tell(sentence: str) -> None:
    print(f"simulator: {sentence}", file=sys.stderr, flush=True)


def _stop_on_signals(stop: Callable[[], None]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop())


class _Progress:
    """One line on a terminal, renewed at most twice a second; nothing in a pipe."""

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty()
        self._next = time.monotonic() + 2.0
        self._begun = False

    def __call__(self, sent: int) -> None:
        if self._shown and (now := time.monotonic()) >= self._next:
            self._next, self._begun = now + 0.5, True
            print(f"\r{sent:,} messages sent ", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Leave the line."""
        if self._begun:
            print(file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())

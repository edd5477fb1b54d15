"""One of a collector's two processes: started, started again when it dies, ended in its own way."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType, TracebackType

from tapedeck.tape.ending import deferred

TAPER_BUS = "TAPER_BUS"
"""The variable that tells a taper its bus: an address may hold a password, arguments are seen by all."""
STEADY_SECONDS = 10.0
"""A half that lived so long did not die quickly."""
FIRST_PAUSE = 0.1
ENDINGS = 3
"""How often a half that is killed while it ends is started once more to end."""

Say = Callable[[str], None]


def pause_after(deaths: int, longest: float) -> float:
    """Seconds to wait after so many quick deaths in a row: none after the first, then 0.1 s, doubling."""
    return min(FIRST_PAUSE * 2 ** min(deaths - 2, 30), longest) if deaths > 1 else 0.0


class Half:
    """Runs `command`; it must take SIGTERM as the word to end (`Ending.listen`). `longest` is the most
    seconds that pass before it is started again. If it is `heeded`, it is not started again once it said
    (with status 2 or 3) that it can't go on. `told` joins its environment: what it is told there, nobody else
    sees. Ended at the end of the block if it still runs."""

    def __init__(
        self, name: str, command: Sequence[str], longest: float, say: Say, *, heeded: bool = False,
        told: Mapping[str, str] = MappingProxyType({}),
    ) -> None:  # fmt: skip
        self._name, self._command, self._longest, self._say = name, list(command), longest, say
        self._told = told
        self._last_words = (2, 3) if heeded else ()
        self._process: subprocess.Popen[bytes] | None = None
        self._started: float | None = None
        self._deaths, self._next = 0, 0.0
        self.verdict: int | None = None
        """The status with which it said that it can't go on, if it is heeded; None while it can."""
        self.starts = 0
        """How often it was started."""

    def __enter__(self) -> Half:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._stop(self._process, 1.0)

    @property
    def pid(self) -> int | None:
        """Its process, if it runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def keep_up(self) -> None:
        """Start it, or start it again when it died: at once, unless it dies quickly again and again."""
        now = time.monotonic()
        if self._process is not None and (status := self._process.poll()) is not None:
            self._process = None
            if self._heed(status):
                return
            quick = self._started is not None and now - self._started < STEADY_SECONDS
            self._deaths = self._deaths + 1 if quick else 0
            pause = pause_after(self._deaths, self._longest)
            self._next = now + pause
            when = f"in {pause:g} s" if pause else "at once"
            self._say(f"the {self._name} ended ({_why(status)}): it is started again {when}")
        if self._process is None and self.verdict is None and now >= self._next:
            self._process = self._start()

    def finish(self, seconds: float) -> bool:
        """End it by SIGTERM and give whether it did all that it does at its end; if not, that was said.

        One that does not run, because it died, or that is killed meanwhile, is started once more for that.
        One that takes longer than so many seconds is killed. One that was never started has nothing to do.
        """
        if self._started is None:
            return True
        status: int | None = None
        for _ in range(ENDINGS):
            if self._process is not None and (found := self._process.poll()) is not None:
                self._process = None
                self._heed(found)
            if self.verdict is not None:
                return False
            self._process = self._process or self._start()
            status = self._stop(self._process, seconds)
            if status is None or status >= 0:
                break
        if status and not self._heed(status):
            self._say(f"the {self._name} ended ({_why(status)})")
        return status == 0

    def _heed(self, status: int) -> bool:
        """Whether this status was its last word."""
        if status in self._last_words:
            self.verdict = status
            self._say(f"the {self._name} ended ({_why(status)})")
        return self.verdict is not None

    def _start(self) -> subprocess.Popen[bytes]:
        self._started = time.monotonic()
        self.starts += 1
        with deferred():
            # A session of its own: Ctrl-C is for the supervisor, which ends the halves in turn.
            return subprocess.Popen(self._command, start_new_session=True, env={**os.environ, **self._told})

    def _stop(self, process: subprocess.Popen[bytes], seconds: float) -> int | None:
        """Its status after SIGTERM; None where it had to be killed."""
        process.terminate()
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._say(
                f"the {self._name} did not end within {seconds:.0f} s and is killed; nothing on tape is lost"
            )
            process.kill()
            process.wait()
            return None


def _why(status: int) -> str:
    return f"killed by signal {-status}" if status < 0 else f"status {status}"

"""One of a collector's processes: a signal that comes too early waits, a death is followed by a new start."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from tapedeck.tape.half import Half, pause_after
from tests.tapes import until

LISTENS = """
import sys, time
from tapedeck.tape.ending import Ending
time.sleep(0.3)
ending = Ending().listen()
with open(sys.argv[1], "a") as log:
    print("up", file=log, flush=True)
    while not ending.asked():
        time.sleep(0.01)
    print("goodbye", file=log)
sys.exit(int(sys.argv[2]))
"""


def half(log: Path, said: list[str], status: int = 0) -> Half:
    return Half(
        "taper", [sys.executable, "-c", LISTENS, str(log), str(status)], 2.0, said.append, heeded=True
    )


def read(log: Path) -> list[str]:
    return log.read_text().split() if log.exists() else []


def test_a_half_told_to_end_before_it_listens_hears_it_then(tmp_path: Path) -> None:
    said: list[str] = []
    with half(tmp_path / "log", said) as taper:
        taper.keep_up()
        assert taper.finish(30)
    assert (read(tmp_path / "log"), said) == (["up", "goodbye"], [])
    assert taper.pid is None


def test_a_half_that_was_killed_is_started_once_more_to_end_in_its_own_way(tmp_path: Path) -> None:
    said: list[str] = []
    with half(tmp_path / "log", said) as taper:
        taper.keep_up()
        until(lambda: read(tmp_path / "log") == ["up"])
        os.kill(taper.pid or 0, signal.SIGKILL)
        assert taper.finish(30)
    assert (read(tmp_path / "log"), said) == (["up", "up", "goodbye"], [])


def test_a_killed_half_is_started_again_in_the_same_look(tmp_path: Path) -> None:
    said: list[str] = []
    with half(tmp_path / "log", said) as taper:
        taper.keep_up()
        killed = taper.pid or 0
        os.kill(killed, signal.SIGKILL)
        until(lambda: taper.pid is None)
        taper.keep_up()
        assert taper.pid not in (None, killed)
        assert taper.finish(30)
    assert said == ["the taper ended (killed by signal 9): it is started again at once"]


def test_a_half_that_ends_badly_says_so_and_keeps_its_verdict(tmp_path: Path) -> None:
    said: list[str] = []
    with half(tmp_path / "log", said, status=3) as taper:
        taper.keep_up()
        assert not taper.finish(30)
    assert (taper.verdict, said) == (3, ["the taper ended (status 3)"])


def test_a_half_that_says_that_it_cannot_go_on_is_not_started_again(tmp_path: Path) -> None:
    said: list[str] = []
    with half(tmp_path / "log", said, status=2) as taper:
        taper.keep_up()
        until(lambda: read(tmp_path / "log") == ["up"])
        os.kill(taper.pid or 0, signal.SIGTERM)
        until(lambda: taper.pid is None)
        taper.keep_up()
        taper.keep_up()
        assert (taper.pid, taper.verdict) == (None, 2)
        assert not taper.finish(30)
    assert (read(tmp_path / "log"), said) == (["up", "goodbye"], ["the taper ended (status 2)"])


def test_a_half_that_was_never_started_has_nothing_to_end(tmp_path: Path) -> None:
    with half(tmp_path / "log", []) as taper:
        assert taper.finish(30)
    assert read(tmp_path / "log") == []


def test_only_quick_deaths_in_a_row_make_a_half_wait_and_never_longer_than_its_longest_pause() -> None:
    assert [pause_after(deaths, 2.0) for deaths in range(7)] == [0, 0, 0.1, 0.2, 0.4, 0.8, 1.6]
    assert {pause_after(deaths, 2.0) for deaths in (7, 100, 10_000)} == {2.0}

"""`tapedeck.coverage`: what is there of a symbol, what is missing, why, and through when it is complete."""

from __future__ import annotations

import json
import subprocess

import pytest
from msgspec import structs

import tapedeck
from tapedeck import message as m
from tapedeck.checks import doors
from tapedeck.errors import BadInput
from tapedeck.settings import Settings, Writer
from tapedeck.slices import NS, Slice
from tapedeck.store.rebuild import rebuild
from tests.integration.test_writer import until, windows_of, writing
from tests.published import HOUR, T0, VENDOR, Published, environment, trade
from tests.servers import PROGRAM

TRADES = f"{VENDOR}.trade"
MINUTE = 60 * NS


@pytest.fixture
def settings(settings: Settings) -> Settings:
    vendor = structs.replace(settings.vendors[VENDOR], window={"trade": 60})
    return structs.replace(settings, vendors={VENDOR: vendor}, writer=Writer(late_every="300ms"))


@pytest.fixture
def log(settings: Settings) -> Published:
    return Published(settings)


def listened(first: int, last: int) -> list[m.Message]:
    """A collector's life in seconds after T0: each second a heartbeat and, but once, a trade."""
    since = T0 + first * NS
    made: list[m.Message] = [trade(T0 + i * NS + 5, i + 1) for i in range(first, last) if i != 370]
    made += [m.Heartbeat("*", 0, T0 + i * NS + 9, 0, 0, 1, since) for i in range(first, last)]
    return sorted(made, key=lambda one: one.ts_recv)


def test_each_stretch_says_what_is_so_and_why(settings: Settings, log: Published) -> None:
    log.register(T0)
    log.publish(*listened(0, 180))
    log.close(T0 + 180 * NS)
    log.register(T0 + 300 * NS)
    log.publish(*listened(300, 480))
    with writing(settings):
        until(lambda: T0 + 6 * MINUTE in windows_of(settings))
    doors.gaps(VENDOR, T0, T0 + 8 * MINUTE, settings=settings)
    log.publish(*listened(480, 600))
    log.beat(T0 + 600 * NS)
    frame = tapedeck.coverage(TRADES, "BTCUSDT", T0, T0 + 10 * MINUTE, settings=settings)
    assert [t.value for t in frame["start"]] == [T0, *(t.value for t in frame["end"])][:-1]
    assert frame["end"].iloc[-1].value == T0 + 10 * MINUTE
    assert frame["messages"].sum() == 180 + 179 + 120
    assert list(dict.fromkeys(zip(frame["state"], frame["reason"], strict=True))) == [
        ("arctic", ""), ("missing", "collector"), ("missing", "upstream"), ("log", ""),
    ]  # fmt: skip
    deaf = frame[frame["reason"] == "collector"]
    assert deaf["start"].min().value <= T0 + 181 * NS
    assert deaf["end"].max().value >= T0 + 299 * NS
    assert "finding" in frame[frame["reason"] == "upstream"]["why"].iloc[0]
    assert frame.attrs["complete_through"].value == T0 + 600 * NS
    assert frame.attrs["held_back_by"] == 1
    assert frame.attrs["notes"] == []


def test_without_a_slice_it_begins_with_the_first_window(settings: Settings, log: Published) -> None:
    log.load([trade(T0 + i * NS, i + 1, src=1007) for i in range(60)])
    rebuild(settings, VENDOR, Slice(T0, T0 + HOUR))
    frame = tapedeck.coverage(TRADES, "BTCUSDT", settings=settings)
    assert (frame["start"].iloc[0].value, frame["messages"].sum()) == (T0, 60)
    assert frame.attrs["complete_through"] is None
    with pytest.raises(BadInput, match="did you mean 'BTCUSDT'"):
        tapedeck.coverage(TRADES, "BTCUSD", settings=settings)
    with pytest.raises(BadInput, match="both ends"):
        tapedeck.coverage(TRADES, "BTCUSDT", T0, settings=settings)


def test_the_command_prints_a_line_a_stretch(settings: Settings, log: Published) -> None:
    log.publish(m.Trade("BTCUSDT", 0, T0, 1, 0, 1, 1.0, 1.0))
    rebuild(settings, VENDOR, Slice(T0, T0 + HOUR))

    def run(*more: str) -> subprocess.CompletedProcess[str]:
        words = [str(PROGRAM), "store", "coverage", TRADES, "BTCUSDT", *more]
        return subprocess.run(
            words, env=environment(settings), capture_output=True, text=True, timeout=120, check=False
        )

    said = json.loads(run("--json").stdout)
    assert sum(one["messages"] for one in said["stretches"]) == 1
    printed = run()
    assert printed.returncode == 0, printed.stderr
    assert printed.stdout.splitlines()[-1] == "no collector is open: nobody is waited for"
    assert run("2024-08-08T00:00:00").returncode == 2

"""A collector's processes killed in the middle of a market: nothing that reached the tape is lost."""

from __future__ import annotations

import json
import os
import signal

import psutil
import pytest
from msgspec import structs

from tapedeck.log import meta, topics
from tapedeck.settings import Settings
from tapedeck.settings import Tape as TapeSettings
from tapedeck.tape import lock, position
from tapedeck.tape.segment import segments
from tests.tapes import VENDOR, Running, check_log, files, publish_all, taped, until


def play(settings: Settings, seconds: int, rate: int = 2000) -> Running:
    return Running(
        settings, "simulate", VENDOR, "--symbols", "6", "--rate", str(rate), "--duration", str(seconds),
        "--json",
    )  # fmt: skip


def sent_by(market: Running) -> int:
    assert market.process.wait(60) == 0, market.said
    return int(json.loads(market.said.splitlines()[-1])["totals"]["sent"])


def through(settings: Settings, count: int) -> bool:
    """Whether Kafka has acknowledged about so many messages of the present life."""
    try:
        found = position.load(settings.tape_dir(VENDOR, 1))
    except FileNotFoundError:
        return False
    return found is not None and sum(lane.sent for lane in found.lanes) >= count


def test_both_halves_killed_mid_flow_lose_and_disorder_nothing_that_was_taped(settings: Settings) -> None:
    settings = structs.replace(settings, tape=TapeSettings(segment_bytes=300_000))
    folder = settings.tape_dir(VENDOR, 1)
    with Running(settings, "collect", VENDOR) as collector:
        until(lambda: lock.is_held(folder, "taper"))
        with play(settings, 9) as market:
            for half in ("publisher", "taper", "publisher"):
                until(lambda: through(settings, 2000))
                killed = collector.halves()[half]
                os.kill(killed, signal.SIGKILL)
                until(lambda killed=killed, half=half: collector.halves().get(half, killed) != killed)  # type: ignore[misc]
            sent = sent_by(market)
        assert collector.end() == 0, collector.said
    count, _ = check_log(settings)
    assert 2000 < count <= sent + 20
    lives = meta.read(settings).lives
    assert [life.closed is None for life in lives] == [True, False]
    assert len(files(folder)) > 4
    assert not (settings.state / "live" / f"collector-{VENDOR}-1.json").exists()


@pytest.mark.parametrize("halves", [("taper",), ("publisher", "taper")])
def test_a_collector_told_to_end_as_a_half_dies_says_goodbye_and_publishes_its_whole_tape(
    settings: Settings, halves: tuple[str, ...]
) -> None:
    with Running(settings, "collect", VENDOR) as collector:
        until(lambda: lock.is_held(settings.tape_dir(VENDOR, 1), "taper"))
        with play(settings, 60) as market:
            until(lambda: through(settings, 500))
            for half in halves:  # twice: a half that dies again waits a little before its next start
                killed = collector.halves()[half]
                os.kill(killed, signal.SIGKILL)
                until(lambda killed=killed, half=half: collector.halves().get(half, killed) != killed)  # type: ignore[misc]
            for half in halves:
                os.kill(collector.halves()[half], signal.SIGKILL)
            assert collector.end() == 0, collector.said
            market.process.terminate()
    check_log(settings)
    lives = sorted(meta.read(settings).lives, key=lambda life: life.since)
    assert lives[-1].closed is not None, collector.said
    assert segments(settings.tape_dir(VENDOR, 1))[-1].life == lives[-1].since


def test_a_collector_told_to_end_while_its_halves_still_start_ends_both_in_peace(settings: Settings) -> None:
    with Running(settings, "collect", VENDOR) as collector:
        until(lambda: len(collector.halves()) == 2)
        assert collector.end() == 0, collector.said
    assert "killed" not in collector.said
    check_log(settings)
    [life] = meta.read(settings).lives
    assert life.closed is not None


def test_a_publisher_that_cannot_go_on_is_told_of_at_the_end(settings: Settings) -> None:
    folder = settings.tape_dir(VENDOR, 1)
    folder.mkdir(parents=True)
    (folder / position.FILE).write_bytes(b"no position")
    with Running(settings, "collect", VENDOR) as collector:
        until(lambda: "the publisher ended (status 3)" in collector.said)
        assert collector.end() == 3, collector.said
    why, rest = collector.said.splitlines()[-2:]
    assert why.endswith(f" collect {VENDOR} 1: the publisher ended (status 3)")
    assert f"remains on the tape {folder}" in rest
    (folder / position.FILE).unlink()
    publish_all(settings)
    assert all(life.closed for life in meta.read(settings).lives)


def test_an_undisturbed_collector_publishes_every_message_once_and_says_goodbye(settings: Settings) -> None:
    with Running(settings, "collect", VENDOR) as collector:
        until(lambda: "taper" in collector.halves())
        with play(settings, 3) as market:
            sent = sent_by(market)
        record = json.loads((settings.state / "live" / f"collector-{VENDOR}-1.json").read_bytes())
        assert (record["vendor"], record["src"], record["pid"]) == (VENDOR, 1, collector.process.pid)
        assert {record["taper_pid"], record["publisher_pid"]} == set(collector.halves().values())
        with Running(settings, "collect", VENDOR) as second:
            assert second.process.wait(30) == 2
            assert "is at work in" in second.said
            assert second.said.count("\n") == 1
        assert collector.end() == 0
    assert check_log(settings) == (sent + 2 + 6, 0)  # and connect, disconnect, in each of 4 partitions
    [life] = meta.read(settings).lives
    assert life.closed is not None


def test_halves_whose_supervisor_was_killed_end_by_themselves_and_the_next_goes_on(
    settings: Settings,
) -> None:
    with Running(settings, "collect", VENDOR) as collector:
        until(lambda: "taper" in collector.halves() and "publisher" in collector.halves())
        with play(settings, 4) as market:
            until(lambda: through(settings, 500))
            halves = collector.halves()
            collector.process.kill()
            with Running(settings, "collect", VENDOR) as again:
                sent_by(market)
                until(lambda: len(meta.read(settings).lives) == 2)
                assert again.end() == 0, again.said
    assert not any(psutil.pid_exists(pid) for pid in halves.values())
    count, resent = check_log(settings)
    assert (count > 500, resent) == (True, 0)  # they ended in peace


def test_while_kafka_is_away_the_tape_grows_and_all_of_it_is_published_later(settings: Settings) -> None:
    away = structs.replace(settings, kafka=structs.replace(settings.kafka, bootstrap="127.0.0.1:1"))
    with Running(away, "collect", VENDOR) as collector:
        until(lambda: "taper" in collector.halves())
        with play(away, 2) as market:
            sent = sent_by(market)
        assert collector.end() == 0, collector.said
    assert "all that was received remains on the tape" in collector.said
    assert len(taped(settings)) >= sent
    publish_all(settings)
    assert check_log(settings)[1] == 0
    assert all(life.closed for life in meta.read(settings).lives)
    assert topics.verify(settings, VENDOR).live[0].partitions == 4

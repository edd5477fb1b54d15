"""`tapedeck collect`, `tape` and `quarantine`: what they print, and one sentence for bad input."""

from __future__ import annotations

import json
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tapedeck.log import meta
from tapedeck.settings import Settings
from tapedeck.tape.compress import compress
from tapedeck.tape.segment import segments
from tests.servers import tapedeck
from tests.tapes import VENDOR, Tape, payloads, publish_all, variables


def run(settings: Settings, *words: str) -> CompletedProcess[str]:
    return tapedeck(*words, state=Path(settings.state_dir), **variables(settings))


def test_tape_lists_segments_and_what_kafka_has_acknowledged(settings: Settings) -> None:
    tape = Tape(settings)
    tape.take(*payloads(80))
    tape.writer.rotate()
    stamps = tape.take(*payloads(80))
    publish_all(settings)
    tape.writer.rotate()
    tape.take(*payloads(3))
    tape.writer.close()
    first, *_ = segments(tape.folder)
    compress(tape.folder, first)
    done = run(settings, "tape", VENDOR, "--json")
    [told] = json.loads(done.stdout)["tapes"]
    assert told["src"] == 1
    assert told["acknowledged"] == max(stamps)
    assert told["segments"][0]["file"].endswith("-000000.tape.zst")
    assert (told["segments"][0]["first"], told["segments"][0]["lines"]) == (tape.life, 81)
    assert [s["published"] for s in told["segments"]] == [True, True, False]
    text = run(settings, "tape", VENDOR).stdout
    assert "published" in text
    assert text.count("lines") == 3
    assert "no tape of binance_spot" in run(settings, "tape", "binance_spot").stdout


def test_quarantine_lists_reasons_with_a_sample(settings: Settings) -> None:
    tape = Tape(settings)
    tape.take(b"garbage", b"rubbish", *payloads(5))
    tape.end()
    publish_all(settings)
    told = json.loads(run(settings, "quarantine", VENDOR, "--json").stdout)
    assert told["quarantined"] == 2
    [reason] = told["reasons"]
    assert (reason["reason"], reason["count"], reason["sample"]) == ("payload is not JSON", 2, "garbage")
    assert "2  payload is not JSON" in run(settings, "quarantine", VENDOR).stdout


def test_a_collector_that_will_not_come_back_is_retired(settings: Settings) -> None:
    tape = Tape(settings)
    tape.take(*payloads(5))
    tape.writer.close()  # as if killed: no goodbye
    publish_all(settings)
    assert [life.retired for life in meta.read(settings).lives] == [False]
    assert run(settings, "collect", VENDOR, "--retire").returncode == 0
    assert [life.retired for life in meta.read(settings).lives] == [True]
    again = run(settings, "collect", VENDOR, "--retire")
    assert (again.returncode, again.stdout) == (0, f"collector 1 of {VENDOR}: 0 open lives retired\n")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("collect", "binance_usd"), "did you mean 'binance_usdm'?"),
        (("collect", VENDOR, "--src", "1000"), "1000 is not in the range"),
        (("collect", VENDOR, "--bus", "carrier:pigeon"), "has no known address"),
        (("collect", VENDOR, "--retire", "--src", "9"), "never had a collector 9"),
        (("load", "binance_usd", "x.gz"), "did you mean 'binance_usdm'?"),
        (("load", VENDOR, "nowhere.gz"), "nowhere.gz can't be read"),
        (("tape", "binance_usd"), "did you mean 'binance_usdm'?"),
        (("quarantine", VENDOR), "nothing is recorded of binance_usdm yet"),
    ],
)
def test_bad_input_is_one_sentence_and_changes_nothing(
    settings: Settings, words: tuple[str, ...], sentence: str
) -> None:
    done = run(settings, *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (settings.state / "live").exists()

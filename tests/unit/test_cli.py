"""Bad input and absent servers at the terminal: one sentence, the right status, nothing done."""

from __future__ import annotations

import gzip
import os
import re
from pathlib import Path

import pytest

from tapedeck.cli.main import VERBS, run
from tapedeck.log import client
from tapedeck.slices import NS
from tapedeck.store import database

VENDOR, LIBRARY = "binance_usdm", "binance_usdm.trade"
DAY = ("2024-08-08T00:00:00Z", "2024-08-09T00:00:00Z")
BACKWARDS = DAY[::-1]
ZONELESS = ("2024-08-08T00:00:00", "2024-08-09T00:00:00Z")
TO = ("--to", "kafka:replayed")
VOID = ("--src", "1", "--reason", "garbage")
NEAREST = "did you mean 'binance_usdm'?"
RECEIVED = 1_723_161_600 * NS


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder with three captures, and settings by which no server answers."""
    monkeypatch.setattr(client, "CONTACT_SECONDS", 0.5)
    monkeypatch.setattr(database, "CONTACT_MS", 300)
    monkeypatch.setenv("TAPEDECK_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("TAPEDECK_KAFKA__BOOTSTRAP", "127.0.0.1:1")
    monkeypatch.setenv("TAPEDECK_MONGO__URI", "mongodb://127.0.0.1:1/")
    monkeypatch.setattr(os, "execv", lambda *words: pytest.fail(f"a process was started: {words}"))
    monkeypatch.chdir(tmp_path)
    lines = b"".join(b'%d {"n":%d}\n' % (RECEIVED + i, i) for i in range(100))
    Path("whole.txt").write_bytes(lines)
    Path("cut.gz").write_bytes(gzip.compress(lines)[:-9])
    Path("letter.txt").write_bytes(b"Dear Sir,\n")
    return tmp_path


def told(capfd: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Exit status, stdout, and the one line on stderr without its name."""
    status = run(words)
    out, err = capfd.readouterr()
    assert re.fullmatch(r"tapedeck: [^\n]+\n", err), err
    return status, out, err.removeprefix("tapedeck: ")


SLICED = {
    "cat": (VENDOR,), "replay": (VENDOR,), "backfill": (VENDOR,), "read": (LIBRARY, "BTCUSDT"),
    "gaps": (VENDOR,), "reconcile": (VENDOR,),
}  # fmt: skip
"""What stands before START and END in the verbs that ask for a slice."""
VENDORED = (
    "simulate", "collect", "load", "tape", "quarantine", "write", "cat", "tail", "topics", "replay",
    "backfill", "gaps", "reconcile", "findings", "void",
)  # fmt: skip
MORE = {
    "load": ("whole.txt",), "cat": DAY, "replay": (*DAY, *TO), "backfill": DAY, "gaps": DAY, "reconcile": DAY,
    "void": (*DAY, *VOID),
}  # fmt: skip
"""What else a verb must be given after the vendor."""


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        *(((verb, *what, *ZONELESS, *(TO if verb == "replay" else ())), "has no zone: write it as 2024-")
          for verb, what in SLICED.items()),
        *(((verb, *what, *BACKWARDS, *(TO if verb == "replay" else ())), "give an end after the start")
          for verb, what in SLICED.items()),
        *(((verb, "binance_usd", *MORE.get(verb, ())), NEAREST) for verb in VENDORED),
        (("topics", "md\x1b[2J"), "there is no vendor 'md\\x1b[2J' in the settings"),
        (("read", "binance_usd.trade", "BTCUSDT", *DAY), "did you mean 'binance_usdm.trade'?"),
        (("receipts", "--vendor", "binance_usd"), NEAREST),
        (("void", VENDOR, *ZONELESS, *VOID), "has no zone: write it as 2024-"),
        (("void", VENDOR, *BACKWARDS, *VOID), "give an end after the start"),
        (("void", VENDOR, *DAY, "--src", "1", "--reason", " "), "needs a reason of 1 to 500 characters"),
        (("void", VENDOR, *DAY, "--reason", "x"), "Missing option '--src'"),
        (("collect", "binance_usd", "--retire"), NEAREST),
        (("cat", VENDOR, *DAY, "--kinds", "trades"), "there is no kind 'trades': the kinds are trade"),
        (("replay", VENDOR, *DAY, *TO, "--kinds", "trades"), "there is no kind 'trades'"),
        (("read", "binance_usdm.trades", "BTCUSDT", *DAY), "did you mean 'binance_usdm.trade'?"),
        (("cat", VENDOR, *DAY, "--symbols", "BTC\nUSDT"), "is not 1 to 64 printable characters"),
        (("tail", VENDOR, "--since", "yesterday"), "'yesterday' is no time: write it as"),
        (("replay", VENDOR, *DAY, "--to", "nowhere:x"), "write kafka:TOPIC"),
        (("replay", VENDOR, *DAY, *TO, "--speed", "0"), "can't run at speed '0': write max"),
        (("replay", VENDOR, *DAY, "--to", "parquet:x", "--speed", "1"), "leave the speed at max"),
        (("replay", VENDOR, *DAY, *TO, "--raw"), "raw payloads go onto a bus only"),
        (("receipts", "--job", "repair"), "the jobs are replay, backfill, history, reconcile and void"),
        (("findings", "--status", "done"), "the states are open, repairing, closed, accepted"),
        (("findings", "accept", "3f9a", "--reason", ""), "a finding is accepted with a reason"),
        (("findings", "accept", "mine", "--reason", "so"), "'mine' is no finding's id"),
        (("findings", "accept"), "accept one finding at a time"),
        (("findings", VENDOR, "and", "more"), "is no vendor: name one"),
        (("up", "--only", "kafkas"), "the parts are kafka, mongo, airflow"),
        (("load", VENDOR, "whole.txt", "letter.txt"), "letter.txt is no capture: line 1"),
        (("load", VENDOR, "whole.txt", "cut.gz"), "cut.gz breaks off or is damaged"),
        (("load", VENDOR, "nowhere.gz"), "nowhere.gz can't be read"),
        (("recieve",), "No such command 'recieve'"),
        (("cat",), "Missing argument 'VENDOR'"),
        *(((verb, "--nonsense"), f"(see `tapedeck {verb} --help`)") for verb in VERBS),
    ],
    ids=lambda value: " ".join(value).replace("\n", "+") if isinstance(value, tuple) else "",
)  # fmt: skip
def test_bad_input_is_one_sentence_found_before_any_server_is_asked(
    capfd: pytest.CaptureFixture[str], alone: Path, words: tuple[str, ...], sentence: str
) -> None:
    status, out, err = told(capfd, *words)
    assert (status, out) == (2, "")
    assert sentence in err
    assert err.rstrip("\n").isprintable()  # no control character of whoever wrote the words
    assert not (alone / "state").exists()


@pytest.mark.parametrize(
    "words",
    [
        ("load", VENDOR, "whole.txt"), ("quarantine", VENDOR), ("collect", VENDOR, "--retire"),
        ("cat", VENDOR, *DAY), ("topics",), ("replay", VENDOR, *DAY, *TO), ("backfill", VENDOR, *DAY),
        ("gaps", VENDOR, *DAY), ("reconcile", VENDOR, *DAY),
    ],
    ids=lambda words: words[0],
)  # fmt: skip
def test_a_broker_that_does_not_answer_is_one_sentence(
    capfd: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    status, out, err = told(capfd, *words)
    assert (status, out) == (3, "")
    assert err.startswith("Kafka at 127.0.0.1:1 did not answer")
    assert "or correct kafka.bootstrap" in err


@pytest.mark.parametrize(
    "words",
    [
        ("read", LIBRARY, "BTCUSDT", *DAY), ("write", VENDOR), ("receipts",), ("receipts", "83af6201"),
        ("findings",),
    ],
    ids=lambda words: " ".join(words[:2]),
)  # fmt: skip
def test_a_mongod_that_does_not_answer_is_one_sentence(
    capfd: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    status, out, err = told(capfd, *words)
    assert (status, out) == (3, "")
    assert err.startswith("MongoDB at mongodb://127.0.0.1:1/ failed")
    assert "or correct mongo.uri" in err


@pytest.mark.parametrize(
    ("words", "what"),
    [(("up", "--only", "mongo"), "the state directory"), (("collect", VENDOR), "the folder")],
)
def test_a_state_directory_that_can_not_be_written_is_one_sentence(
    capfd: pytest.CaptureFixture[str], alone: Path, monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...], what: str,
) -> None:  # fmt: skip
    monkeypatch.setenv(
        "TAPEDECK_STATE_DIR", str(alone / "letter.txt" / "state")
    )  # root may write anywhere else
    monkeypatch.delenv("TAPEDECK_MONGO__URI")
    status, out, err = told(capfd, *words)
    assert (status, out) == (3, "")
    assert err.startswith(f"{what} {alone}/letter.txt/state")
    assert "can't be written (Not a directory): make it writable, or set" in err


def test_alone_the_command_shows_its_help(capfd: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 2
    out, err = capfd.readouterr()
    assert (out.splitlines()[0], err) == ("Usage: tapedeck [OPTIONS] COMMAND [ARGS]...", "")

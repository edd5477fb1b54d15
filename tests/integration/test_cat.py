"""`tapedeck cat` and `tail` as a person meets them: pipes, files, terminals, signals."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import threading
from pathlib import Path

import msgpack
import pyarrow.parquet as pq
import pytest

from tapedeck.cli.main import run
from tapedeck.log import fetch as fetches
from tapedeck.log.timeline import timeline
from tapedeck.settings import Settings
from tapedeck.slices import NS, format_time
from tests.published import T0, VENDOR, Published, environment, trade
from tests.servers import PROGRAM

START, END = format_time(T0), format_time(T0 + 3000 * NS)


@pytest.fixture
def log(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Published:
    """Three thousand trades, and a broker and settings that the command finds."""
    for name, value in environment(settings).items():
        monkeypatch.setenv(name, value)
    made = Published(settings)
    made.publish(*(trade(T0 + i * NS, i + 1) for i in range(3000)))
    return made


def told(capfd: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    capfd.readouterr()
    status = run(words)
    out, err = capfd.readouterr()
    return status, out, err


def test_a_reader_that_goes_away_is_no_error(log: Published) -> None:
    for verb in (f"cat {VENDOR} {START} {END}", f"tail {VENDOR} --since {START}"):
        for form in ("table", "jsonl"):
            shell = f"{PROGRAM} {verb} --format {form} | head -n 2; exit ${{PIPESTATUS[0]}}"
            done = subprocess.run(
                ["bash", "-c", shell], capture_output=True, text=True, timeout=60, check=False
            )  # fmt: skip
            assert (done.returncode, done.stderr) == (0, "")
            assert len(done.stdout.splitlines()) == 2


def test_ctrl_c_is_clean(log: Published) -> None:
    with subprocess.Popen(
        [str(PROGRAM), "tail", VENDOR, "--since", START], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as tail:
        assert tail.stdout
        assert tail.stdout.readline().startswith(b"ts_recv (UTC)")
        tail.send_signal(signal.SIGINT)
        _, err = tail.communicate(timeout=60)
        assert (tail.returncode, err) == (0, b"")


def test_ctrl_c_that_comes_with_records_ends_all_the_same(
    log: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = fetches.librdkafka.call

    def interrupted(name: str, *arguments: object) -> object:
        given = call(name, *arguments)
        if name == "consume_batch_queue" and given > 0:
            raise KeyboardInterrupt
        return given

    monkeypatch.setattr(fetches.librdkafka, "call", interrupted)

    def follow() -> None:
        with pytest.raises(KeyboardInterrupt):
            next(iter(timeline(VENDOR, log.settings).tail(T0)))

    following = threading.Thread(target=follow, daemon=True)  # it would wait for ever, here as at the end
    following.start()
    following.join(60)
    assert not following.is_alive()


def test_a_plan_is_shown_stored_and_read_again(
    log: Published, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    status, out, _ = told(capfd, "cat", VENDOR, START, END, "--plan")
    assert status == 0
    assert out.startswith(f"{VENDOR} [{START}, {END})\nplan ")
    (tmp_path / "plan.json").write_text(told(capfd, "cat", VENDOR, START, END, "--plan", "--json")[1])
    log.publish(trade(T0 + 5, 9000))
    status, out, _ = told(capfd, "cat", VENDOR, "--stored", str(tmp_path / "plan.json"), "--json")
    assert (status, json.loads(out)["messages"]) == (0, 3000)
    (tmp_path / "plan.json").write_text("{}")
    status, _, err = told(capfd, "cat", VENDOR, "--stored", str(tmp_path / "plan.json"))
    assert (status, "no stored plan" in err) == (2, True)


def test_files_hold_the_slice_in_any_format(
    log: Published, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    log.publish(trade(T0, 1))
    more = {"parquet": 3001, "jsonl": 3001, "msgpack": 3001}
    for form in more:
        out = tmp_path / form
        words = ("cat", VENDOR, START, END, "--everything", "--format", form, "--out", str(out))
        assert told(capfd, *words)[:2] == (0, "")
    assert pq.read_table(tmp_path / "parquet").num_rows == 3001
    assert [json.loads(x)["mark"] for x in (tmp_path / "jsonl").read_text().splitlines()[:3]] == [
        "kept", "resend", "kept"
    ]  # fmt: skip
    data, seqs = (tmp_path / "msgpack").read_bytes(), []
    while data:
        size = int.from_bytes(data[:4], "big")
        seqs.append(msgpack.unpackb(data[4 : 4 + size])[4])
        data = data[4 + size :]
    assert seqs == [1, *range(1, 3001)]
    piped = subprocess.run(
        [str(PROGRAM), "cat", VENDOR, START, END, "--format", "parquet"], capture_output=True, timeout=60,
        check=True,
    )  # fmt: skip
    (tmp_path / "piped").write_bytes(piped.stdout)
    assert pq.read_table(tmp_path / "piped").num_rows == 3000
    status, _, err = told(capfd, "cat", VENDOR, START, END, "--out", str(tmp_path / "no" / "where"))
    assert (status, "can't be written" in err) == (2, True)


def test_what_is_not_complete_is_flagged_refused_or_waited_for(
    log: Published, capfd: pytest.CaptureFixture[str]
) -> None:
    log.register(T0 - NS)
    words = ("cat", VENDOR, START, END, "--count")
    status, _, err = told(capfd, *words)
    assert (status, err.startswith("note: collector 1 has not yet shown")) == (0, True)
    status, out, err = told(capfd, *words, "--incomplete", "refuse")
    assert (status, out) == (3, "")
    assert err.startswith(f"tapedeck: {VENDOR} [{START}, {END}) is not whole: collector 1")
    status, _, err = told(capfd, *words, "--incomplete", "wait", "--wait", "1s")
    assert (status, "after waiting 1s: collector 1" in err) == (3, True)
    assert told(capfd, *words, "--incomplete", "wait", "--wait", "soon")[0] == 2
    log.beat(T0 + 3100 * NS)
    assert told(capfd, *words, "--incomplete", "wait")[::2] == (0, "")


def test_a_moment_in_which_no_source_listened_is_counted_and_not_told(
    log: Published, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ("cat", VENDOR, START, END)
    log.load([trade(T0 + at, src=1007) for at in (0, 3000 * NS - NS // 3)])
    assert "no source listened" not in told(capfd, *words, "--count")[1]
    assert json.loads(told(capfd, *words, "--json")[1])["uncovered_seconds"] == 0.333


def test_a_slice_of_years_is_read_and_bad_words_are_one_sentence(
    log: Published, capfd: pytest.CaptureFixture[str]
) -> None:
    log.load([trade(NS * 1_500_000_000, 1, src=1007)])
    years = ("cat", VENDOR, "1970-01-01T00:00:00Z", "2199-01-01T00:00:00Z", "--json")
    status, out, _ = told(capfd, *years)
    assert (status, json.loads(out)["messages"]) == (0, 3001)
    for words, sentence in (
        (("--symbols", "BTC\nUSDT"), "1 to 64 printable characters"),
        (("--kinds", "trades"), "the kinds are trade, quote, book, status, fields"),
        (("--stored", "/dev/null"), "takes the place of START and END"),
        (("--format", "xml"), "'xml' is not one of"),
    ):
        status, _, err = told(capfd, *years, *words)
        assert (status, err.count("\n"), sentence in err) == (2, 1, True)
    status, _, err = told(capfd, "cat", VENDOR, START)
    assert (status, "needs START and END" in err) == (2, True)


def test_a_bar_is_for_terminals_only(log: Published, monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "import sys, tapedeck.cli.progress as p; p.AFTER_SECONDS = -1.0\n"
        "from tapedeck.cli.main import run; sys.exit(run(sys.argv[1:]))"
    )
    words = [str(PROGRAM.with_name("python")), "-c", code, "cat", VENDOR, START, END, "--count"]
    assert subprocess.run(words, capture_output=True, timeout=60, check=True).stderr == b""
    ours, theirs = pty.openpty()
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=theirs) as counting:
        os.close(theirs)
        out, _ = counting.communicate(timeout=60)
    shown = b""
    while True:
        try:
            shown += os.read(ours, 65_536)
        except OSError:
            break
    os.close(ours)
    assert b"counting" in shown
    assert b"of 3,000" in shown
    assert b"3,000" in out


@pytest.mark.parametrize("form", ["table", "jsonl", "msgpack", "parquet"])
def test_a_slice_of_a_vendor_that_was_never_recorded_holds_nothing(
    log: Published, tmp_path: Path, capfd: pytest.CaptureFixture[str], form: str
) -> None:
    other, out = "binance_spot", tmp_path / "out"
    status, _, err = told(capfd, "cat", other, START, END, "--format", form, "--out", str(out))
    assert (status, err.splitlines()) == (0, [
        f"note: nothing is recorded of {other} yet: run `tapedeck collect {other}` or "
        f"`tapedeck load {other} FILE…`", f"{other} has no messages in [{START}, {END})",
    ])  # fmt: skip
    assert (pq.read_table(out).num_rows if form == "parquet" else out.read_bytes()) in (0, b"")
    status, counted, _ = told(capfd, "cat", other, START, END, "--count", "--json")
    found = json.loads(counted)
    assert (status, found["messages"], found["complete"]) == (0, 0, False)
    assert found["uncovered_seconds"] == 3000
    for more in (("--plan",), ("--incomplete", "refuse"), ("--symbols", "NOSUCH")):
        assert told(capfd, "cat", other, START, END, *more)[0] == 2

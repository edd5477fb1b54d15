"""Voids by hand: the log keeps everything, the windows say what is no data, and nothing is voided twice."""

from __future__ import annotations

import json
import time

import pytest

from tapedeck.cli.main import run
from tapedeck.errors import BadInput
from tapedeck.jobs import void as job
from tapedeck.jobs.origin import Origin
from tapedeck.jobs.receipts import Receipt
from tapedeck.log import meta
from tapedeck.log.timeline import timeline
from tapedeck.reports import home
from tapedeck.reports.doors import report
from tapedeck.settings import Settings
from tapedeck.slices import NS, Slice, format_time
from tapedeck.store.read import read
from tapedeck.store.rebuild import rebuild
from tapedeck.tape.sender import Sender
from tests.published import HOUR, T0, VENDOR, Published, environment, trade

OF = Slice(T0 + 10 * NS, T0 + 20 * NS)


@pytest.fixture
def log(settings: Settings) -> Published:
    """A trade a second of two symbols, for 40 s, from two collectors half a second apart."""
    made = Published(settings)
    for src in (1, 2):
        made.register(T0 - NS + src, src)
        made.publish(
            *(
                trade(T0 + i * NS + src * 1000, i + 1, symbol, src)
                for i in range(40)
                for symbol in ("BTCUSDT", "ETHUSDT")
            )
        )
        made.close(T0 + HOUR + src, src)
    rebuild(settings, VENDOR, Slice(T0, T0 + HOUR))
    return made


def void(settings: Settings, of: Slice, src: int = 1, symbols: tuple[str, ...] = ()) -> Receipt:
    one = job.order(settings, VENDOR, of, src, "prices in cents", symbols)
    return job.void(settings, one, origin=Origin(who="a test", started=time.time_ns()))


def held(settings: Settings, symbol: str = "BTCUSDT") -> list[tuple[int, int]]:
    """(source, second) of what stands."""
    found = timeline(VENDOR, settings).between(T0, T0 + HOUR, symbols=[symbol])
    return [(m.src, (m.ts_recv - T0) // NS) for m in found]


def test_what_is_voided_goes_and_the_copies_of_it_stand_instead(log: Published) -> None:
    done = void(log.settings, OF)
    assert (done.outcome, done.counts["voided"], done.counts["voided_trade"]) == ("written", 20, 20)
    assert done.asked == {"src": 1, "symbols": [], "reason": "prices in cents"}
    for symbol in ("BTCUSDT", "ETHUSDT"):
        assert held(log.settings, symbol) == [(2 if 10 <= i < 20 else 1, i) for i in range(40)]
    again = rebuild(log.settings, VENDOR, Slice(T0, T0 + HOUR))
    assert (again.messages, again.duplicates, again.voided, again.written) == (80, 60, 20, 0)


def test_only_the_symbols_that_are_named_are_voided_and_never_twice(log: Published) -> None:
    assert void(log.settings, OF, symbols=("ETHUSDT",)).counts["voided"] == 10
    assert void(log.settings, OF, src=2, symbols=("ETHUSDT",)).counts["voided"] == 10
    second = void(log.settings, OF, symbols=("ETHUSDT",))
    assert (second.outcome, second.counts["voided"], second.counts["voided_before"]) == ("unchanged", 0, 10)
    assert len(meta.read(log.settings).extents) == 2
    assert held(log.settings) == [(1, i) for i in range(40)]
    assert held(log.settings, "ETHUSDT") == [(1, i) for i in range(40) if not 10 <= i < 20]


def test_history_that_is_voided_goes_and_what_is_loaded_later_stands(log: Published) -> None:
    log.load([trade(T0 + 45 * NS + i, 100 + i, src=1007) for i in range(5)])
    of = Slice(T0 + 45 * NS, T0 + 46 * NS)
    assert void(log.settings, of, src=1007).counts["voided"] == 5
    assert len(held(log.settings)) == 40
    log.load([trade(T0 + 45 * NS + i, 100 + i, src=1007) for i in range(3)])
    assert held(log.settings)[40:] == [(1007, 45)] * 3


def test_a_void_that_was_killed_is_run_again_and_the_windows_follow(
    log: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(self: Sender) -> None:
        self.drain()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Sender, "finish", killed)
        with pytest.raises(KeyboardInterrupt):
            void(log.settings, OF)
    done = void(log.settings, OF)
    assert (done.outcome, done.counts["voided"], done.counts["voided_before"]) == ("written", 0, 20)
    assert rebuild(log.settings, VENDOR, Slice(T0, T0 + HOUR)).written == 0
    assert held(log.settings) == [(2 if 10 <= i < 20 else 1, i) for i in range(40)]


def test_a_reader_as_of_before_sees_what_was_and_the_days_report_tells_of_it(log: Published) -> None:
    before = time.time_ns()
    whole = read(f"{VENDOR}.trade", "BTCUSDT", T0, T0 + HOUR, tail=False, settings=log.settings)
    one = job.order(log.settings, VENDOR, OF, 1, "prices in cents", ("BTCUSDT",))
    job.void(log.settings, one, origin=Origin(who="ada", started=time.time_ns()))
    now, then = (
        read(f"{VENDOR}.trade", "BTCUSDT", T0, T0 + HOUR, tail=False, as_of=at, settings=log.settings)
        for at in (None, before)
    )
    assert then.equals(whole)
    assert not now.equals(whole)
    day = report(VENDOR, format_time(T0)[:10], settings=log.settings)
    [told] = day.order["voids"]
    names = ("src", "symbols", "reason", "who", "messages")
    assert tuple(told[name] for name in names) == (1, ["BTCUSDT"], "prices in cents", "ada", 10)
    page = home.page(log.settings, f"{VENDOR}/{day.day}.html").decode()
    assert "prices in cents" in page


def test_a_day_s_few_messages_are_voided_unasked_and_no_more_than_were_approved(log: Published) -> None:
    log.load([trade(T0 + 100 * NS + i, 1000 + i, "MANY", 1008) for i in range(20_000)], src=1008)
    rebuild(log.settings, VENDOR, Slice(T0, T0 + HOUR))
    few = job.order(log.settings, VENDOR, OF, 1, "x", ("BTCUSDT",))
    assert job.exceeded(log.settings, few, job.foresee(log.settings, few)) == []
    many = job.order(log.settings, VENDOR, Slice(T0, T0 + HOUR), 1, "x")
    assert len(job.exceeded(log.settings, many, job.foresee(log.settings, many))) == 1
    with pytest.raises(BadInput, match="take out 80 messages, and 79 were approved"):
        job.void(log.settings, many, origin=Origin(who="ada", started=time.time_ns()), approved=79)
    assert len(held(log.settings)) == 40


def test_what_makes_no_sense_is_refused_in_one_sentence(log: Published) -> None:
    for of, src, reason, why in (
        (OF, 7, "x", "never had a source 7 (it had: 1, 2)"),
        (OF, 1, " ", "needs a reason"),
        (OF, 1, "x" * 501, "needs a reason"),
        (Slice(T0, time.time_ns() + HOUR), 1, "x", "lies ahead of now"),
    ):
        with pytest.raises(BadInput) as e:
            job.order(log.settings, VENDOR, of, src, reason)
        assert why in str(e.value)
    assert meta.read(log.settings).extents == ()


def test_the_verb_shows_its_plan_writes_nothing_then_and_gives_a_receipt(
    log: Published, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in environment(log.settings).items():
        monkeypatch.setenv(name, value)
    start, end = str(OF).strip("[)").split(", ")
    words = ["void", VENDOR, start, end, "--src", "1", "--symbols", "BTCUSDT", "--reason", "prices in cents"]
    capsys.readouterr()
    assert run([*words, "--plan"]) == 0
    shown = capsys.readouterr().out
    assert "source 1, BTCUSDT: 10 messages (50 % of the slice): 10 trade" in shown
    assert run([*words, "--plan", "--json"]) == 0
    planned = json.loads(capsys.readouterr().out)
    assert planned["plan"] == {"standing": {"trade": 10}, "of": 20, "voided": 0}
    assert planned["approval"] == [
        "it would take out 10 messages, more than 0.1% of the 80 that Arctic holds of those days"
    ]
    for more, why in (([], "give --approve 10"), (["--approve", "9"], "and 9 were approved")):
        assert run([*words, *more]) == 2
        assert why in capsys.readouterr().err
    assert meta.read(log.settings).extents == ()
    assert run([*words, "--approve", "10", "--json"]) == 0
    receipt = json.loads(capsys.readouterr().out)
    assert (receipt["job"], receipt["counts"]["voided"]) == ("void", 10)
    assert run(["receipts", "--job", "void"]) == 0
    assert receipt["id"] in capsys.readouterr().out

"""The drill scores the checks right: it says what they find, and sees it when one is broken."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tapedeck.checks import gathered
from tapedeck.checks.gaps import Chains
from tapedeck.cli.main import run
from tapedeck.drill.detect import Seen
from tapedeck.drill.drill import drill, limits_with
from tapedeck.drill.played import Allowed, Played, Truth, as_it_was
from tapedeck.drill.score import Score, Tally
from tapedeck.drill.take import Take, of_captures
from tapedeck.errors import BadInput
from tapedeck.simulate import capture, market
from tapedeck.slices import NS
from tests.recorded import SPOT_AFTER, USDM_BTC, USDM_ETH, recorded

VENDOR = "binance_usdm"
T0 = 1_723_118_400 * NS
SEQUENCES = ("drop", "burst", "dup", "reorder", "lose", "deaf")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A capture of half an hour of two symbols."""
    path = tmp_path_factory.mktemp("drill") / "market.zst"
    capture.write(path, market.generate(VENDOR, ["BTCUSDT", "ETHUSDT"], 20.0, 1800.0, 3, T0))
    return path


@pytest.fixture(scope="module")
def take(made: Path) -> Take:
    return of_captures(VENDOR, [made])


def scored(take: Take, *faults: str, seeds: int = 2) -> dict[str, Score]:
    return {one.fault: one for one in drill(take, seeds=seeds, faults=faults).scores}


@pytest.mark.parametrize("names", [(USDM_BTC, USDM_ETH), (SPOT_AFTER,)])
def test_every_fault_that_a_sequence_can_tell_of_is_found_in_recorded_markets_and_nothing_else(
    names: tuple[str, ...],
) -> None:
    vendor = "binance_spot" if names == (SPOT_AFTER,) else VENDOR
    made = drill(of_captures(vendor, [recorded(name) for name in names]), seeds=2, faults=SEQUENCES)
    assert made.before == {}
    [note] = made.notes
    assert note.startswith("its clock is 1.27")
    for one in made.scores:
        assert (one.recall, one.precision, one.false) == (1.0, 1.0, 0), one
        assert one.injected >= (2 if one.fault == "deaf" else 10), one


def test_a_check_that_sees_nothing_scores_nothing(take: Take, monkeypatch: pytest.MonkeyPatch) -> None:
    assert scored(take, "drop")["drop"].recall == 1.0
    monkeypatch.setattr(gathered, "chains", lambda *more: Chains())
    blind = scored(take, "drop")["drop"]
    assert (blind.injected > 10, blind.recall, blind.precision) == (True, 0.0, None)


def test_what_no_sequence_tells_is_found_from_the_size_that_its_threshold_says(take: Take) -> None:
    found = scored(take, "stall", "mute", "skew", "zone", "thin", seeds=6)
    for name in ("stall", "mute"):
        least = found[name].always_from
        assert least is not None, found[name]
        assert 5 <= least < 12, found[name]
    assert all(one.false == 0 for one in found.values()), found
    assert found["zone"].recall == 1.0
    least = found["skew"].always_from
    assert least is not None
    assert 50 <= least < 500


def test_labels_of_single_ticks_and_of_quotes_that_stand_are_scored(take: Take) -> None:
    found = scored(take, "outlier", "frozen", seeds=3)
    assert found["outlier"].recall is not None
    assert found["outlier"].recall > 0.5
    assert found["frozen"].injected == 3


def test_the_same_seeds_score_the_same(take: Take) -> None:
    assert drill(take, seeds=2, faults=["drop", "stall"]) == drill(take, seeds=2, faults=["drop", "stall"])


def test_what_a_tape_can_not_show_is_not_tried(tmp_path: Path) -> None:
    path = tmp_path / "one.zst"
    capture.write(path, market.generate(VENDOR, ["BTCUSDT"], 100.0, 60.0, 3, T0))
    found = scored(of_captures(VENDOR, [path]), "mute", "thin", "frozen")
    assert [bool(one.skipped) for one in found.values()] == [True, True, True]
    assert all(one.injected == 0 for one in found.values())


def test_found_false_and_allowed_are_told_apart(take: Take) -> None:
    truth = Truth(checks=("a",), start=10, end=20, symbol="X", first=5, next=8, reason="upstream", size=3.0)
    small = Truth(checks=("b",), start=50, end=60, size=1.0)
    was = as_it_was(take)
    played = Played(columns=was.columns, taped=was.taped, spans=was.spans, truths=[truth, small], untold=2)
    played.allowed = [Allowed(checks=("c:known",), start=0, end=100)]
    right = Seen(check="a", symbol="X", start=10, end=30, told=10 + NS, first=7, next=9, reason="upstream")
    wrong = [
        Seen(check="a", symbol="X", start=10, end=30, told=30, first=8, next=9, reason="upstream"),
        Seen(check="a", symbol="X", start=10, end=30, told=30, first=5, next=6, reason="publish"),
        Seen(check="a", symbol="Y", start=10, end=30, told=30, first=5, next=6, reason="upstream"),
        Seen(check="c", start=10, end=30, told=30, reason="other"),
    ]
    may = Seen(check="c", start=10, end=30, told=30, reason="known")
    before = Seen(check="d", start=10, end=30, told=30)
    tally = Tally()
    tally.add(played, [right, *wrong, may, before], frozenset([before.about]))
    score = tally.score("f", "what", "s")
    assert (score.injected, score.found, score.right, score.false, score.untold) == (2, 1, 1, 4, 2)
    assert (score.recall, score.precision, score.always_from) == (0.5, 0.2, 3.0)
    assert (score.detect_p50_s, score.detect_max_s) == (1.0, 1.0)


def test_thresholds_may_be_tried_and_wrong_ones_are_one_sentence() -> None:
    limits, thresholds = limits_with("silence_times=2, stale_seconds=30")
    assert (limits.silence_times, thresholds.stale_seconds, limits.skew_ms) == (2.0, 30.0, 50.0)
    for text, says in (
        ("silence_time=2", "did you mean 'silence_times'"), ("skew_ms=x", "is no number"),
        ("skew_ms=-1", "not above 0"), ("skew_ms=nan", "not above 0"),
    ):  # fmt: skip
        with pytest.raises(BadInput, match=says):
            limits_with(text)


def test_the_verb_prints_a_table_or_json(made: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = ["drill", VENDOR, str(made), "--seeds", "1", "--faults", "drop,stall"]
    assert run(words) == 0
    head, *rows = capfd.readouterr().out.splitlines()[1:]
    assert head.split()[:3] == ["fault", "what", "check"]
    assert [row.split()[0] for row in rows] == ["drop", "stall"]
    assert run([*words, "--json"]) == 0
    said = json.loads(capfd.readouterr().out)
    assert (said["scores"][0]["fault"], said["scores"][0]["recall"]) == ("drop", 1.0)
    for wrong in (
        ["drill", VENDOR], ["drill", VENDOR, str(made), "--from", "2h"], ["drill", VENDOR, "--from", "2h"],
        ["drill", VENDOR, str(made), "--faults", "gremlins"], ["drill", VENDOR, "no_such_file.gz"],
        ["drill", "binance_usd", str(made)],
    ):  # fmt: skip
        assert run(wrong) == 2, wrong
        out, err = capfd.readouterr()
        assert (out, len(err.splitlines())) == ("", 1), wrong

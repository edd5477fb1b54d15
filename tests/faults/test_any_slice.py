"""Many random logs, each held against a scan of everything; `make faults` has as many as are asked for."""

from __future__ import annotations

import random

import pytest

from tapedeck.log import reading
from tapedeck.settings import Settings
from tests.faults import SEEDS
from tests.integration.test_log_random import hold


@pytest.mark.parametrize("seed", SEEDS[1:])
def test_any_slice_of_any_random_log(settings: Settings, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    dice = random.Random(1000 + seed)
    dead, cut = dice.choice(((True, ""), (False, ""), (False, "records"), (False, "retention")))
    if dice.random() < 0.5:
        monkeypatch.setattr(reading, "STRETCH_RECORDS", 300)
    hold(settings, dice, dead, cut, grown=dice.choice((0, 0, 8, 12)))

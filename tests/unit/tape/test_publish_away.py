"""A publisher that Kafka does not answer: alive, held, and it says why."""

from __future__ import annotations

from pathlib import Path

import pytest

from tapedeck.log import client
from tapedeck.settings import Kafka, Settings, Vendor
from tests.servers import free_port
from tests.tapes import VENDOR, Tape, payloads, publishing, until


def test_it_says_from_the_first_moment_that_it_is_held_and_then_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "CONTACT_SECONDS", 0.5)
    nowhere = f"127.0.0.1:{free_port()}"
    deck = Settings(
        state_dir=str(tmp_path), kafka=Kafka(bootstrap=nowhere), vendors={VENDOR: Vendor(symbols=["BTCUSDT"])}
    )
    Tape(deck).take(*payloads(3))
    shown: list[str] = []
    with publishing(deck, patience=0.5, show=lambda held, values: shown.append(held)):
        until(lambda: len(shown) >= 3)
    assert shown[0] == "it has not reached Kafka yet"
    assert nowhere in shown[1]
    assert "did not answer" in shown[1]
    assert shown[2] == shown[1], "the reason stands while it tries again"

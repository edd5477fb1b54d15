"""A block of the ledger that is not what was entered is told from one that is, whatever was altered in it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapedeck.store import ledger
from tapedeck.store.blocks import unsound, wrong
from tapedeck.store.facts import CONTROL, Seen

NAME = "topic|3|1"


def entered(count: int = 40) -> dict[str, Any]:
    """Facts of two runs of offsets of block 1: trades and heartbeats over three minutes."""
    block = None
    for start in (ledger.BLOCK, ledger.BLOCK + 1000):
        minute = np.arange(count) * 3 // count + 28_000_000
        what = np.where(np.arange(count) % 5 == 0, CONTROL, 0).astype(np.int8)
        high = np.where(what == CONTROL, 0, np.arange(count) + 7).astype(np.uint64)
        part = Seen(start, minute, what, high, high * np.uint64(3))
        block = ledger._merged("binance_usdm", NAME, block, [part])
    assert block is not None
    return block


def test_a_block_as_it_was_entered_is_right() -> None:
    assert list(wrong(entered())) == []


@given(st.data())
def test_any_byte_that_is_altered_is_seen(data: st.DataObject) -> None:
    block = entered()
    facts = bytearray(block["facts"])
    facts[data.draw(st.integers(0, len(facts) - 1))] ^= data.draw(st.integers(1, 255))
    assert list(wrong({**block, "facts": bytes(facts)}))


WRONG: dict[str, dict[str, Any]] = {
    "a run is longer": {"runs": [[ledger.BLOCK, ledger.BLOCK + 41], entered()["runs"][1]]},
    "a run is gone": {"runs": [[ledger.BLOCK, ledger.BLOCK + 40]]},
    "runs overlap": {"runs": [[ledger.BLOCK, ledger.BLOCK + 41], [ledger.BLOCK + 40, ledger.BLOCK + 79]]},
    "a run is another block's": {"runs": [[0, 40], [1000, 1040]]},
    "a fact is gone": {"facts": entered()["facts"][40:]},
    "half a fact is gone": {"facts": entered()["facts"][20:]},
    "a fact is there twice": {"facts": entered()["facts"][:40] + entered()["facts"]},
    "it is another place's": {"partition": 4},
    "it is not found by its day": {"days": [1]},
    "it is not found by its minutes": {"first": 28_000_001},
    "it is no block": {"runs": None},
}  # fmt: skip


@pytest.mark.parametrize("sums", [True, False], ids=["with its checksum", "of before there was one"])
@pytest.mark.parametrize("what", WRONG)
def test_each_wrong_thing_is_told(what: str, sums: bool) -> None:
    block = entered() | WRONG[what]
    if not sums:
        del block["sum"]
    assert list(wrong(block) if sums else unsound(block))

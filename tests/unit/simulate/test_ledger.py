"""The ledger adds up, tells a fault's ids, and is whole on the disk or not there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tapedeck import vendors
from tapedeck.errors import BadInput
from tapedeck.simulate import market
from tapedeck.simulate.faults import Faults, commit
from tapedeck.simulate.ledger import Ledger
from tapedeck.simulate.player import Player

START = 1_723_118_400_000_000_000
usdm = vendors.get("binance_usdm")


def play(path: Path, seed: int) -> tuple[list[tuple[int, bytes]], list[bytes]]:
    """A market played as fast as possible with faults; what was there, and what was sent."""
    source = list(market.generate("binance_usdm", ["BTCUSDT", "ETHUSDT"], 2_000, 3, 1, START))
    source.insert(100, (source[100][0], b"no market data"))
    sent: list[bytes] = []
    ledger = Ledger(path, usdm)
    player = Player(sent.append, usdm, ledger, None, lambda _: None)
    faults = Faults(drop=0.02, dup=0.02, reorder=0.02)
    complete = player.play(commit(faults, seed, iter(source), usdm.stream_of, ledger.tell, lambda _: None))
    ledger.close(complete=complete)
    return source, sent


def test_the_ledger_says_exactly_what_was_done(tmp_path: Path) -> None:
    source, sent = play(tmp_path / "ledger", 5)
    *faults, last = [json.loads(line) for line in (tmp_path / "ledger").read_text().splitlines()]
    assert last["complete"] is True
    assert last["totals"]["played"] == len(source)
    assert last["totals"]["sent"] == len(sent)
    by_fault = {
        name: [f["index"] for f in faults if f["fault"] == name] for name in ("drop", "dup", "reorder")
    }
    assert {name: len(indexes) for name, indexes in by_fault.items()} == {
        name: last["totals"][name] for name in by_fault
    }
    expected = sorted(
        [p for n, (_, p) in enumerate(source) if n not in by_fault["drop"]]
        + [source[n][1] for n in by_fault["dup"]]
    )
    assert sorted(sent) == expected
    for fault in faults:
        recv_ns, payload = source[fault["index"]]
        (one,) = usdm.normalise(payload, recv_ns, 1)
        assert not isinstance(one, vendors.Refusal | vendors.Chatter)
        assert (fault["symbol"], fault["seq"], fault["prev"]) == (one.symbol, one.seq, one.prev)
        assert fault["recv_ns"] == recv_ns
        assert fault["stream"] == json.loads(payload)["stream"]


def test_totals_are_by_stream_and_add_up(tmp_path: Path) -> None:
    source, sent = play(tmp_path / "ledger", 5)
    last = json.loads((tmp_path / "ledger").read_text().splitlines()[-1])
    streams = {row["stream"]: row for row in last["streams"]}
    assert list(streams) == sorted(streams)
    assert (streams["btcusdt@trade"]["symbol"], streams["btcusdt@trade"]["kind"]) == ("BTCUSDT", "trade")
    assert (streams["ethusdt@depth@100ms"]["symbol"], streams["ethusdt@depth@100ms"]["kind"]) == (
        "ETHUSDT",
        "book",
    )
    assert streams[""]["kind"] == "refused"
    for name, row in streams.items():
        assert row["sent"] == sum(usdm.stream_of(payload) == name for payload in sent)
        assert row["played"] == sum(usdm.stream_of(payload) == name for _, payload in source)
    for key, total in last["totals"].items():
        assert total == sum(row[key] for row in last["streams"])


def test_equal_simulations_have_equal_ledgers(tmp_path: Path) -> None:
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        play(tmp_path / name, seed)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").read_bytes() != (tmp_path / "c").read_bytes()


def test_a_ledger_is_there_only_when_it_is_closed_and_a_discarded_one_leaves_no_trace(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    ledger = Ledger(path, usdm)
    assert not path.exists()
    ledger.close(complete=False)
    assert json.loads(path.read_text())["complete"] is False
    assert [file.name for file in tmp_path.iterdir()] == ["ledger"]
    before = path.read_bytes()
    Ledger(path, usdm).discard()
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["ledger"]


def test_a_ledger_that_cant_be_written_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="can't be written"):
        Ledger(tmp_path / "absent" / "ledger", usdm)

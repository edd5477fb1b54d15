"""Recorded markets, normalised: the counts by kind, and sequences without a break."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from tapedeck import vendors
from tapedeck.buses import captured
from tapedeck.message import KIND_OF, Message, breach
from tapedeck.vendors import Chatter, Refusal
from tests.recorded import SPOT_AFTER, SPOT_BEFORE, USDM_BTC, USDM_ETH, recorded

NO_SYMBOL = "snapshot names no symbol; load it with --symbol"


def messages(vendor: str, *files: str) -> Iterator[Message | Refusal]:
    normalise = vendors.get(vendor).normalise
    for path in [recorded(file) for file in files]:
        for recv_ns, payload in captured.read(path):
            for one in normalise(payload, recv_ns, 1000):
                assert not isinstance(one, Chatter)
                yield one


@pytest.mark.parametrize(
    ("vendor", "file", "expected"),
    [
        ("binance_usdm", USDM_BTC, {"quote": 66089, "trade": 21313, "book": 6551, NO_SYMBOL: 1}),
        ("binance_usdm", USDM_ETH, {"quote": 53992, "trade": 14076, "book": 6586, NO_SYMBOL: 1}),
        ("binance_spot", SPOT_BEFORE, {"quote": 28040, "trade": 9757, "book": 3451, NO_SYMBOL: 1}),
        ("binance_spot", SPOT_AFTER, {"quote": 45134, "trade": 10147, "book": 3044}),
    ],
)
def test_every_recorded_message_is_normalised_and_only_the_nameless_snapshot_refused(
    vendor: str, file: str, expected: dict[str, int]
) -> None:
    found: Counter[str] = Counter()
    for one in messages(vendor, file):
        if isinstance(one, Refusal):
            found[one.reason] += 1
        else:
            assert breach(one) is None
            found[KIND_OF[type(one)]] += 1
    assert found == expected


@pytest.mark.parametrize(
    ("vendor", "files"),
    [
        ("binance_usdm", [USDM_BTC]),
        ("binance_usdm", [USDM_ETH]),
        ("binance_spot", [SPOT_BEFORE, SPOT_AFTER]),
    ],
)
def test_no_sequence_breaks_not_even_at_midnight(vendor: str, files: list[str]) -> None:
    last: dict[str, int] = {}
    walked = 0
    for one in messages(vendor, *files):
        if isinstance(one, Refusal):
            continue
        kind = KIND_OF[type(one)]
        if one.prev and kind in last:
            assert one.prev == last[kind], (kind, one.ts_recv)
            walked += 1
        assert one.seq > last.get(kind, 0)
        last[kind] = one.seq
    assert walked > 20_000


def test_the_nameless_snapshot_is_a_book_of_the_symbol_that_a_loader_names() -> None:
    vendor = vendors.get("binance_spot")
    (payload,) = (p for _, p in captured.read(recorded(SPOT_BEFORE)) if p.startswith(b'{"lastUpdateId"'))
    (book,) = vendor.normalise(payload, 5, 1000, symbol="BTCUSDT")
    assert not isinstance(book, Refusal | Chatter)
    assert (book.symbol, book.seq, book.prev, book.ts_event) == ("BTCUSDT", 50093239218, 0, 0)

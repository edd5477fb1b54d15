"""Hypothesis strategies for messages that keep the contract of DESIGN §3."""

from __future__ import annotations

import string
import unicodedata
from typing import Any

from hypothesis import strategies as st

from tapedeck import message as m

INT = st.integers(-(2**63), 2**63 - 1)
STAMP = st.integers(1, 2**63 - 1)
NUMBER = st.floats(allow_nan=False, allow_infinity=False)
SYMBOL = st.one_of(
    st.sampled_from(["BTCUSDT", "ES.c.0", "EUR/USD", "*", "日経225", "a b"]),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=64).filter(str.isprintable),
).filter(lambda s: all(unicodedata.category(c) != "Cs" for c in s))
LEVELS = st.lists(st.tuples(NUMBER, NUMBER), max_size=4)
NAME = st.text(string.ascii_letters, min_size=1, max_size=5)
COMMON: dict[str, st.SearchStrategy[Any]] = {
    "symbol": SYMBOL, "ts_event": st.integers(0, 2**63 - 1), "ts_recv": STAMP, "seq": INT, "prev": INT,
    "src": st.integers(1, 2**48 + 999),
}  # fmt: skip
TRADES = st.builds(m.Trade, **COMMON, price=NUMBER, size=NUMBER, side=st.sampled_from([-1, 0, 1]))
QUOTES = st.builds(m.Quote, **COMMON, bid=NUMBER, ask=NUMBER, bid_size=NUMBER, ask_size=NUMBER)
BOOKS = st.builds(m.Book, **COMMON, snapshot=st.sampled_from([0, 1]), bids=LEVELS, asks=LEVELS)
STATUSES = st.builds(m.Status, **COMMON, code=st.integers(0, 5), text=st.text(st.characters(codec="utf-8")))
FIELDS = st.builds(m.Fields, **COMMON, fields=st.dictionaries(NAME, NUMBER, max_size=4))
HEARTBEATS = st.builds(m.Heartbeat, **COMMON, since=STAMP, sent=st.integers(0, 2**40), closing=st.just(0))
VOIDS = st.builds(m.Void, **COMMON, end=STAMP, before=st.integers(0, 2**40), reason=st.just("bad"))
MESSAGES: st.SearchStrategy[m.Message] = st.one_of(TRADES, QUOTES, BOOKS, STATUSES, FIELDS, HEARTBEATS, VOIDS)

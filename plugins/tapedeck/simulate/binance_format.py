"""A synthetic market in the words of Binance's combined streams."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tapedeck.simulate.events import BOOK, PRICE_UNITS, QUOTE, SIZE_UNITS, TRADE, Events, Ints

_MS = 1_000_000
LATENCY_MS = {TRADE: 2, QUOTE: 1, BOOK: 5}
"""How much earlier than its receipt an event happened: one number a stream, so `E` never steps back."""


class _BinanceFormat:
    """Both markets: they differ in fields, digits and in what a best quote says of its time."""

    trade: str
    quote: str
    book: str
    level: bytes

    def __init__(self, symbols: Sequence[str]) -> None:
        self._trades = [_filled(self.trade, symbol) for symbol in symbols]
        self._quotes = [_filled(self.quote, symbol) for symbol in symbols]
        self._books = [_filled(self.book, symbol) for symbol in symbols]

    def payloads(self, events: Events) -> list[bytes]:
        """See `Format.payloads`."""
        sides = iter(self._sides(events))
        trades, quotes, books = self._trades, self._quotes, self._books
        lag_trade, lag_quote, lag_book = LATENCY_MS[TRADE], LATENCY_MS[QUOTE], LATENCY_MS[BOOK]
        made: list[bytes] = []
        for symbol, kind, ms, seq, prev, bid, ask, bid_size, ask_size, buyer in zip(
            *(
                column.tolist()
                for column in (
                    events.symbol, events.kind, events.recv_ns // _MS, events.seq, events.prev,
                    events.bid, events.ask, events.bid_size, events.ask_size, events.buyer,
                )
            ),
            strict=True,
        ):  # fmt: skip
            if kind == QUOTE:
                made.append(
                    quotes[symbol] % self.quote_fields(ms - lag_quote, seq, bid, ask, bid_size, ask_size)
                )
            elif kind == TRADE:
                price, maker = (ask, b"false") if buyer else (bid, b"true")
                made.append(trades[symbol] % self.trade_fields(ms - lag_trade, seq, price, bid_size, maker))
            else:
                bids, asks = next(sides)
                made.append(books[symbol] % self.book_fields(ms - lag_book, seq, prev, bids, asks))
        return made

    def trade_fields(self, ms: int, seq: int, price: int, size: int, maker: bytes) -> tuple[object, ...]:
        """What fills `trade`."""
        return (ms, ms, seq, *divmod(price, PRICE_UNITS), *divmod(size, SIZE_UNITS), maker)

    def quote_fields(
        self, ms: int, seq: int, bid: int, ask: int, bid_size: int, ask_size: int
    ) -> tuple[object, ...]:
        """What fills `quote`."""
        return (
            seq, *divmod(bid, PRICE_UNITS), *divmod(bid_size, SIZE_UNITS),
            *divmod(ask, PRICE_UNITS), *divmod(ask_size, SIZE_UNITS), ms, ms,
        )  # fmt: skip

    def book_fields(self, ms: int, seq: int, prev: int, bids: bytes, asks: bytes) -> tuple[object, ...]:
        """What fills `book`."""
        return (ms, ms, prev + 1, seq, prev, bids, asks)

    def _sides(self, events: Events) -> list[tuple[bytes, bytes]]:
        """The changed levels of each book change, as JSON: bids, asks."""
        at = events.kind == BOOK
        tick = events.tick[at][:, None]
        bids = self._levels(
            events.bid[at][:, None] - events.offsets[:, 0] * tick, events.sizes[:, 0], events.levels[:, 0]
        )
        asks = self._levels(
            events.ask[at][:, None] + events.offsets[:, 1] * tick, events.sizes[:, 1], events.levels[:, 1]
        )
        return list(zip(bids, asks, strict=True))

    def _levels(self, prices: Ints, sizes: Ints, counts: Ints) -> list[bytes]:
        parts = [*divmod(prices, PRICE_UNITS), *divmod(sizes, SIZE_UNITS)]
        rows = zip(counts.tolist(), *(part.tolist() for part in parts), strict=True)
        level = self.level
        return [
            b",".join([level % fields for fields in zip(*columns, strict=True)][:count])
            for count, *columns in rows
        ]


class UsdmFormat(_BinanceFormat):
    """USD-M futures."""

    trade = (
        '{"stream":"<stream>@trade","data":{"e":"trade","E":%d,"T":%d,"s":<symbol>,"t":%d,'
        '"p":"%d.%04d","q":"%d.%03d","X":"MARKET","m":%b}}'
    )
    quote = (
        '{"stream":"<stream>@bookTicker","data":{"e":"bookTicker","u":%d,"s":<symbol>,'
        '"b":"%d.%04d","B":"%d.%03d","a":"%d.%04d","A":"%d.%03d","T":%d,"E":%d}}'
    )
    book = (
        '{"stream":"<stream>@depth@100ms","data":{"e":"depthUpdate","E":%d,"T":%d,"s":<symbol>,'
        '"U":%d,"u":%d,"pu":%d,"b":[%b],"a":[%b]}}'
    )
    level = b'["%d.%04d","%d.%03d"]'


class SpotFormat(_BinanceFormat):
    """Spot: eight digits, no `pu`, best quotes without a time."""

    trade = (
        '{"stream":"<stream>@trade","data":{"e":"trade","E":%d,"s":<symbol>,"t":%d,'
        '"p":"%d.%04d0000","q":"%d.%03d00000","T":%d,"m":%b,"M":true}}'
    )
    quote = (
        '{"stream":"<stream>@bookTicker","data":{"u":%d,"s":<symbol>,'
        '"b":"%d.%04d0000","B":"%d.%03d00000","a":"%d.%04d0000","A":"%d.%03d00000"}}'
    )
    book = (
        '{"stream":"<stream>@depth@100ms","data":{"e":"depthUpdate","E":%d,"s":<symbol>,'
        '"U":%d,"u":%d,"b":[%b],"a":[%b]}}'
    )
    level = b'["%d.%04d0000","%d.%03d00000"]'

    def trade_fields(self, ms: int, seq: int, price: int, size: int, maker: bytes) -> tuple[object, ...]:
        """What fills `trade`."""
        return (ms, seq, *divmod(price, PRICE_UNITS), *divmod(size, SIZE_UNITS), ms, maker)

    def quote_fields(
        self, ms: int, seq: int, bid: int, ask: int, bid_size: int, ask_size: int
    ) -> tuple[object, ...]:
        """What fills `quote`."""
        return super().quote_fields(ms, seq, bid, ask, bid_size, ask_size)[:-2]

    def book_fields(self, ms: int, seq: int, prev: int, bids: bytes, asks: bytes) -> tuple[object, ...]:
        """What fills `book`."""
        return (ms, prev + 1, seq, bids, asks)


def _filled(template: str, symbol: str) -> bytes:
    """The template of one symbol, for bytes formatting."""
    stream = msgspec.json.encode(symbol.lower())[1:-1]
    quoted = msgspec.json.encode(symbol)
    return (
        template.encode()
        .replace(b"<stream>", stream.replace(b"%", b"%%"))
        .replace(b"<symbol>", quoted.replace(b"%", b"%%"))
    )

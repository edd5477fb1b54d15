"""Books that begin with an image asked for over HTTP: a local venue speaks both on one port."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

import pytest
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve

from tapedeck import vendors
from tapedeck.buses.websocket import WebsocketBus
from tapedeck.message import Book
from tests.unit.buses.hearing import hear, hear_changes
from tests.unit.buses.test_websocket import stay
from tests.unit.vendors.samples import samples

MARKETS = {
    "binance_spot": ("BTCUSDT", "/api/v3/depth"),
    "binance_usdm": ("BTCUSDT", "/fapi/v1/depth"),
    "binance_coinm": ("BTCUSD_PERP", "/dapi/v1/depth"),
}
Answer = Callable[[int], tuple[int, Any]]
"""The n-th request (from 1) → status and body."""


class Venue:
    """Streams `changes` to each connection, one when it comes and the rest when `go` is set."""

    def __init__(self, symbol: str, answer: Answer) -> None:
        self.symbol, self.answer = symbol, answer
        self.asked: list[str] = []
        self.go = threading.Event()
        self.url = ""

    def change(self, first: int, last: int, prev: int) -> str:
        data = {"e": "depthUpdate", "E": 5, "T": 5, "s": self.symbol, "U": first, "u": last, "pu": prev,
                "b": [["1.5", "2"]], "a": []}  # fmt: skip
        return json.dumps(
            {"stream": f"{self.symbol.lower()}@depth@100ms", "data": data}, separators=(",", ":")
        )

    def http(self, connection: ServerConnection, request: Request) -> Response | None:
        if not self.asks_for_a_book(request.path):
            return None
        self.asked.append(request.path)
        status, body = self.answer(len(self.asked))
        response = connection.respond(HTTPStatus(status), json.dumps(body))
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            response.headers["Retry-After"] = "1"
        return response

    @staticmethod
    def asks_for_a_book(path: str) -> bool:
        return "/depth?" in path

    def stream(self, connection: ServerConnection) -> None:
        connection.send(self.change(10, 12, 9))
        self.go.wait(30)
        connection.send(self.change(13, 15, 12))
        connection.send(self.change(16, 20, 15))
        stay(connection)


class OkxVenue(Venue):
    """Another that does so: `action` is what its book begins with."""

    action = "update"

    def change(self, first: int, last: int, prev: int) -> str:
        action = self.action if last == 12 else "update"
        data = {"asks": [], "bids": [["1.5", "2", "0", "1"]], "ts": "5", "seqId": last,
                "prevSeqId": -1 if action == "snapshot" else prev}  # fmt: skip
        return json.dumps(
            {"arg": {"channel": "books", "instId": self.symbol}, "action": action, "data": [data]}
        )

    @staticmethod
    def asks_for_a_book(path: str) -> bool:
        return path.startswith("/api/v5/market/books?")


class OkxVenueOfOld(OkxVenue):
    """One that pushes images."""

    action = "snapshot"


@contextmanager
def venue(symbol: str, answer: Answer, kind: type[Venue] = Venue) -> Iterator[Venue]:
    made = kind(symbol, answer)
    with serve(made.stream, "127.0.0.1", 0, process_request=made.http, close_timeout=1) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        made.url = f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
        yield made
        made.go.set()
        server.shutdown()


@contextmanager
def hearing(made: Venue, name: str) -> Iterator[WebsocketBus]:
    vendor = vendors.get(name)
    url = vendor.websocket_url([made.symbol], made.url)
    bus = WebsocketBus(url, vendor, [made.symbol], first=0.01, pace=0.01)
    try:
        yield bus
    finally:
        bus.close()


def image(seq: int) -> dict[str, Any]:
    return {"lastUpdateId": seq, "bids": [["1.5", "2"]], "asks": [["1.6", "1"]]}


def books(name: str, payloads: list[bytes]) -> list[Book]:
    said = [one for payload in payloads for one in vendors.get(name).normalise(payload, 100, 1)]
    assert all(isinstance(one, Book) for one in said), said
    return said  # type: ignore[return-value]


@pytest.mark.parametrize("name", MARKETS)
def test_an_image_is_asked_for_once_the_stream_has_begun_and_names_its_symbol(name: str) -> None:
    symbol, path = MARKETS[name]
    with venue(symbol, lambda _: (200, image(14))) as made, hearing(made, name) as bus:
        before = books(name, hear(bus, 2))
        made.go.set()
        after = books(name, hear(bus, 2))
        assert made.asked == [f"{path}?symbol={symbol}&limit=1000"]
    assert [(b.symbol, b.seq, b.snapshot) for b in before] == [(symbol, 12, 0), (symbol, 14, 1)]
    assert [b.prev for b in after] == [12, 15]
    assert after[0].prev <= before[1].seq <= after[0].seq, "the gap rule of the first change after an image"


def test_one_older_than_the_streams_first_change_is_asked_for_again() -> None:
    with (
        venue("BTCUSDT", lambda n: (200, image(8 if n == 1 else 12))) as made,
        hearing(made, "binance_spot") as bus,
    ):
        assert [b.seq for b in books("binance_spot", hear(bus, 2))] == [12, 12]
        assert len(made.asked) == 2


def okx_image(seq: int, code: str = "0") -> dict[str, Any]:
    book = {"asks": [["1.6", "1", "0", "1"]], "bids": [["1.5", "2", "0", "1"]], "ts": "5", "seqId": seq}
    return {"code": code, "msg": "", "data": [book] if code == "0" else []}


def test_okx_is_asked_for_books_that_begin_without_an_image_until_it_is_new_enough() -> None:
    answers = [okx_image(0, "50011"), okx_image(8), okx_image(14)]
    with (
        venue("BTC-USDT", lambda n: (200, answers[n - 1]), OkxVenue) as made,
        hearing(made, "okx") as bus,
    ):
        first, whole = books("okx", hear(bus, 2))
        made.go.set()
        after = books("okx", hear(bus, 2))
        assert made.asked == ["/api/v5/market/books?instId=BTC-USDT&sz=400"] * 3
    assert (first.prev, first.snapshot) == (9, 0)
    assert whole == Book("BTC-USDT", 5_000_000, 100, 14, 0, 1, 1, [(1.5, 2.0)], [(1.6, 1.0)])
    assert [(b.prev, b.seq) for b in after] == [(12, 15), (15, 20)]


def test_okx_is_not_asked_for_a_book_that_it_has_sent_whole() -> None:
    with venue("A", lambda _: (200, okx_image(14)), OkxVenueOfOld) as made, hearing(made, "okx") as bus:
        made.go.set()
        assert [b.snapshot for b in books("okx", hear(bus, 3))] == [1, 0, 0]
        images = bus._images
        assert images is not None
        while images._left:
            bus.wait(10)
        assert made.asked == []


def test_a_venue_that_refuses_is_told_and_asked_again_and_the_stream_goes_on_meanwhile() -> None:
    with (
        venue("BTCUSDT", lambda n: (429, {}) if n == 1 else (200, image(20))) as made,
        hearing(made, "binance_usdm") as bus,
    ):
        made.go.set()
        assert [b.snapshot for b in books("binance_usdm", hear(bus, 3))] == [0, 0, 0]
        while not bus.trouble:
            bus.wait(10)
        assert "image of btcusdt@depth@100ms" in bus.trouble
        assert "HTTP 429" in bus.trouble
        assert [b.snapshot for b in books("binance_usdm", hear(bus, 1))] == [1]
        assert bus.trouble == ""


def test_each_connection_begins_with_images_of_its_own() -> None:
    with venue("BTCUSDT", lambda _: (200, image(12))) as made, hearing(made, "binance_usdm") as bus:
        hear(bus, 2)
        connection = bus._connection
        assert connection is not None
        connection.close()
        assert [change.connected for change in hear_changes(bus, 2)][-2:] == [False, True]
        assert sorted(b.snapshot for b in books("binance_usdm", hear(bus, 2))) == [0, 1]
        assert len(made.asked) == 2


def test_the_venues_own_hosts_are_asked_where_they_answer_over_http() -> None:
    for name, url in (
        ("binance_spot", "https://api.binance.com/api/v3/depth?symbol=BTCUSDT&limit=1000"),
        ("binance_usdm", "https://fapi.binance.com/fapi/v1/depth?symbol=BTCUSDT&limit=1000"),
        ("binance_coinm", "https://dapi.binance.com/dapi/v1/depth?symbol=BTCUSD_PERP&limit=1000"),
    ):
        vendor, symbol = vendors.get(name), MARKETS[name][0]
        [asked] = vendor.websocket_images([symbol], vendor.websocket_url([symbol]))
        assert asked.url == url
        assert vendor.image_wanted(b"")
        assert vendors.get("binance_usdm").websocket_images([symbol], "wss://h/stream?streams=a@trade") == []

    okx = vendors.get("okx")
    [asked] = okx.websocket_images(["BTC-USDT"], okx.websocket_url(["BTC-USDT"]))
    assert asked.url == "https://www.okx.com/api/v5/market/books?instId=BTC-USDT&sz=400"
    assert okx.image_wanted(b"")
    assert okx.image_wanted(b"rubbish")


def test_no_answer_and_no_stream_makes_okx_fail() -> None:
    okx = vendors.get("okx")
    for answer in (b"", b"[]", b'{"code":"0","data":[]}', b"\xff", b"[" * 100_000):
        for first in (b"", *samples("okx")):
            assert not okx.image_reaches(answer, first)
    good = json.dumps(okx_image(5)).encode()
    assert not okx.image_reaches(good, b"rubbish")
    assert okx.image_reaches(good, b"")


def test_no_answer_and_no_stream_makes_a_vendor_fail() -> None:
    vendor = vendors.get("binance_spot")
    for answer in (b"", b"<html>", b"[]", b'{"lastUpdateId":"x"}', b'{"code":-1}', b"\xff", b"[" * 100_000):
        assert not vendor.image_reaches(answer, b"")
        for first in samples("binance_spot"):
            assert not vendor.image_reaches(answer, first)
    good = json.dumps(image(5)).encode()
    assert not vendor.image_reaches(good, b"rubbish")
    assert vendor.image_reaches(good, b"")

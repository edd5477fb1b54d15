"""The WebSocket bus against a real server on this machine."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

from tapedeck import buses, vendors
from tapedeck.buses import Change
from tapedeck.buses.websocket import WebsocketBus
from tapedeck.errors import Unavailable
from tests.unit.buses.hearing import hear, hear_all, hear_changes

Handler = Callable[[ServerConnection], None]


@contextmanager
def venue(handler: Handler, port: int = 0) -> Iterator[str]:
    """A server on a port of this machine; gives its URL."""
    server: Server = serve(handler, "127.0.0.1", port, close_timeout=1)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
    finally:
        server.shutdown()
        thread.join()


def stay(connection: ServerConnection) -> None:
    """Answer pings until the other side goes."""
    try:
        for _ in connection:
            pass
    except ConnectionClosed:
        pass


@contextmanager
def hearing(url: str, **how: Any) -> Iterator[WebsocketBus]:
    bus = WebsocketBus(url, **{"first": 0.01, **how})
    try:
        yield bus
    finally:
        bus.close()
        bus.close()


def test_payloads_come_byte_for_byte_in_order_and_the_vendors_streams_are_asked_for() -> None:
    asked: list[str] = []
    sent = [b'{"n":%d}' % n for n in range(2_000)]

    def handler(connection: ServerConnection) -> None:
        asked.append(connection.request.path if connection.request else "")
        for payload in sent:
            connection.send(payload.decode())
        connection.send("é".encode())
        stay(connection)

    with venue(handler) as url:
        bus = buses.open(f"websocket:{url}", vendors.get("binance_spot"), ["BTCUSDT"])
        try:
            assert hear(bus, 2_001) == [*sent, "é".encode()]
        finally:
            bus.close()
    assert asked == ["/stream?streams=btcusdt@trade/btcusdt@bookTicker/btcusdt@depth@100ms"]


def test_it_connects_again_and_a_loss_stands_between_the_payloads_before_and_after_it() -> None:
    visits: list[int] = []

    def handler(connection: ServerConnection) -> None:
        visits.append(1)
        connection.send(f"visit {len(visits)}")
        if len(visits) > 2:
            stay(connection)

    with venue(handler) as url, hearing(f"{url}/x") as bus:
        heard = hear_all(bus, payloads=3, changes=5)
    kinds = [item if isinstance(item, bytes) else item.connected for item in heard]
    assert kinds == [True, b"visit 1", False, True, b"visit 2", False, True, b"visit 3"]


def test_silence_is_taken_for_a_lost_subscription() -> None:
    def handler(connection: ServerConnection) -> None:
        connection.send("once")
        stay(connection)

    with venue(handler) as url, hearing(f"{url}/x", silence=0.2) as bus:
        changes = hear_changes(bus, 3)
    assert changes[:2] == [Change(True, f"{url}/x"), Change(False, "silent for 0.2 s")]
    assert changes[2].connected


def test_a_venue_that_is_away_is_told_once_and_found_when_it_comes() -> None:
    with venue(stay) as url:
        port = int(url.rpartition(":")[2])
    with hearing(f"{url}/x", longest=0.1) as bus:
        (away,) = hear_changes(bus, 1)
        assert not away.connected
        assert "refused" in away.why
        assert not bus.wait(500)

        def handler(connection: ServerConnection) -> None:
            connection.send("here")
            stay(connection)

        with venue(handler, port):
            assert hear_changes(bus, 1) == [Change(True, f"{url}/x")]
            assert hear(bus, 1) == [b"here"]


def test_what_is_no_websocket_is_told_and_tried_again() -> None:
    with venue(stay) as url, hearing(f"{url.replace('ws:', 'wss:')}/x", longest=0.05) as bus:
        (refused,) = hear_changes(bus, 1)
        assert not refused.connected
        assert refused.why


def test_a_dead_listener_is_loud(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    monkeypatch.setattr("tapedeck.buses.websocket.connect", lambda *_, **__: 1 / 0)
    with hearing("ws://127.0.0.1:1/x") as bus, pytest.raises(Unavailable, match="has died"):
        hear(bus, 1)


def test_a_reader_that_is_too_slow_holds_the_venue_up_and_not_more_than_its_queue_in_memory() -> None:
    sent = [b"%d " % n + b"x" * 2000 for n in range(4_000)]

    def pour(connection: ServerConnection) -> None:
        for payload in sent:
            connection.send(payload)
        stay(connection)

    with venue(pour) as url, hearing(url, queue=10) as bus:
        heard: list[bytes] = []
        while len(heard) < len(sent):
            assert len(bus._inbox) <= 10
            heard += hear(bus, 1)
        assert heard == sent


def test_a_message_beyond_the_limit_ends_the_connection_and_that_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tapedeck.buses.websocket._LARGEST", 1000)

    def pour(connection: ServerConnection) -> None:
        connection.send(b"x" * 1000)
        connection.send(b"x" * 1001)
        stay(connection)

    with venue(pour) as url, hearing(url) as bus:
        opened, payload, lost = hear_all(bus, payloads=1, changes=2)[:3]
    assert opened == Change(True, url)
    assert payload == b"x" * 1000
    assert isinstance(lost, Change)
    assert not lost.connected
    assert "too big" in lost.why

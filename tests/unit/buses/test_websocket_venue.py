"""What is said to a venue over a WebSocket: on each connection anew, and in its own words."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from websockets.sync.server import ServerConnection, serve
from websockets.typing import Subprotocol

from tapedeck import buses, vendors
from tapedeck.buses.websocket import WebsocketBus
from tests.unit.buses.hearing import hear, hear_changes
from tests.unit.buses.test_websocket import Handler, stay, venue


def test_the_opening_is_sent_over_each_connection_and_then_payloads_come() -> None:
    asked: list[str] = []
    visits: list[int] = []

    def handler(connection: ServerConnection) -> None:
        visits.append(1)
        asked.extend(str(connection.recv(10)) for _ in range(4))
        connection.send(f"visit {len(visits)}")
        if len(visits) > 1:
            stay(connection)

    kraken = vendors.get("kraken_futures")
    with venue(handler) as url:
        bus = buses.open(f"websocket:{url}", kraken, ["PF_XBTUSD"])
        try:
            assert hear(bus, 2) == [b"visit 1", b"visit 2"]
        finally:
            bus.close()
    assert asked == kraken.websocket_opening(["PF_XBTUSD"], "") * 2


def test_a_quiet_venue_is_pinged_in_its_own_words_until_it_is_given_up() -> None:
    pings: list[str] = []

    def handler(connection: ServerConnection) -> None:
        connection.recv(10)
        for _ in range(3):
            pings.append(str(connection.recv(10)))
        connection.send("pong")
        stay(connection)

    with venue(handler) as url:
        bus = WebsocketBus(f"{url}/x", vendors.get("okx"), ["BTC-USDT"], first=0.01, silence=30, quiet=0.05)
        try:
            assert hear(bus, 1) == [b"pong"]
        finally:
            bus.close()
    assert pings == ["ping"] * 3


def test_lseg_is_asked_for_its_items_once_it_has_accepted_the_login_and_gets_its_pongs() -> None:
    heard: list[object] = []

    def handler(connection: ServerConnection) -> None:
        heard.append(connection.subprotocol)
        heard.append(json.loads(connection.recv(10)))
        state = {"Stream": "Open", "Data": "Ok", "Text": "Login accepted"}
        connection.send(json.dumps([{"ID": 1, "Type": "Refresh", "Domain": "Login", "State": state}]))
        heard.append(json.loads(connection.recv(10)))
        connection.send('[{"Type":"Ping"}]')
        heard.append(json.loads(connection.recv(10)))
        connection.send("done")
        stay(connection)

    with lseg_server(handler) as url:
        bus = buses.open(f"websocket:{url.replace('ws://', 'ws://trader@')}", vendors.get("lseg"), ["EUR="])
        try:
            assert hear(bus, 3)[-1] == b"done"
        finally:
            bus.close()
    protocol, login, items, pong = heard
    assert protocol == "tr_json2"
    assert isinstance(login, dict)
    assert (login["Domain"], login["Key"]["Name"]) == ("Login", "trader")
    assert items == {"ID": 2, "Key": {"Name": ["EUR="]}}
    assert pong == {"Type": "Pong"}


def test_a_login_that_is_refused_ends_the_connection_and_is_tried_again_less_and_less_often() -> None:
    refused = {
        "ID": 1, "Type": "Status", "Domain": "Login",
        "State": {"Stream": "Closed", "Data": "Suspect", "Text": "Already pending login."},
    }  # fmt: skip
    logins: list[str] = []

    def handler(connection: ServerConnection) -> None:
        logins.append(str(connection.recv(10)))
        connection.send('[{"Type":"Ping"}]')
        connection.send(json.dumps([refused]))
        stay(connection)

    with lseg_server(handler) as url:
        bus = WebsocketBus(f"{url}/x", vendors.get("lseg"), ["EUR="], first=0.01, longest=0.02)
        try:
            told = hear_changes(bus, 4)
            assert [one.connected for one in told] == [True, False, True, False]
            assert {one.why for one in told if not one.connected} == {"the venue refused the login"}
            assert not bus._heard, "or the next try would come at once"
        finally:
            bus.close()
    assert len(logins) >= 2


@contextmanager
def lseg_server(handler: Handler) -> Iterator[str]:
    """A server that speaks LSEG's subprotocol."""
    server = serve(handler, "127.0.0.1", 0, subprotocols=[Subprotocol("tr_json2")], close_timeout=1)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
    finally:
        server.shutdown()
        thread.join()

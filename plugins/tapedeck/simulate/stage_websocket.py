"""The simulator as a venue: a WebSocket server that also answers what books look like over HTTP."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

import msgspec
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve

from tapedeck.errors import BadInput, Unavailable
from tapedeck.message import Book, Quote
from tapedeck.vendors import Vendor


class WebsocketStage:
    """Bound at `ws://host:port`; every connection is sent all that is played, whatever it asks for.

    A request of a book's image (Binance's `…/depth?symbol=…`, OKX's `…/market/books?instId=…`) is answered
    with the best prices that were played last and the sequence of the last change: its rest is unknown here.
    """

    def __init__(self, url: str, vendor: Vendor) -> None:
        """Raises Unavailable where the port is taken, BadInput where the address is none of this machine."""
        parts = urlsplit(url)
        if parts.scheme != "ws" or parts.path.strip("/") or not parts.hostname or parts.port is None:
            raise BadInput(
                f"a market can't be played at {url!r}: give --bus websocket:ws://HOST:PORT, without a path"
            )
        self._vendor = vendor
        self._last: dict[str, bytes] = {}
        self._listening: list[ServerConnection] = []
        try:
            self._server = serve(
                self._stay, parts.hostname, parts.port, process_request=self._answer, compression=None,
                close_timeout=2,
            )  # fmt: skip
        except OSError as e:
            raise Unavailable(
                f"the bus's address {url} can't be had ({e.strerror}): end what listens there, or give "
                "another --bus"
            ) from e
        self.endpoint = f"ws://{parts.hostname}:{self._server.socket.getsockname()[1]}"
        threading.Thread(target=self._server.serve_forever, name="venue", daemon=True).start()

    def send(self, payload: bytes) -> None:
        """Send one payload to all who are connected; one who is gone is left out."""
        self._last[self._vendor.stream_of(payload)] = payload
        for connection in list(self._listening):
            try:
                connection.send(payload, text=True)
            except ConnectionClosed:
                with suppress(ValueError):
                    self._listening.remove(connection)

    def wait_for_listeners(self, count: int, seconds: float, stopping: Callable[[], bool]) -> bool:
        """See `Stage.wait_for_listeners`."""
        deadline = time.monotonic() + seconds
        while len(self._listening) < count:
            if stopping():
                return False
            if time.monotonic() > deadline:
                raise Unavailable(
                    f"{len(self._listening)} of {count} connections came to {self.endpoint} in {seconds:g} "
                    "s: start `tapedeck collect` first, or give --wait-subscribers 0 or more --wait-timeout"
                )
            time.sleep(0.05)
        return True

    def close(self, linger_s: float) -> None:
        """Say goodbye to all, behind what was sent."""
        self._server.shutdown()

    def _stay(self, connection: ServerConnection) -> None:
        self._listening.append(connection)
        with suppress(ConnectionClosed):
            for _ in connection:  # what it asks for makes no difference
                pass

    def _answer(self, connection: ServerConnection, request: Request) -> Response | None:
        parts = urlsplit(request.path)
        asked = parse_qs(parts.query)
        if parts.path.endswith("/depth"):
            seq, bids, asks = self._image("".join(asked.get("symbol", [])))
            image: dict[str, object] = {"lastUpdateId": seq, "bids": bids, "asks": asks}
        elif parts.path.endswith("/market/books"):
            seq, bids, asks = self._image("".join(asked.get("instId", [])))
            now = str(time.time_ns() // 1_000_000)
            book = {"asks": asks, "bids": bids, "ts": now, "seqId": seq}
            image = {"code": "0", "msg": "", "data": [book]}
        else:
            return None
        return connection.respond(HTTPStatus.OK, msgspec.json.encode(image).decode())

    def _image(self, symbol: str) -> tuple[int, list[tuple[str, str]], list[tuple[str, str]]]:
        """The last sequence, and the best bid and offer."""
        bids, asks, seq = list[tuple[str, str]](), list[tuple[str, str]](), 0
        for payload in list(self._last.values()):
            for said in self._vendor.normalise(payload, 1, 1):
                if isinstance(said, Quote) and said.symbol == symbol:
                    bids, asks = [(str(said.bid), str(said.bid_size))], [(str(said.ask), str(said.ask_size))]
                elif isinstance(said, Book) and said.symbol == symbol:
                    seq = max(seq, said.seq)
        return seq, bids, asks

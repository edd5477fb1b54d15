"""A WebSocket bus: the venue itself, or whoever speaks like it. One frame of data, one payload."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tapedeck.buses.bus import QUEUE, Venue
from tapedeck.buses.images import PACE, Images
from tapedeck.buses.listener import Listener, Lost

_LARGEST = 64 * 2**20
_FRAMES = 1024
"""So many wait in the client itself before it stops reading."""


class WebsocketBus(Listener):
    """Hears one URL, pings it, and connects again for as long as it lives.

    A connection that brings nothing for `silence` seconds is given up: a venue may forget a subscription and
    still answer ping frames. What the venue wants said (its opening, answers, words for a ping after `quiet`
    seconds) is said each time anew. Images of books that it answers over HTTP are asked for on each
    connection, at most one in `pace` seconds, and come as payloads of it.
    """

    def __init__(
        self,
        url: str,
        venue: Venue | None = None,
        symbols: Sequence[str] = (),
        *,
        first: float = 0.25,
        longest: float = 30.0,
        silence: float = 60.0,
        quiet: float = 20.0,
        pace: float = PACE,
        queue: int = QUEUE,
    ) -> None:
        super().__init__(url, "websocket", first, longest, queue)
        self._venue, self._symbols = venue, symbols
        self._silence, self._quiet, self._pace = silence, quiet, pace
        self._connection: ClientConnection | None = None
        self._images: Images | None = None
        self._gate = threading.Lock()
        self._thread.start()

    @property
    def trouble(self) -> str:  # type: ignore[override]
        """See `Bus.trouble`."""
        images = self._images
        return images.trouble if images else ""

    def _let_go(self) -> None:
        if connection := self._connection:
            connection.close()

    def _hear(self) -> None:
        venue = self._venue
        wanted = [Subprotocol(venue.websocket_subprotocol)] if venue and venue.websocket_subprotocol else None
        try:
            with connect(
                self._url, subprotocols=wanted, compression=None, max_size=_LARGEST, max_queue=_FRAMES,
                close_timeout=2,
            ) as self._connection:  # fmt: skip
                self._talk(self._connection)
        except TimeoutError as e:
            raise Lost(f"silent for {self._silence:g} s" if self._is_connected else "no answer") from e
        except (OSError, WebSocketException) as e:
            raise Lost(str(e) or type(e).__name__) from e
        finally:
            self._connection = None
            if images := self._images:
                images.close()

    def _talk(self, connection: ClientConnection) -> None:
        """Over one connection: what the venue wants said, and every payload."""
        self._connected()
        venue, images = self._venue, None
        if venue is not None:
            for text in venue.websocket_opening(self._symbols, self._url):
                connection.send(text)
            if wanted := venue.websocket_images(self._symbols, self._url):
                images = self._images = Images(wanted, venue, self._put_image, pace=self._pace)
        while not self._closing.is_set():
            self._put(payload := self._next(connection))
            self._heard = True
            if venue is not None:
                if images and images.unseen:
                    images.see(payload)
                for text in venue.websocket_reply(payload, self._symbols):
                    connection.send(text)
                if why := venue.websocket_refusal(payload):
                    self._heard = False  # so that it is not asked again at once, and again
                    raise Lost(why)

    def _next(self, connection: ClientConnection) -> bytes:
        """The next payload. Raises TimeoutError where none comes for too long, pings notwithstanding."""
        ping = self._venue.websocket_ping if self._venue else ""
        given_up = time.monotonic() + self._silence
        while ping and (left := given_up - time.monotonic()) > self._quiet:
            try:
                return connection.recv(min(self._quiet, left), decode=False)
            except TimeoutError:
                connection.send(ping)
        return connection.recv(max(given_up - time.monotonic(), 0), decode=False)

    def _put_image(self, images: Images, payload: bytes) -> None:
        """An image belongs to the connection that it was asked for on: it comes before its end or never."""
        with self._gate:
            if images is self._images and self._is_connected:
                self._put(payload)

    def _lost(self, why: str) -> None:
        with self._gate:
            super()._lost(why)

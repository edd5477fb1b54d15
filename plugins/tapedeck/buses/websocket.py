"""A WebSocket bus: the venue itself, or whoever speaks like it. One frame of data, one payload."""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence

from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tapedeck.buses.bus import Change, Venue
from tapedeck.errors import Unavailable

_LARGEST = 64 * 2**20


class WebsocketBus:
    """Hears one URL, pings it, and connects again for as long as it lives.

    The n-th try in a row that brought no payload waits a random time of up to `min(first × 2ⁿ, longest)`
    seconds, so that many collectors do not come back at once. A connection that brings nothing for
    `silence` seconds is given up: a venue may forget a subscription and still answer ping frames. What the
    venue wants said (its opening, answers, words for a ping after `quiet` seconds) is said each time anew.
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
    ) -> None:
        self.address = f"websocket:{url}"
        self._url = url
        self._venue, self._symbols = venue, symbols
        self._first, self._longest, self._silence, self._quiet = first, longest, silence, quiet
        self._inbox: deque[bytes | Change] = deque()
        self._news = threading.Event()
        self._closing = threading.Event()
        self._connection: ClientConnection | None = None
        self._thread = threading.Thread(target=self._listen, name=f"websocket {url[:60]}", daemon=True)
        self._thread.start()

    def drain(self) -> Iterator[bytes]:
        """See `Bus.drain`."""
        self._news.clear()
        inbox = self._inbox
        while inbox:
            payload = inbox[0]
            if isinstance(payload, Change):
                return
            inbox.popleft()
            yield payload

    def changes(self) -> list[Change]:
        """See `Bus.changes`."""
        found: list[Change] = []
        while self._inbox and isinstance(change := self._inbox[0], Change):
            self._inbox.popleft()
            found.append(change)
        return found

    def wait(self, milliseconds: int) -> bool:
        """See `Bus.wait`. Raises Unavailable where the listening thread has died, so that it is loud."""
        if not self._thread.is_alive() and not self._inbox and not self._closing.is_set():
            raise Unavailable(f"the listener of {self.address} has died: start the collector again")
        return bool(self._inbox) or self._news.wait(milliseconds / 1000)

    def close(self) -> None:
        """See `Bus.close`."""
        self._closing.set()
        if connection := self._connection:
            connection.close()
        self._thread.join(timeout=15)

    def _listen(self) -> None:
        """Connect, hear, and connect again until closed. The only writer of the inbox."""
        venue, barren, said = self._venue, 0, ""
        wanted = [Subprotocol(venue.websocket_subprotocol)] if venue and venue.websocket_subprotocol else None
        while not self._closing.is_set():
            connected, heard, why = False, False, "closed by the venue"
            try:
                with connect(
                    self._url,
                    subprotocols=wanted,
                    compression=None,
                    max_size=_LARGEST,
                    max_queue=None,
                    close_timeout=2,
                ) as connection:
                    self._connection = connection
                    self._put(Change(True, self._url))
                    connected = True
                    for text in venue.websocket_opening(self._symbols, self._url) if venue else ():
                        connection.send(text)
                    while not self._closing.is_set():
                        self._put(payload := self._hear(connection))
                        heard = True
                        for text in venue.websocket_reply(payload, self._symbols) if venue else ():
                            connection.send(text)
            except TimeoutError:
                why = f"silent for {self._silence:g} s" if connected else "no answer"
            except (OSError, WebSocketException) as e:
                why = str(e) or type(e).__name__
            self._connection = None
            if connected or why != said:
                self._put(Change(False, why))
            said = why
            barren = 0 if heard else barren + 1
            self._closing.wait(random.uniform(0, min(self._first * 2 ** min(barren, 20), self._longest)))  # noqa: S311

    def _hear(self, connection: ClientConnection) -> bytes:
        """The next payload. Raises TimeoutError where none comes for too long, pings notwithstanding."""
        ping = self._venue.websocket_ping if self._venue else ""
        given_up = time.monotonic() + self._silence
        while ping and (left := given_up - time.monotonic()) > self._quiet:
            try:
                return connection.recv(min(self._quiet, left), decode=False)
            except TimeoutError:
                connection.send(ping)
        return connection.recv(max(given_up - time.monotonic(), 0), decode=False)

    def _put(self, item: bytes | str | Change) -> None:
        self._inbox.append(item.encode() if isinstance(item, str) else item)
        self._news.set()

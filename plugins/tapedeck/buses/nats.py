"""A NATS bus: one message of a subject, one payload; headers are left out."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit

from nats.aio.client import Client
from nats.errors import Error

from tapedeck.buses import nats_credentials
from tapedeck.buses.bus import QUEUE
from tapedeck.buses.listener import Listener, Lost
from tapedeck.errors import BadInput

PING_SECONDS, MOST_PINGS = 5, 2
"""A server that does not answer so many pings is given up, within 15 s."""
CONNECT_SECONDS = 10


class NatsBus(Listener):
    """Hears one subject, which may have wildcards, and connects again for as long as it lives.

    Nothing is dropped here: a server that finds this reader too slow ends the connection, which is told.
    """

    def __init__(self, url: str, *, first: float = 0.25, longest: float = 30.0, queue: int = QUEUE) -> None:
        """`nats://[user:password@]host:port/subject`, or `tls://…`; a token stands where a user does, and
        `?credentials=/path` names a user's `.creds` file or seed. Raises BadInput where that holds none."""
        super().__init__(url, "nats", first, longest, queue)
        self._server, self._subject = server_and_subject(url)
        self._credentials = credentials_of(url)
        if self._credentials:
            nats_credentials.read(self._credentials)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._over: asyncio.Event | None = None
        self._thread.start()

    def _let_go(self) -> None:
        loop, over = self._loop, self._over
        if loop is not None and over is not None and not loop.is_closed():
            try:
                loop.call_soon_threadsafe(over.set)
            except RuntimeError:  # it was closed meanwhile
                return

    def _hear(self) -> None:
        asyncio.run(self._talk())

    async def _talk(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        client, why = _Reader(self), ""

        async def failed(error: Exception) -> None:
            nonlocal why
            why = str(error) or type(error).__name__

        async def closed() -> None:
            if self._over is not None:
                self._over.set()

        try:
            await client.connect(
                self._server, **self._identity(client), name="tapedeck", connect_timeout=CONNECT_SECONDS,
                max_reconnect_attempts=1, reconnect_time_wait=0,  # else it tries for two minutes
                allow_reconnect=False,
                ping_interval=PING_SECONDS, max_outstanding_pings=MOST_PINGS,
                error_cb=failed, closed_cb=closed, disconnected_cb=closed,
            )  # fmt: skip
            await client.subscribe(self._subject)
            await client.flush(CONNECT_SECONDS)  # the server has the subscription
            self._connected()
            await self._over.wait()
        except (OSError, Error, TimeoutError, BadInput) as e:
            raise Lost(why or str(e) or type(e).__name__) from e
        finally:
            await client.close()
        if not self._closing.is_set():
            raise Lost(why or "closed by the server")

    def _identity(self, client: _Reader) -> dict[str, Any]:
        """Who this is, as the client takes it. Raises BadInput where the credentials are none any more."""
        if not self._credentials:
            return {}
        who = nats_credentials.read(self._credentials)
        if who.jwt:
            return {"user_jwt_cb": lambda: who.jwt, "signature_cb": who.sign}
        client.known_by(who.nkey)
        return {"signature_cb": who.sign}

    def bring(self, payload: bytes) -> None:
        """What the connection brought."""
        self._heard = True
        self._put(payload)


class _Reader(Client):
    """Hands each message over as it is parsed: in the order of the connection, and with no queue that a
    limit or the connection's end could take messages from."""

    def __init__(self, bus: NatsBus) -> None:
        super().__init__()
        self._bring = bus.bring

    def known_by(self, nkey: str) -> None:
        """Say this key to the server. (The client's own way needs a package more to sign.)"""
        self._public_nkey = nkey

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        self._bring(bytes(data))


def credentials_of(url: str) -> str:
    """The path of the `.creds` file that the URL names, empty where it names none."""
    return dict(parse_qsl(urlsplit(url).query)).get("credentials", "")


def server_and_subject(url: str) -> tuple[str, str]:
    """The server's URL, and the subject that its path is."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc, "", "", "")), unquote(parts.path.strip("/"))

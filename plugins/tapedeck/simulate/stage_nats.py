"""The simulator on NATS: all that is played goes to one subject."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable

from nats.aio.client import Client
from nats.errors import Error

from tapedeck.buses.nats import server_and_subject
from tapedeck.errors import BadInput, Unavailable

MOST_WAITING = 20_000
"""So many payloads may wait for the connection; then the player does."""


class NatsStage:
    """Publishes at `nats://host:port/subject`. Who listens NATS does not say."""

    def __init__(self, url: str) -> None:
        """Raises Unavailable where no server answers, BadInput for a subject with wildcards."""
        server, self._subject = server_and_subject(url)
        self.endpoint = url
        if any(token in ("*", ">") for token in self._subject.split(".")):
            raise BadInput(
                f"nothing can be played to the wildcards of {url}: give a whole subject, --bus "
                "nats:nats://HOST:PORT/SUBJECT"
            )
        self._waiting: deque[bytes] = deque()
        self._room, self._over = threading.Event(), threading.Event()
        self._failed = ""
        self._loop = asyncio.new_event_loop()
        self._client = Client()
        self._thread = threading.Thread(target=self._loop.run_forever, name="nats stage", daemon=True)
        self._thread.start()
        try:
            self._do(self._connect(server), 30)
        except (OSError, Error, TimeoutError) as e:
            self._loop.call_soon_threadsafe(self._loop.stop)
            raise Unavailable(f"no NATS server answers at {server} ({e}): start it, or give --bus") from e
        self._sending = asyncio.run_coroutine_threadsafe(self._send(), self._loop)

    def send(self, payload: bytes) -> None:
        """Publish one payload. Raises Unavailable where the server is gone."""
        while len(self._waiting) >= MOST_WAITING and not self._sending.done():
            self._room.wait(0.05)
        if self._sending.done():
            raise Unavailable(f"the NATS server at {self.endpoint} is gone: start it, and play again")
        self._waiting.append(payload)

    def wait_for_listeners(self, count: int, seconds: float, stopping: Callable[[], bool]) -> bool:
        """True at once: nobody can know."""
        return not stopping()

    def close(self, linger_s: float) -> None:
        """Leave when the server has all that was sent, or after so many seconds."""
        self._over.set()
        try:
            self._sending.result(linger_s)
            self._do(self._client.flush(10), 20)
        except (OSError, Error, TimeoutError) as e:
            raise Unavailable(f"the NATS server at {self.endpoint} did not take all ({e}): play again") from e
        finally:
            self._do(self._client.close(), 10)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(10)
            self._loop.close()

    async def _connect(self, server: str) -> None:
        await self._client.connect(
            server, allow_reconnect=False, connect_timeout=10, max_reconnect_attempts=1,
            reconnect_time_wait=0, error_cb=_told_by_the_rest,
        )  # fmt: skip

    async def _send(self) -> None:
        waiting, over = self._waiting, self._over
        while True:
            while waiting:
                await self._client.publish(self._subject, waiting.popleft())
            self._room.set()
            if over.is_set() and not waiting:
                return
            await asyncio.sleep(0.0005)
            self._room.clear()

    def _do(self, work: object, seconds: float) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(seconds)  # type: ignore[arg-type]


async def _told_by_the_rest(_: Exception) -> None:
    """What went wrong is raised by what was asked for."""

"""The simulator's end of a bus: an XPUB socket that knows how many listen."""

from __future__ import annotations

import time
from collections.abc import Callable

import zmq

from tapedeck.errors import BadInput, Unavailable


class Stage:
    """Bound at an endpoint. Nothing sent is dropped for want of room: there is no high-water mark."""

    def __init__(self, endpoint: str) -> None:
        """Bind `tcp://host:port`. Raises Unavailable where the port is taken, BadInput where none is."""
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.XPUB)
        self._socket.setsockopt(zmq.SNDHWM, 0)
        self._socket.setsockopt(zmq.XPUB_VERBOSER, 1)
        self._listeners = 0
        try:
            self._socket.bind(endpoint)
        except zmq.ZMQError as e:
            self._context.destroy(0)
            if e.errno == zmq.EADDRINUSE:
                raise Unavailable(
                    f"the bus's address {endpoint} is taken: end what listens there, or give another --bus"
                ) from e
            raise BadInput(
                f"the bus's address {endpoint} can't be bound ({e}): give one of this machine as --bus"
            ) from e
        self.endpoint = self._socket.getsockopt_string(zmq.LAST_ENDPOINT)
        self.send: Callable[[bytes], object] = self._socket.send
        """Hand one payload to all who listen."""

    def listeners(self, wait_ms: int = 0) -> int:
        """How many subscriptions there are, after waiting at most so long for news of them."""
        if self._socket.poll(wait_ms):
            while self._socket.poll(0):
                self._listeners += 1 if self._socket.recv()[:1] == b"\x01" else -1
        return self._listeners

    def wait_for_listeners(self, count: int, seconds: float, stopping: Callable[[], bool]) -> bool:
        """Whether so many listen; False where it was told to stop. Raises Unavailable after `seconds`."""
        deadline = time.monotonic() + seconds
        while self.listeners(50) < count:
            if stopping():
                return False
            if time.monotonic() > deadline:
                raise Unavailable(
                    f"{self._listeners} of {count} subscribers came to {self.endpoint} in {seconds:g} s: "
                    "start `tapedeck collect` first, or give --wait-subscribers 0 or a longer --wait-timeout"
                )
        return True

    def close(self, linger_s: float) -> None:
        """Leave when all that was sent has gone, or after so many seconds."""
        self._context.destroy(int(linger_s * 1000))

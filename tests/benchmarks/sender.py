"""A process that sends a market to whoever subscribes, as fast as it can, once a subscriber."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection

import zmq

from tests import tapes

_SUBSCRIBED = b"\x01"


@contextmanager
def sending(count: int) -> Iterator[str]:
    """The endpoint at which each new subscriber is sent so many payloads, from the first."""
    context = get_context("spawn")
    ours, its = context.Pipe()
    process = context.Process(target=_send, args=(its, count), daemon=True)
    process.start()
    try:
        yield ours.recv()
    finally:
        process.terminate()
        process.join(10)


def _send(to_parent: Connection, count: int) -> None:
    payloads = tapes.payloads(count)
    with zmq.Context() as context, context.socket(zmq.XPUB) as socket:
        socket.setsockopt(zmq.SNDHWM, 0)
        socket.setsockopt(zmq.XPUB_VERBOSE, 1)  # else one that comes before the last has left is not heard
        to_parent.send(f"tcp://127.0.0.1:{socket.bind_to_random_port('tcp://127.0.0.1')}")
        while True:
            if socket.recv()[:1] == _SUBSCRIBED:
                for payload in payloads:
                    socket.send(payload)

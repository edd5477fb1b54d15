"""A ZeroMQ PUB/SUB bus: one frame, one payload."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import zmq
from zmq.utils.monitor import parse_monitor_message

from tapedeck import native
from tapedeck.buses.bus import QUEUE, Change
from tapedeck.buses.stamping import Lines, stamped
from tapedeck.clock import Stamps
from tapedeck.errors import BadInput
from tapedeck.native import libzmq

ROOM = 2**20
"""Bytes of lines that are taken at once, or one message's."""
_WATCHED = zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED


class ZeromqBus:
    """Hears all that is published at one endpoint, and connects again for as long as it lives.

    At most `queue` messages wait in memory for a taper that is starved; then nothing more is read, and what
    the sender's own queue does not hold the sender drops: the vendor's sequences name it.
    A publisher that vanishes without a word is noticed by ZeroMQ's own heartbeats, within 15 s.
    """

    trouble = ""

    def __init__(self, endpoint: str, queue: int = QUEUE) -> None:
        """Subscribe at `tcp://host:port`. Raises BadInput where that is no endpoint."""
        self.address = f"zmq:{endpoint}"
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.SUB)
        for option, value in (
            (zmq.RCVHWM, queue),
            (zmq.LINGER, 0),
            (zmq.RECONNECT_IVL, 50),
            (zmq.RECONNECT_IVL_MAX, 1_000),
            (zmq.HEARTBEAT_IVL, 5_000),
            (zmq.HEARTBEAT_TIMEOUT, 15_000),
        ):
            self._socket.setsockopt(option, value)
        self._socket.setsockopt(zmq.SUBSCRIBE, b"")
        self._message = libzmq.Message()
        self._state, self._lines = np.zeros(5, np.int64), np.empty(ROOM, np.uint8)
        self._monitor = self._socket.get_monitor_socket(_WATCHED)
        self._poller = zmq.Poller()
        self._poller.register(self._socket, zmq.POLLIN)
        self._poller.register(self._monitor, zmq.POLLIN)
        try:
            self._socket.connect(endpoint)
        except zmq.ZMQError as e:
            self.close()
            raise BadInput(f"{self.address} can't be connected to ({e}): correct the bus's address") from e

    def drain(self) -> Iterator[bytes]:
        """See `Bus.drain`."""
        receive, at_once = self._socket.recv, zmq.NOBLOCK
        try:
            while True:
                yield receive(at_once)
        except zmq.Again:
            return

    def take(self, stamps: Stamps, most: int) -> Lines:
        """See `Bus.take`. The compiled loop of `native/receive.c`, which has a clock of its own."""
        if not stamps.steady:
            return stamped(self.drain(), stamps, most)
        state, at = self._state, native.at
        state[0] = stamps.floor
        while True:
            count = native.receive(
                self._socket.underlying, *libzmq.RECEIVE, self._message.address, stamps.offset, at(state),
                at(self._lines), len(self._lines), most,
            )  # fmt: skip
            if count or not state[1]:
                break
            self._lines = np.empty(int(state[2]), np.uint8)  # one message that needs more room than all had
        stamps.floor = int(state[0])
        if state[4] and not count:
            raise zmq.ZMQError(int(state[4]))
        return Lines(count, self._lines[: int(state[3])].data, count == most or bool(state[1]))

    def changes(self) -> list[Change]:
        """See `Bus.changes`."""
        found: list[Change] = []
        while self._monitor.poll(0):
            event = parse_monitor_message(self._monitor.recv_multipart(zmq.NOBLOCK))
            connected = event["event"] == zmq.EVENT_HANDSHAKE_SUCCEEDED
            found.append(Change(connected, event["endpoint"].decode("utf-8", "replace")))
        return found

    def wait(self, milliseconds: int) -> bool:
        """See `Bus.wait`."""
        return bool(self._poller.poll(milliseconds))

    def close(self) -> None:
        """See `Bus.close`."""
        if not self._socket.closed:
            self._socket.disable_monitor()
            self._message.close()
            self._monitor.close(0)
            self._socket.close(0)
            self._context.term()

"""Replaying onto a ZeroMQ bus, as its publisher: one frame, one MarketData message (MsgPack), in one order.

A bus keeps nothing, so nothing can be told apart on it: one repeated sends all again. To lose nothing it
waits for the first subscriber before it begins, and for a slow one while it goes on.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import zmq

from tapedeck import digest
from tapedeck.errors import BadInput, Unavailable
from tapedeck.jobs import raw
from tapedeck.jobs.kept import Share, kept
from tapedeck.jobs.order import Copied, Order, Preview
from tapedeck.jobs.pacing import Cap, Pace, ahead
from tapedeck.jobs.target import WHOLE, Say
from tapedeck.log.plan import Plan
from tapedeck.settings import Settings
from tapedeck.slices import Slice

SCHEME = "zmq:"
PATIENCE = 30.0
"""Seconds to wait for the first subscriber, and for one that has stopped taking messages."""
QUEUE = 100_000
"""Messages that wait for a subscriber in memory."""


class ZmqTarget:
    """`zmq:ADDRESS`, for example `zmq:tcp://127.0.0.1:5556`."""

    idempotent = False
    refuses_late = True

    def __init__(self, settings: Settings, order: Order) -> None:
        self._settings, self.order = settings, order
        self._address = order.to.removeprefix(SCHEME)
        for vendor, table in settings.vendors.items():
            if _port(table.bus) == _port(order.to):
                raise BadInput(
                    f"{self._address} is the live bus of {vendor}: replay to another address, for example "
                    "zmq:tcp://127.0.0.1:5599"
                )

    def reads(self) -> Slice:
        """See `Target.reads`."""
        return self.order.slice

    def parts(self) -> list[int]:
        """A bus is one stream."""
        return [WHOLE]

    def preview(self, plan: Plan) -> Preview:
        """See `Target.preview`."""
        _check(self._address)
        return Preview(
            already=0, says=f"{self.order.to} keeps nothing: what is replayed again is sent again, and it "
            "begins with the first subscriber",
        )  # fmt: skip

    def copy(self, plan: Plan, part: int, say: Say) -> Copied:
        """See `Target.copy`; it can't be proved what subscribers took."""
        if self.order.tape:
            return self._copy_tape(part, say)
        order, cap, pace = self.order, Cap(self.order.rate), Pace(self.order.speed)
        messages = duplicates = voided = undecodable = 0
        digests: list[int] = []
        found = kept(
            self._settings, plan, Share(0, 1), frozenset(order.symbols), order.kinds,
            lambda records: cap.took(len(records)),
        )  # fmt: skip
        with publisher(self._address) as sender:
            say(f"waiting for a subscriber at {self._address}")
            sender.await_subscriber()
            with ahead(found) as stretches:
                for stretch in stretches:
                    values = list(stretch.values)
                    pace.send(stretch.ts_recv, lambda a, b, v=values: sender.send(v[a:b]))  # type: ignore[misc]
                    messages += len(stretch)
                    duplicates += stretch.duplicates
                    voided += stretch.voided
                    undecodable += stretch.undecodable
                    digests.append(stretch.digest)
        say(f"{messages:,} messages were sent")
        return Copied(
            partition=part, messages=messages, written=messages, duplicates=duplicates, voided=voided,
            undecodable=undecodable, after=digest.to_hex(digest.add(*digests)), lateness=pace.lateness(),
        )  # fmt: skip

    def _copy_tape(self, part: int, say: Say) -> Copied:
        """The vendor's raw payloads, as a collector's tape has them, in its order and by its times."""
        pace, cap, sent = Pace(self.order.speed), Cap(self.order.rate), 0
        content = hashlib.blake2b(digest_size=16)
        with publisher(self._address) as sender:
            say(f"waiting for a subscriber at {self._address}")
            sender.await_subscriber()
            with ahead(raw.payloads(Path(self.order.tape), self.order.slice)) as found:
                for stamps, values in found:
                    cap.took(len(values))
                    pace.send(stamps, lambda a, b, v=values: sender.send(v[a:b]))  # type: ignore[misc]
                    sent += len(values)
                    for value in values:
                        content.update(value)
        say(f"{sent:,} payloads were sent")
        return Copied(
            partition=part, messages=sent, written=sent, after=content.hexdigest(), lateness=pace.lateness(),
            notes=(f"these are payloads of {self.order.tape}, and `after` is the BLAKE2b of their bytes",),
        )  # fmt: skip


class Sender:
    """A bus's publishing end that waits where a subscriber is slow, in place of dropping."""

    def __init__(self, socket: zmq.Socket[bytes], address: str) -> None:
        self._socket, self._address = socket, address

    def await_subscriber(self, patience: float = PATIENCE) -> None:
        """Return with the first subscriber. Raises Unavailable where none comes."""
        if not self._socket.poll(int(patience * 1000), zmq.POLLIN):
            raise Unavailable(
                f"nobody has subscribed at {self._address} for {patience:.0f} s and nothing was sent: start "
                "the subscriber, then run this again"
            )
        self._socket.recv()

    def send(self, frames: list[bytes]) -> None:
        """Send them in order. Raises Unavailable where a subscriber takes nothing for long."""
        send = self._socket.send
        for frame in frames:
            try:
                send(frame, zmq.NOBLOCK)
            except zmq.Again:
                self._send_slowly(frame)

    def _send_slowly(self, frame: bytes) -> None:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if self._socket.poll(200, zmq.POLLOUT):
                try:
                    self._socket.send(frame, zmq.NOBLOCK)
                    return
                except zmq.Again:
                    time.sleep(0.001)
        raise Unavailable(
            f"a subscriber at {self._address} has taken nothing for {PATIENCE:.0f} s: end it, then run this "
            "again; it begins anew"
        )


@contextmanager
def publisher(address: str) -> Iterator[Sender]:
    """Publish at an address. What was sent has left when this ends without an error."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket = context.socket(zmq.XPUB)
    linger = 0
    try:
        socket.setsockopt(zmq.XPUB_NODROP, 1)
        socket.setsockopt(zmq.SNDHWM, QUEUE)
        _bind(socket, address)
        yield Sender(socket, address)
        linger = int(PATIENCE * 1000)
    finally:
        socket.close(linger)
        context.term()


def _port(bus: str) -> str:
    """The port where a bus of this machine is, or the whole address."""
    local = re.fullmatch(r"zmq:tcp://(?:127\.0\.0\.1|0\.0\.0\.0|localhost|\*):(\d+)", bus)
    return local[1] if local else bus


def _bind(socket: zmq.Socket[bytes], address: str) -> None:
    try:
        socket.bind(address)
    except zmq.ZMQError as e:
        raise BadInput(
            f"{SCHEME}{address} can't be published at ({e}): write an address of this machine that is free, "
            "for example zmq:tcp://127.0.0.1:5599"
        ) from e


def _check(address: str) -> None:
    """Raises BadInput for what no socket can be bound to now."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket = context.socket(zmq.PUB)
    try:
        _bind(socket, address)
    finally:
        socket.close(0)
        context.term()

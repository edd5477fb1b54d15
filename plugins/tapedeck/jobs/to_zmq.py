"""Replaying onto a ZeroMQ bus, as its publisher: one frame, one MarketData message (MsgPack), in one order.

A bus keeps nothing, so nothing can be told apart on it: one repeated sends all again. One that was killed
goes on from its checkpoint, where it has one. To lose nothing it waits for the first subscriber before it
begins, and for a slow one while it goes on.
"""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import zmq
from msgspec import structs

from tapedeck import digest
from tapedeck.columns import Array
from tapedeck.errors import BadInput, Unavailable
from tapedeck.jobs import raw
from tapedeck.jobs.checkpoint import Checkpoint
from tapedeck.jobs.clock import Clock
from tapedeck.jobs.hours import clock_of
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
SAVED_EVERY = 1.0
"""Seconds after which it is kept how many were sent."""
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

    def copy(
        self, plan: Plan, part: int, say: Say, clock: Clock | None = None,
        checkpoint: Checkpoint | None = None,
    ) -> Copied:  # fmt: skip
        """See `Target.copy`; it can't be proved what subscribers took.

        With a `checkpoint` it goes on, where one before was killed, with what that had not sent a second
        before it died: what it sent in that second comes again, under the same names.
        """
        order, keep = self.order, checkpoint or Checkpoint()
        pace = Pace(order.speed, clock=clock or clock_of(self._settings, [order]))
        content, cap, done = hashlib.blake2b(digest_size=16), Cap(order.rate), Copied(partition=part)
        sent = begun = 0
        with ExitStack() as held:
            held.callback(pace.end)
            sent = begun = _begun(keep)
            sender = held.enter_context(publisher(self._address))
            say(f"waiting for a subscriber at {self._address}")
            sender.await_subscriber()
            if begun:
                say(f"going on after {begun:,} messages, which were sent before")
            held.enter_context(saved(keep, lambda: sent))
            before = 0
            for stamps, values, found in held.enter_context(ahead(self._batches(plan, part, cap))):
                skipped = min(max(0, begun - before), len(values))
                before += len(values)
                rest = values[skipped:]

                def hand_over(first: int, last: int, rest: list[bytes] = rest) -> None:
                    nonlocal sent
                    sender.send(rest[first:last])
                    sent += last - first

                pace.send(stamps[skipped:], hand_over)
                done = _both(done, found)
                if order.tape:
                    for value in values:
                        content.update(value)
                say(f"{sent:,} messages are sent")
        keep.clear()
        notes: tuple[str, ...] = ()
        if begun:
            notes = (
                f"it was interrupted after at least {begun:,} messages and went on from there: what was sent "
                "in the second before came twice",
            )
        if order.tape:
            about = f"these are payloads of {order.tape}, and `after` is the BLAKE2b of their bytes"
            done, notes = structs.replace(done, after=content.hexdigest()), (*notes, about)
        return structs.replace(
            done, messages=sent, already=begun, written=sent - begun, lateness=pace.lateness(), notes=notes
        )

    def _batches(self, plan: Plan, part: int, cap: Cap) -> Iterator[tuple[Array, list[bytes], Copied]]:
        """Receipt times, frames and counts, in order: messages, or the payloads of a tape."""
        order = self.order
        if order.tape:
            for stamps, values in raw.payloads(Path(order.tape), order.slice):
                cap.took(len(values))
                yield stamps, values, Copied(partition=part)
            return
        for stretch in kept(
            self._settings, plan, Share(0, 1), frozenset(order.symbols), order.kinds,
            lambda records: cap.took(len(records)),
        ):  # fmt: skip
            counts = Copied(
                partition=part, duplicates=stretch.duplicates, voided=stretch.voided,
                undecodable=stretch.undecodable, after=digest.to_hex(stretch.digest),
            )  # fmt: skip
            yield stretch.ts_recv, list(stretch.values), counts


def _both(one: Copied, other: Copied) -> Copied:
    return structs.replace(
        one, duplicates=one.duplicates + other.duplicates, voided=one.voided + other.voided,
        undecodable=one.undecodable + other.undecodable,
        after=digest.to_hex(digest.add(digest.from_hex(one.after), digest.from_hex(other.after))),
    )  # fmt: skip


def _begun(checkpoint: Checkpoint) -> int:
    """How many messages were sent before; one that can't be understood counts for none."""
    state = checkpoint.load()
    return int(state) if state.isdigit() else 0


@contextmanager
def saved(checkpoint: Checkpoint, sent: Callable[[], int]) -> Iterator[None]:
    """Keep once a second how many were sent, in a thread of its own: a saving takes longer than a message
    may be late."""
    ended = threading.Event()

    def save() -> None:
        while not ended.wait(SAVED_EVERY):
            checkpoint.save(str(sent()).encode())

    saving = threading.Thread(target=save, daemon=True)
    saving.start()
    try:
        yield
    finally:
        ended.set()
        saving.join()


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

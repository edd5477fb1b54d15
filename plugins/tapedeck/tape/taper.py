"""The taper: bus to raw tape and nothing else (DESIGN §6), so that it keeps up with any burst."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from tapedeck import metrics
from tapedeck.buses import Bus, Change
from tapedeck.buses.stamping import Lines
from tapedeck.clock import Clock, Stamps
from tapedeck.errors import Unavailable
from tapedeck.metrics import Show, unheard
from tapedeck.settings import Settings
from tapedeck.slices import NS, parse_duration
from tapedeck.tape import lock, position
from tapedeck.tape.behind import Behind
from tapedeck.tape.compress import Compressor
from tapedeck.tape.recover import recover
from tapedeck.tape.room import Room
from tapedeck.tape.segment import own_line
from tapedeck.tape.sync import Sync
from tapedeck.tape.write import TapeWriter

BEAT_SECONDS = 1.0
BATCH = 4096
"""Lines written at once under load; when idle each goes to the tape as it comes."""
WAIT_MS = 100
"""How long a wait may keep the taper from seeing that it is to stop."""
PARTING_SECONDS = 5.0
"""How long a bus that does not fall silent may keep a taper that is to stop."""
LOCK_SECONDS = 30.0
"""How long a taper waits for one before it that is just ending: far longer than such a one can take for the
bus and for what it still compresses. It keeps its lock until nothing is compressed any more, since two must
never compress one segment.
"""


class Taped(NamedTuple):
    """What one life wrote: its first stamp and how many messages."""

    life: int
    messages: int


def tape(
    settings: Settings,
    vendor: str,
    src: int,
    bus: Bus,
    stop: Callable[[], bool],
    warn: Callable[[str], None],
    clock: Clock | None = None,
    show: Show = unheard,
) -> Taped:
    """Write what the bus sends to the collector's tape until `stop()`, then take what is still waiting,
    say goodbye with a closing heartbeat and close the segment.

    A message is on the tape (in the system's hands, so that a SIGKILL can't take it back) before the
    bus is asked to wait. `show` is told each second how it is. Raises BadInput where another taper has
    this tape, Unavailable where the tape can't be written or its disk is nearly full.
    """
    folder = settings.tape_dir(vendor, src)
    with (
        lock.held(folder, "taper", LOCK_SECONDS),
        Compressor(folder, warn, PARTING_SECONDS) as compressor,
        Sync(folder, parse_duration(settings.tape.sync) / NS) as sync,
    ):
        found = recover(folder)
        if found.cut:
            warn(f"{found.cut} bytes of torn lines, which nobody can have read, were cut off {folder}")
        for segment in found.plain:
            compressor.add(segment)
        stamps = Stamps(max(found.above, position.last_stamp(folder)), clock)
        writer = TapeWriter(
            folder, vendor, src, stamps,
            segment_bytes=settings.tape.segment_bytes,
            segment_seconds=parse_duration(settings.tape.segment_age) / NS,
            closed=compressor.add,
            sync=sync,
        )  # fmt: skip
        room = Room(folder, settings.tape.free_alarm, settings.tape.free_stop, warn)
        try:
            messages = _record(bus, writer, stamps, stop, warn, show, room)
        except Unavailable:
            writer.close()  # without a goodbye: what is not recorded now is a gap
            raise
        writer.write(own_line("heartbeat", stamps.take(), closing=True))
        writer.close()
        return Taped(writer.life, messages)


def _record(
    bus: Bus,
    writer: TapeWriter,
    stamps: Stamps,
    stop: Callable[[], bool],
    warn: Callable[[str], None],
    show: Show,
    room: Room,
) -> int:
    """The loop: changes of the connection, payloads, a heartbeat each second; gives how many messages."""
    messages = connects = 0
    connected, offset = False, stamps.offset
    beat = time.monotonic()
    parting = float("inf")
    behind = Behind(bus.address, warn, beat)
    while True:
        changes = bus.changes()
        for change in changes:
            if not change.connected:  # what was received before the connection was lost is before it
                messages += _take(bus, writer, stamps).messages
            writer.write(_change_line(change, stamps))
            connected = change.connected
            connects += connected
        taken = _take(bus, writer, stamps)
        messages += taken.messages
        room.look_if_due(writer.written)
        now = time.monotonic()
        behind.note(taken.more, now)
        if now >= beat:
            error = stamps.slew()
            room.look()
            writer.rotate_if_old()
            writer.write(own_line("heartbeat", stamps.take(), connected=connected))
            show(
                behind.trouble or bus.trouble if connected else f"{bus.address} is not connected",
                {
                    metrics.TAPER_MESSAGES: messages,
                    metrics.TAPER_BYTES: writer.written,
                    metrics.TAPER_CONNECTS: connects,
                    metrics.TAPER_BEHIND: behind.seconds,
                    metrics.TAPER_CLOCK_ERROR: error / NS,
                    metrics.TAPER_SLEWED: (stamps.offset - offset) / NS,
                    metrics.TAPER_STAMP_LEAD: max(0, stamps.floor - stamps.monotonic() - stamps.offset) / NS,
                },
            )
            beat = now + BEAT_SECONDS - (now - beat) % BEAT_SECONDS
        idle = not changes and not taken.messages
        if stop():
            parting = min(parting, now + PARTING_SECONDS)
            if idle or now >= parting:
                return messages
        elif idle:
            bus.wait(max(1, min(WAIT_MS, int((beat - now) * 1000))))


def _take(bus: Bus, writer: TapeWriter, stamps: Stamps) -> Lines:
    """Write what is waiting, at most a batch; gives it."""
    taken = bus.take(stamps, BATCH)
    if taken.messages:
        writer.write(taken.data)
    return taken


def _change_line(change: Change, stamps: Stamps) -> bytes:
    word = "connect" if change.connected else "disconnect"
    return own_line(word, stamps.take(), why=change.why)

"""One publisher a source: whoever starts looks whether its number is at work elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

from tapedeck.errors import BadInput
from tapedeck.log import client
from tapedeck.log.decode import decode_records
from tapedeck.log.meta import Life, TopicPin
from tapedeck.log.plan import Range
from tapedeck.log.read import read_range
from tapedeck.settings import Settings
from tapedeck.slices import NS, format_time
from tapedeck.tape.segment import segments

ALIVE_SECONDS = 10
"""A collector beats each second; one whose last beat is older is gone, or its tape is far behind."""


def check(settings: Settings, pin: TopicPin, lives: Iterable[Life], folder: Path) -> None:
    """Raises BadInput where a life that is not on this tape has just beaten.

    Two publishers of one number would give one name to two messages. Nothing is read of the log unless
    md.meta names an open life that this tape does not hold.
    """
    here = {segment.life for segment in segments(folder)}
    elsewhere = {
        life.since: life
        for life in lives
        if life.closed is None and not life.retired and life.taper not in here
    }
    if not elsewhere:
        return
    since = time.time_ns() - ALIVE_SECONDS * NS
    with client.consumer(settings) as consumer:
        start = client.offsets_at(settings, consumer, pin.name, {0: since // 1_000_000})[0]
        stop = client.watermarks(settings, consumer, pin.name, 0)[1]
    if start < 0 or start >= stop:
        return
    r = Range(
        topic=pin.name, topic_id=pin.id, number=pin.number, partition=0, start=start, stop=stop,
        start_reason="exact", stop_reason="watermark",
    )  # fmt: skip
    for records in read_range(settings, r):
        beats = decode_records(records, pin.partitions).heartbeats
        if beats is None:
            continue
        for src, life, at, closing in zip(
            *(beats[name].tolist() for name in ("src", "since", "ts_recv", "closing")), strict=True
        ):
            if life in elsewhere and elsewhere[life].src == src and at >= since and not closing:
                raise BadInput(
                    f"collector {src} of {pin.vendor} is alive elsewhere: it beat at {format_time(at)}, and "
                    f"its life of {format_time(life)} is not on the tape {folder}; end that one, or give "
                    "this one another number with --src"
                )

"""Hears a bus as a taper does, with a deadline."""

from __future__ import annotations

import time

from tapedeck.buses import Bus, Change

PATIENCE_S = 30.0


def hear(bus: Bus, count: int) -> list[bytes]:
    """The next `count` payloads; changes are passed over. Fails where they do not come."""
    return [item for item in hear_all(bus, payloads=count) if isinstance(item, bytes)]


def hear_changes(bus: Bus, count: int) -> list[Change]:
    """The next `count` changes; payloads are passed over. Fails where they do not come."""
    return [item for item in hear_all(bus, changes=count) if isinstance(item, Change)]


def hear_all(bus: Bus, payloads: int = 0, changes: int = 0) -> list[bytes | Change]:
    """What comes, in order, until so many payloads and so many changes are there."""
    heard: list[bytes | Change] = []
    deadline = time.monotonic() + PATIENCE_S
    while True:
        for payload in bus.drain():
            heard.append(payload)
            payloads -= 1
        news = bus.changes()
        heard += news
        changes -= len(news)
        if payloads <= 0 and changes <= 0:
            return heard
        assert time.monotonic() < deadline, f"only {heard[-5:]} came"
        bus.wait(100)

"""Stock arctic on the benchmark's MongoDB, as durable as ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from zoneinfo import ZoneInfo

from tapedeck.settings import Settings


@contextmanager
def library(settings: Settings, name: str) -> Iterator[Any]:
    """The TickStore of that name, made where it is missing."""
    from arctic import TICK_STORE, Arctic

    arctic = Arctic(settings.mongo.uri, tz_aware=True, tzinfo=ZoneInfo("UTC"), w="majority", journal=True)
    try:
        arctic.initialize_library(name, TICK_STORE)
        yield arctic[name]
    finally:
        arctic._conn.close()

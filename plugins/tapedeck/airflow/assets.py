"""What downstream DAGs wait for: a vendor's day of which nothing more can come and that Arctic holds."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset

from tapedeck.slices import NS, Slice, format_time, parse_time

if TYPE_CHECKING:
    from tapedeck.jobs.receipts import Receipt

COMPLETE = Asset("tapedeck_complete_day", uri="tapedeck://complete-day")
"""Has a partition for every vendor and day: see `key`."""
REBUILT = Asset("tapedeck_rebuilt_day", uri="tapedeck://rebuilt-day")
"""Has the same partitions: a day that was rebuilt, or of which something was mended, complete or not."""
DAY = 86_400 * NS


def key(vendor: str, day: int) -> str:
    """The partition key of the day that begins at `day` (UTC ns), for example `okx|2026-07-01`."""
    return f"{vendor}|{format_time(day)[:10]}"


def parse_key(text: str) -> tuple[str, Slice]:
    """Vendor and day of a partition key."""
    vendor, _, day = text.partition("|")
    start = parse_time(f"{day}T00:00:00Z")
    return vendor, Slice(start, start + DAY)


def days(of: Slice) -> list[int]:
    """The starts of the UTC days that lie whole in a slice."""
    first = -(-of.start // DAY) * DAY
    return list(range(first, of.end - DAY + 1, DAY))


def tell_rebuilt(outlet_events: Any, vendor: str, start: int, end: int) -> None:
    """Let the running task's asset event say that windows of the days that [start, end) meets, UTC ns, were
    built anew. A day that is not over is left to its night."""
    days = range(start // DAY * DAY, end, DAY)
    keys = [key(vendor, day) for day in days if day + DAY <= time.time_ns()]
    if keys:
        outlet_events[REBUILT].add_partitions(keys)


def tell_complete(outlet_events: Any, receipt: Receipt) -> list[str]:
    """Let the running task's asset event say that a receipt's days are complete; gives the partition keys."""
    of = Slice(parse_time(receipt.start), parse_time(receipt.end))
    keys = [key(receipt.vendor, day) for day in days(of)]
    if keys:
        event = outlet_events[COMPLETE]
        event.extra = {
            "complete_through": receipt.end, "vendor": receipt.vendor, "receipt": receipt.id
        }  # fmt: skip
        event.add_partitions(keys)
    return keys

"""Which plans wait for a person (DESIGN §7): those that are larger than the settings allow unasked."""

from __future__ import annotations

from tapedeck.jobs.forecast import Forecast, duration, size
from tapedeck.settings import Settings
from tapedeck.slices import NS, parse_duration


def exceeded(settings: Settings, cost: Forecast) -> list[str]:
    """Why a run of this cost by hand needs an approval, in sentences; none where it needs none."""
    limits = settings.approval
    longest = parse_duration(limits.duration) / NS
    why = []
    if cost.messages > limits.messages:
        why.append(f"it may be {cost.messages:,} messages, more than the {limits.messages:,} allowed unasked")
    if cost.bytes > limits.bytes:
        why.append(f"it may be {size(cost.bytes)}, more than the {size(limits.bytes)} allowed unasked")
    if cost.seconds > longest:
        why.append(f"it may take {duration(cost.seconds)}, more than the {duration(longest)} allowed unasked")
    return why

"""Which plans wait for a person (DESIGN §7): those that are larger than the settings allow unasked."""

from __future__ import annotations

from tapedeck.jobs.forecast import Forecast, duration, size
from tapedeck.settings import Settings
from tapedeck.slices import NS, parse_duration

SHARE = 0.001
"""What a run that nobody was asked about may remove or change, of the messages that Arctic holds."""


def allowed(share: float, messages: int) -> int:
    """So many of a partition's messages may be removed or changed unasked; one always."""
    return max(1, int(share * messages))


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

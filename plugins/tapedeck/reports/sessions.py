"""Whether a vendor's market was open on a day, by its `calendar` setting. Pure."""

from __future__ import annotations

from datetime import date

KNOWN = ("24x7", "24x5")


def trades_on(calendar: str, day: date) -> bool:
    """`24x7` always, `24x5` Monday to Friday (UTC); a calendar that is not known counts as open."""
    return calendar != "24x5" or day.weekday() < 5

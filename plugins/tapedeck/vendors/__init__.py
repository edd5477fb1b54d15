"""Vendors by name. One file each; others join through the entry points of group `tapedeck.vendors`."""

from __future__ import annotations

import difflib
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from tapedeck.errors import BadInput
from tapedeck.vendors.vendor import Chatter, Normalised, Refusal, Vendor

__all__ = ["GROUP", "Chatter", "Normalised", "Refusal", "Vendor", "get", "names"]

GROUP = "tapedeck.vendors"


@cache
def _entries() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def names() -> list[str]:
    """Names of all vendors that are installed, sorted."""
    return sorted(_entries())


@cache
def get(name: str) -> Vendor:
    """The vendor of that name. Raises BadInput, with the nearest name, where there is none."""
    entry = _entries().get(name)
    if entry is None:
        close = difflib.get_close_matches(name, names(), 1)
        nearest = f" (did you mean {close[0]!r}?)" if close else ""
        raise BadInput(
            f"there is no vendor {name[:80]!r}{nearest}: known are {', '.join(names()) or 'none'}; "
            f"another one joins by an entry point of group {GROUP}"
        )
    try:
        vendor: Vendor = entry.load()
    except (ImportError, AttributeError) as e:
        raise BadInput(
            f"the vendor {name!r} can't be loaded from {entry.value} ({e}): install it again"
        ) from e
    return vendor

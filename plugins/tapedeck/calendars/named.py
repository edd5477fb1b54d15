"""The calendar of a vendor's symbol, by its name in the settings."""

from __future__ import annotations

import difflib
from fnmatch import fnmatchcase
from functools import lru_cache

from tapedeck.calendars import exchange
from tapedeck.calendars.always import Always
from tapedeck.calendars.delisted import Delisted
from tapedeck.calendars.session import Calendar
from tapedeck.calendars.table import Table
from tapedeck.errors import BadInput
from tapedeck.settings import Settings
from tapedeck.slices import parse_time

ALWAYS = {"24x7": True, "24x5": False}


def calendar_of(settings: Settings, vendor: str, symbol: str = "") -> Calendar:
    """By the first pattern of `vendors.NAME.calendars` that the symbol matches, else the vendor's own; one
    of `vendors.NAME.delisted` ends where that says.

    Raises BadInput, with the nearest name, for a calendar that nobody knows.
    """
    table = settings.vendor(vendor)
    name = table.calendars.get(symbol) or next(
        (named for pattern, named in table.calendars.items() if fnmatchcase(symbol, pattern)), table.calendar
    )
    found = named(settings, name, f"vendors.{vendor}.calendar")
    return Delisted(found, parse_time(table.delisted[symbol])) if symbol in table.delisted else found


def named(settings: Settings, name: str, where: str) -> Calendar:
    """`24x7`, `24x5`, a table of the settings, or an exchange by its code (`XNYS`). Raises BadInput."""
    if name in settings.calendars:
        table = settings.calendars[name]
        if table.base in settings.calendars:
            raise BadInput(
                f"calendars.{name}.base names {table.base!r}, a table too: "
                "let it be an exchange, 24x7 or 24x5"
            )
        return Table(table, named(settings, table.base, f"calendars.{name}.base") if table.base else None)
    if name in ALWAYS:
        return Always(ALWAYS[name])
    return _exchange(name, where, tuple(settings.calendars))


@lru_cache(maxsize=64)
def _exchange(name: str, where: str, tables: tuple[str, ...]) -> Calendar:
    known = exchange.names()
    if name not in known:
        near = difflib.get_close_matches(name, [*ALWAYS, *tables, *known], 1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise BadInput(
            f"{where} names no calendar {name!r}{hint}: it is 24x7, 24x5, an exchange's code such as XNYS, "
            "or a table [calendars.NAME] of the settings"
        )
    return exchange.exchange(name)

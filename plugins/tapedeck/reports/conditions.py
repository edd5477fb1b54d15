"""The condition of a symbol's day as data, so that research reads only days that a report stands behind.

One document a vendor, day and symbol in the collection `conditions`, written whenever a report is made;
where none was made yet, the day is pending.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import get_args

from msgspec import Struct, convert, to_builtins
from pymongo import UpdateOne

from tapedeck.errors import BadInput, Incomplete
from tapedeck.reports.day import Condition, Day, days_of
from tapedeck.settings import Settings
from tapedeck.slices import Slice
from tapedeck.store import database

COLLECTION = "conditions"
SUFFICES: dict[str, tuple[Condition, ...]] = {
    "available": ("available", "closed"),
    "degraded": ("available", "closed", "degraded"),
}
"""What a reader may require, and the conditions that answer it: of a closed day there is nothing to doubt."""
NO_REPORT = "no report of this day was made yet"
NAMED = 5
BATCH = 1000


class SymbolDay(Struct, frozen=True, kw_only=True):
    """What a day (`2024-08-08`, UTC) of a symbol is worth, and what happened in it.

    `made`: when its report was made, UTC ns; 0 where none was.
    """

    vendor: str
    day: str
    symbol: str
    condition: Condition
    incidents: tuple[str, ...] = ()
    made: int = 0


def keep(settings: Settings, day: Day, made: int) -> None:
    """Keep what a report says of its symbols; a report that was made later stands. Raises Unavailable.

    The order of a crash: a symbol that the report no longer names goes last, and the next report does it.
    """
    rows = [
        SymbolDay(
            vendor=day.vendor, day=day.day, symbol=one["symbol"], condition=one["condition"],
            incidents=tuple(one["incidents"]), made=made,
        )
        for one in day.symbols
    ]  # fmt: skip
    with database.answering(settings):
        book = database.collection(settings, COLLECTION)
        for at in range(0, len(rows), BATCH):
            book.bulk_write([_newest(row) for row in rows[at : at + BATCH]], ordered=False)
        book.delete_many({"vendor": day.vendor, "day": day.day, "made": {"$lt": made}})


def conditions(
    settings: Settings, vendor: str, of: Slice, symbols: Sequence[str] | None = None
) -> list[SymbolDay]:
    """The condition of each symbol on each day that the slice meets, by day and symbol.

    `symbols`: all that the days' reports and the settings name where it is None. Raises BadInput for an
    unknown vendor, Unavailable.
    """
    due = settings.vendor(vendor).symbols if symbols is None else symbols
    days = [day.isoformat() for day in days_of(of)]
    query: dict[str, object] = {"vendor": vendor, "day": {"$gte": days[0], "$lte": days[-1]}}
    if symbols is not None:
        query["symbol"] = {"$in": list(symbols)}
    with database.answering(settings):
        found = database.collection(settings, COLLECTION).find(query, {"_id": 0})
        known = {(row.day, row.symbol): row for row in (convert(d, SymbolDay) for d in found)}
    for day in days:
        for symbol in due:
            nothing = SymbolDay(
                vendor=vendor, day=day, symbol=symbol, condition="pending", incidents=(NO_REPORT,)
            )
            known.setdefault((day, symbol), nothing)
    return [known[key] for key in sorted(known)]


def require(settings: Settings, vendor: str, symbols: Sequence[str], of: Slice, wanted: str) -> None:
    """Raises Incomplete naming the days of the slice that are not as `wanted`, BadInput for no such wish."""
    if wanted not in SUFFICES:
        known = ", ".join(SUFFICES)
        every = ", ".join(get_args(Condition))
        raise BadInput(f"require={wanted!r} can't be asked for: ask for one of {known} (conditions: {every})")
    short = [
        row for row in conditions(settings, vendor, of, symbols) if row.condition not in SUFFICES[wanted]
    ]
    if short:
        raise Incomplete(
            f"not {wanted} in {len(short):,} day{'s' * (len(short) > 1)} of {vendor}'s symbols: "
            f"{_spell(short)}: read without require, or see `tapedeck report {vendor} {short[0].day}`"
        )


def _spell(short: Iterable[SymbolDay]) -> str:
    some = list(short)
    named = [
        f"{row.day} {row.symbol} is {row.condition}" + (f" ({row.incidents[0]})" if row.incidents else "")
        for row in some[:NAMED]
    ]
    return "; ".join(named) + (f"; and {len(some) - NAMED:,} more" if len(some) > NAMED else "")


def _newest(row: SymbolDay) -> UpdateOne:
    """By the server, so that of two reports at once the later one stands (the filter must be `_id` alone)."""
    document = {"_id": f"{row.vendor}|{row.day}|{row.symbol}", **to_builtins(row)}
    later = {"$gt": [{"$ifNull": ["$made", 0]}, row.made]}
    return UpdateOne(
        {"_id": document["_id"]},
        [{"$replaceWith": {"$cond": [later, "$$ROOT", {"$literal": document}]}}],
        upsert=True,
    )

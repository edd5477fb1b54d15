"""When a replay's symbols trade, by their vendors' calendars, and so the clock that orders go by."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tapedeck.calendars import named, session
from tapedeck.calendars.session import Session
from tapedeck.jobs.clock import Clock, Hours
from tapedeck.jobs.order import Order
from tapedeck.settings import Settings
from tapedeck.slices import Slice


def hours_of(settings: Settings, orders: Iterable[Order], of: Slice) -> Hours:
    """When any of the orders' symbols trades, by its vendor's calendars. Raises BadInput."""
    sessions: set[Session] = set()
    for order in orders:
        symbols = order.symbols or tuple(settings.vendor(order.vendor).symbols) or ("",)
        found = (named.calendar_of(settings, order.vendor, symbol) for symbol in symbols)
        for calendar in {repr(one): one for one in found}.values():
            sessions |= set(calendar.sessions(of))
    return Hours(session.opened(sessions, of))


def clock_of(settings: Settings, orders: Sequence[Order]) -> Clock:
    """The clock of orders that are replayed together."""
    if not orders[0].skip_closed:
        return Clock(len(orders))
    of = Slice(min(o.slice.start for o in orders), max(o.slice.end for o in orders))
    return Clock(len(orders), hours_of(settings, orders, of))

"""A vendor's log by time: `timeline("binance_usdm").between(start, end)`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Literal

from tapedeck import endpoints
from tapedeck.errors import BadInput, Incomplete
from tapedeck.log.plan import Plan
from tapedeck.log.reading import Count, Reading
from tapedeck.log.resolve import resolve
from tapedeck.log.tail import Tail
from tapedeck.message import KINDS, Message, check_kinds, check_symbol
from tapedeck.settings import Settings, load
from tapedeck.slices import NS, Slice, Time, format_time, instant, parse_duration, parse_slice, slice_of

POLL_SECONDS = 1.0
Past = Literal["flag", "refuse", "wait"]


def timeline(vendor: str, settings: Settings | None = None) -> Timeline:
    """The vendor's log, all its topics read as one. Raises BadInput for an unknown vendor."""
    return Timeline(endpoints.resolve(settings or load()), vendor)


class Timeline:
    """Asks a vendor's log what happened between two times, each as `slices.instant` takes it."""

    def __init__(self, settings: Settings, vendor: str) -> None:
        settings.vendor(vendor)
        self.settings, self.vendor = settings, vendor

    def between(
        self,
        start: Time,
        end: Time,
        *,
        symbols: Sequence[str] = (),
        kinds: Sequence[str] = (),
        incomplete: Past = "flag",
        deadline: str = "5m",
        waiting: Callable[[Plan], object] = lambda plan: None,
        everything: bool = False,
    ) -> Reading:
        """The messages with `start <= ts_recv < end`, behind a plan that is frozen now.

        `symbols`, `kinds`: only these; all where empty. `everything`: resends, copies and voided messages
        too, each with its mark (`Reading.marked`, or the column `mark` of its batches).
        `incomplete` says what to do where more may come or some of it has expired: "flag" it in
        `Reading.plan.notes`, "refuse" with Incomplete, or "wait" for what may come, `deadline` long, then
        refuse; `waiting` is shown each plan that was not yet complete.
        """
        of = slice_of(start, end)
        check_kinds(tuple(kinds))
        wanted = tuple(check_symbol(symbol) for symbol in symbols)
        latest = time.monotonic() + parse_duration(deadline) / NS
        while True:
            plan = resolve(self.settings, self.vendor, of, symbols=wanted)
            if incomplete == "flag" or (plan.complete and (incomplete == "refuse" or _is_past(of))):
                return self.reading(plan, symbols=wanted, kinds=kinds, everything=everything)
            if incomplete == "refuse" or plan.expired or time.monotonic() >= latest:
                why = plan.notes or (f"its end is ahead of now, {format_time(time.time_ns())}",)
                waited = f" after waiting {deadline}" if incomplete == "wait" and not plan.expired else ""
                raise Incomplete(f"{self.vendor} {of} is not whole{waited}: {'; '.join(why)}")
            waiting(plan)
            time.sleep(max(0.0, min(POLL_SECONDS, latest - time.monotonic())))

    def reading(
        self,
        plan: Plan,
        *,
        symbols: Sequence[str] = (),
        kinds: Sequence[str] = (),
        everything: bool = False,
    ) -> Reading:
        """What a plan names, made now or stored long ago: the same messages each time.

        Iterating raises Incomplete where Kafka has deleted some of them since, Mismatch where a topic was
        made again. Raises BadInput for a plan of another vendor, or one that leaves out a symbol's partition.
        """
        if plan.vendor != self.vendor:
            raise BadInput(f"this plan is of {plan.vendor}, not of {self.vendor}: ask for {plan.vendor}")
        wanted = frozenset(check_symbol(symbol) for symbol in symbols)
        for symbol in wanted:
            if not plan.holds(symbol):
                raise BadInput(f"this plan was not made for the symbol {symbol}: plan the slice anew")
        return Reading(self.settings, plan, wanted, check_kinds(tuple(kinds)) or KINDS, everything)

    def at(self, t: Time, **more: Any) -> Reading:
        """The log positioned at a time: iterates over what was received from `t` on, until now."""
        now = time.time_ns()
        return self.between(instant(t, now), now, **more)

    def last(
        self, t: Time, *, symbols: Sequence[str] = (), kinds: Sequence[str] = (), within: str = "5m"
    ) -> list[Message]:
        """What stood at a time: the last message of each symbol and kind at or before `t`, by ts_recv.

        What was last said longer ago than `within` is not found.
        """
        end = instant(t) + 1
        start = max(0, end - parse_duration(within))
        found = {
            (message.symbol, type(message)): message
            for message in self.between(start, end, symbols=symbols, kinds=kinds)
        }
        return sorted(found.values(), key=lambda message: message.ts_recv)

    def since(self, ago: str, **more: Any) -> Reading:
        """The messages from so long ago (`5m`), or from an RFC 3339 time, until now."""
        now = time.time_ns()
        whole = parse_slice(ago, "now", now)
        return self.between(whole.start, whole.end, **more)

    def tail(
        self, from_: Time | None = None, *, symbols: Sequence[str] = (), kinds: Sequence[str] = ()
    ) -> Tail:
        """Live messages from that time on (now by default), without end, as they come; see `Tail`.

        Iterate over it; its `behind` says how far it is behind the log's end.
        """
        now = time.time_ns()
        start = now if from_ is None else instant(from_, now)
        wanted = tuple(check_symbol(symbol) for symbol in symbols)
        return Tail(self.settings, self.vendor, start, wanted, check_kinds(tuple(kinds)) or KINDS)

    def plan(self, start: Time, end: Time, *, symbols: Sequence[str] = ()) -> Plan:
        """The offset ranges that the slice resolves to now."""
        wanted = tuple(check_symbol(symbol) for symbol in symbols)
        return resolve(self.settings, self.vendor, slice_of(start, end), symbols=wanted)

    def count(self, start: Time, end: Time, **more: Any) -> Count:
        """How many messages the slice holds, by kind, and what was left out of it."""
        return self.between(start, end, **more).count()


def _is_past(of: Slice) -> bool:
    return of.end <= time.time_ns()

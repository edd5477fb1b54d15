"""The trigger forms' fields. Optional text is nullable with default None: the form then lets it be empty."""

from __future__ import annotations

from airflow.sdk import Param

from tapedeck.message import KINDS
from tapedeck.settings import load

_WHEN = "When (UTC; end excluded)"
_WHAT = "What"


def vendors() -> list[str]:
    """The vendors of the settings, in order."""
    return sorted(load().vendors)


def one_vendor() -> dict[str, Param]:
    """A vendor that must be chosen."""
    return {
        "vendor": Param(
            type="string", enum=vendors(), title="Vendor", description="Whose tape", section=_WHAT
        )
    }


def some_vendors() -> dict[str, Param]:
    """Vendors to choose from; none means all."""
    names = vendors()
    return {
        "vendors": Param(
            [], type=["null", "array"], items={"type": "string"}, examples=names, title="Vendors",
            description=f"Only these; all where none is chosen. For example {names[0] if names else '-'}",
            section=_WHAT,
        )
    }  # fmt: skip


def selection() -> dict[str, Param]:
    """Some of a vendor's messages; all where nothing is chosen."""
    return {
        "symbols": Param(
            [], type=["null", "array"], items={"type": "string"}, title="Symbols", section=_WHAT,
            description="Only these, one a line, as the vendor writes them, for example BTCUSDT. Empty: all",
        ),
        "kinds": Param(
            [], type=["null", "array"], items={"type": "string"}, examples=list(KINDS), title="Kinds",
            description="Only these. Empty: all", section=_WHAT,
        ),
    }  # fmt: skip


def times() -> dict[str, Param]:
    """A slice of time: whole minutes by picker, or exact to the nanosecond in writing."""
    fields = {}
    for name, which in (("start", "first instant"), ("end", "instant after the last")):
        fields[name] = Param(
            None, type=["null", "string"], format="date-time", title=f"{name.capitalize()} (UTC)",
            description=f"The {which}, to the minute, for example 2024-08-08 23:54", section=_WHEN,
        )  # fmt: skip
    for name in ("start", "end"):
        fields[f"{name}_exact"] = Param(
            None, type=["null", "string"], title=f"Exact {name} (UTC)", section=_WHEN,
            description=f"Wins over {name.capitalize()}: 2024-08-08T23:54:16.123456789Z, to the nanosecond",
        )  # fmt: skip
    return fields


def kafka_target() -> dict[str, Param]:
    """Where a replay goes."""
    return {
        "to": Param(
            "", type="string", title="To", section="Where to",
            description="kafka:TOPIC, for example kafka:replay.btc. A topic that does not exist is made, "
            "with as many partitions as the vendor's and no retention",
        )
    }  # fmt: skip

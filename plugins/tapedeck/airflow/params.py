"""The trigger forms' fields.

What must be said has no section: the form shows it open, and the sections folded below it. Optional text
is nullable with default None: the form then lets it be empty.
"""

from __future__ import annotations

from airflow.sdk import Param

from tapedeck.message import KINDS
from tapedeck.settings import load

Form = dict[str, Param]

_SOME = "Only some of it"
_EXACT = "Times in writing (UTC, to the nanosecond)"


def replay_form() -> Form:
    """The fields of the DAG `replay`, for Airflow's form and for ours."""
    return {**one_vendor(), **times(), **replay_target(), **selection(), **exact_times()}


def backfill_form() -> Form:
    """The fields of the DAG `nightly_backfill`, for Airflow's form and for ours."""
    return {**some_vendors(), **times(), **dry_run(), **exact_times()}


def void_form() -> Form:
    """The fields of the DAG `void`, for Airflow's form and for ours."""
    symbols = {"symbols": selection()["symbols"]}
    return {**one_vendor(), **voided(), **times(), **dry_run(), **symbols, **exact_times()}


def reconcile_form() -> Form:
    """The fields of the DAG `reconcile`, for Airflow's form and for ours."""
    return {**some_vendors(), **times(), **repair(), **quick(), **exact_times(), **drill()}


def vendors() -> list[str]:
    """The vendors of the settings, in order."""
    return sorted(load().vendors)


def one_vendor() -> dict[str, Param]:
    """A vendor that must be chosen."""
    return {"vendor": Param(type="string", enum=vendors(), title="Vendor", description="Whose messages")}


def some_vendors() -> dict[str, Param]:
    """Vendors to choose from; none means all."""
    names = vendors()
    return {
        "vendors": Param(
            [], type=["null", "array"], items={"type": "string"}, examples=names, title="Vendors",
            description=f"Only these; all where none is chosen. For example {names[0] if names else '-'}",
        )
    }  # fmt: skip


def repair() -> dict[str, Param]:
    """Whether what differs is mended."""
    return {
        "repair": Param(
            True, type="boolean", title="Repair",
            description="Rebuild from the log what differs, unless that would remove or alter more than "
            "0.1 % of a partition's messages; then look again",
        )
    }  # fmt: skip


def drill() -> dict[str, Param]:
    """Whether the checks are scored on the slice."""
    where = "Score the checks"
    return {
        "drill": Param(
            False, type="boolean", title="Drill", section=where,
            description="In place of reconciling: put faults into the slice, in memory, and tell which of "
            "them the checks find. Nothing is written. The slice should be whole, and of five million "
            "messages at most",
        ),
        "seeds": Param(
            3, type="integer", minimum=1, maximum=100, title="Seeds", section=where,
            description="So many times each fault, each time elsewhere",
        ),
    }  # fmt: skip


def quick() -> dict[str, Param]:
    """Whether payloads are read where ledger and tallies prove all."""
    return {
        "quick": Param(
            True, type="boolean", title="From the ledger",
            description="Read no message of a partition that ledger and tallies prove, counts and digests; "
            "without it every stored row is decoded, so that one altered on the disk is found",
        )
    }  # fmt: skip


def selection() -> dict[str, Param]:
    """Some of a vendor's messages; all where nothing is chosen."""
    return {
        "symbols": Param(
            [], type=["null", "array"], items={"type": "string"}, title="Symbols", section=_SOME,
            description="Only these, one a line, as the vendor writes them, for example BTCUSDT. Empty: all",
        ),
        "kinds": Param(
            [], type=["null", "array"], items={"type": "string"}, examples=list(KINDS), title="Kinds",
            description="Only these. Empty: all", section=_SOME,
        ),
    }  # fmt: skip


def voided() -> dict[str, Param]:
    """Whose messages are no data, and why."""
    return {
        "src": Param(
            None, type=["null", "integer"], minimum=1, title="Source",
            description="Whose messages: a collector's number, or a file's as its receipts name it",
        ),
        "reason": Param(
            None, type=["null", "string"], title="Reason",
            description="Why they are no data, in a sentence: prices in cents. It stays in the log",
        ),
    }  # fmt: skip


def times() -> dict[str, Param]:
    """A slice of time by picker, to the minute. The picker is in the browser's zone, and sends UTC."""
    return {
        name: Param(
            None, type=["null", "string"], format="date-time", title=f"{name.capitalize()} (sent as UTC)",
            description=f"{which}, to the minute, in the zone that the picker names. Below: in UTC, finer",
        )
        for name, which in (("start", "The first instant"), ("end", "The instant after the last"))
    }  # fmt: skip


def exact_times() -> dict[str, Param]:
    """A slice of time in writing, which wins over the pickers."""
    return {
        f"{name}_exact": Param(
            None, type=["null", "string"], title=f"Exact {name} (UTC)", section=_EXACT,
            description=f"In place of {name.capitalize()}, for example 2024-08-08T23:54:16.123456789Z",
        )
        for name in ("start", "end")
    }  # fmt: skip


def anew() -> dict[str, Param]:
    """Whether what was read before is read again."""
    return {
        "anew": Param(
            False, type="boolean", title="Read all again",
            description="Also partitions that have not changed since they were read, by the log's offsets "
            "and the digests of their windows",
        )
    }  # fmt: skip


def dry_run() -> dict[str, Param]:
    """Whether only the plan is wanted."""
    return {
        "dry_run": Param(
            False, type="boolean", title="Only the plan",
            description="Show in the task plan what would be done, and end: nothing is written",
        )
    }  # fmt: skip


def replay_target() -> dict[str, Param]:
    """Where a replay goes, and how fast."""
    return {
        "to": Param(
            "", type="string", title="To",
            description="kafka:TOPIC, for example kafka:replay.btc (a topic that does not exist is made and "
            "keeps all); zmq:ADDRESS, for example zmq:tcp://0.0.0.0:5599; arctic:PREFIX, for example "
            "arctic:check; parquet:DIR, for example parquet:/data/replay. Bus and folder are the worker's",
        ),
        "speed": Param(
            "max", type=["null", "string"], examples=["max", "1", "10"], title="Speed",
            description="max: as fast as possible; 1: real time, 10: ten times that, all in one task",
        ),
        "beside": Param(
            [], type=["null", "array"], items={"type": "string"}, examples=vendors(), title="Beside",
            description="These vendors too, by one clock, each to a target of its own: write {vendor} in To, "
            "for example kafka:replay.{vendor}",
        ),
        "skip_closed": Param(
            False, type="boolean", title="Skip closed hours",
            description="At a speed: hours in which no symbol's venue is open take no time",
        ),
        "rate": Param(
            None, type=["null", "integer"], title="At most", minimum=1,
            description="So many records of the log a second, each task; empty: as many as it can. For "
            "example 20000, where live writers must not be slowed",
        ),
        **dry_run(),
        "partial": Param(
            False, type="boolean", title="What is left",
            description="Also where Kafka has deleted some of the slice, which is refused else; the receipt "
            "then says so",
        ),
        "restamp": Param(
            False, type="boolean", title="Stamp anew",
            description="Into a new topic: CreateTime is the time of the replay, not that of receipt",
        ),
    }  # fmt: skip

"""`tapedeck quarantine`: what is no message, in the topic and in MongoDB, and trying it again."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import click
import msgspec

from tapedeck import settings
from tapedeck.cli.progress import bar
from tapedeck.errors import Unavailable
from tapedeck.jobs.redrive import Redriven, redrive
from tapedeck.log import meta
from tapedeck.log import quarantine as quarantined
from tapedeck.log.decode import Undecodable
from tapedeck.log.quarantine import Entry
from tapedeck.settings import Settings
from tapedeck.slices import format_time
from tapedeck.store import undecodable

SAMPLE = 160


@click.command()
@click.argument("vendor")
@click.option("--redrive", "again", is_flag=True, help="Try all of it again with today's code.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object for machines.")
def quarantine(vendor: str, again: bool, as_json: bool) -> None:
    """List what is no message, by reason, with a sample: what the publisher refused (kept in Kafka), and
    records of the log that can't be decoded (entered in MongoDB).

    --redrive publishes what today's code can make messages of, with its original time and name, into the
    backfill topic, and rebuilds the windows of what can be decoded now. Safe to run again.

    \b
    Examples:
      tapedeck quarantine binance_usdm
      tapedeck quarantine binance_usdm --redrive
    """
    deck = settings.load()
    refused = quarantined.standing(deck, vendor)
    bad, note = _undecodable(deck, vendor)
    done: Redriven | None = None
    if again:
        with bar("trying again", len(refused) + len(bad)) as advance:
            done = redrive(deck, vendor, advance)
        refused = quarantined.standing(deck, vendor)
        bad, note = _undecodable(deck, vendor)
    if as_json:
        whole: dict[str, Any] = {"quarantined": len(refused), "reasons": _reasons(refused)}
        whole |= {"undecodable": None if note else len(bad), "undecodable_reasons": _bad_reasons(bad)}
        if done is not None:
            whole["redriven"] = msgspec.to_builtins(done)
        click.echo(json.dumps(whole))
        return
    if done is not None:
        click.echo(_line(done))
    if note:
        click.echo(f"note: {note}", err=True)
    if not refused and not bad:
        click.echo(f"nothing of {vendor} is in quarantine")
    if refused:
        click.echo(f"{len(refused):,} refused by a publisher or loader")
        _list(refused)
    if bad:
        click.echo(f"{len(bad):,} records of the log that can't be decoded")
        _list_bad(deck, vendor, bad)


def _undecodable(deck: Settings, vendor: str) -> tuple[list[Undecodable], str]:
    """The records, and a sentence where MongoDB can't be asked."""
    try:
        return undecodable.standing(deck, vendor), ""
    except Unavailable as e:
        return [], f"what the log holds and nobody can decode is not listed: {e}"


def _reasons(refused: list[Entry]) -> list[dict[str, Any]]:
    samples = {entry.reason: entry for entry in reversed(refused)}
    return [
        {
            "reason": reason, "count": count,
            "src": samples[reason].src, "recv_ns": samples[reason].recv_ns,
            "sample": samples[reason].payload[:SAMPLE].decode("utf-8", "replace"),
        }
        for reason, count in Counter(entry.reason for entry in refused).most_common()
    ]  # fmt: skip


def _bad_reasons(bad: list[Undecodable]) -> list[dict[str, Any]]:
    samples = {u.reason: u for u in reversed(bad)}
    return [
        {
            "reason": reason, "count": count, "topic_id": samples[reason].topic_id,
            "partition": samples[reason].partition, "offset": samples[reason].offset,
            "timestamp_ms": samples[reason].timestamp_ms,
        }
        for reason, count in Counter(u.reason for u in bad).most_common()
    ]  # fmt: skip


def _list(refused: list[Entry]) -> None:
    samples = {entry.reason: entry for entry in reversed(refused)}
    for reason, count in Counter(entry.reason for entry in refused).most_common():
        entry = samples[reason]
        click.echo(f"{count:>10,}  {reason}")
        payload = entry.payload[:SAMPLE].decode("utf-8", "replace")
        text = "".join(c if c.isprintable() else "·" for c in payload)
        more = " …" if max(entry.size, len(entry.payload)) > SAMPLE else ""
        click.echo(f"{'':>12}first by {entry.src} at {format_time(entry.recv_ns)}: {text}{more}")


def _list_bad(deck: Settings, vendor: str, bad: list[Undecodable]) -> None:
    names = {pin.id: pin.name for pin in meta.read(deck).topics(vendor).log}
    samples = {u.reason: u for u in reversed(bad)}
    for reason, count in Counter(u.reason for u in bad).most_common():
        u = samples[reason]
        text = "".join(c if c.isprintable() else "·" for c in reason)
        click.echo(f"{count:>10,}  {text}")
        where = f"{names.get(u.topic_id, 'a topic that is gone')}[{u.partition}] at offset {u.offset}"
        click.echo(f"{'':>12}first in {where}, {format_time(u.timestamp_ms * 1_000_000)}")


def _line(done: Redriven) -> str:
    return (
        f"{done.redeemed:,} redeemed ({done.published:,} messages published that were not in the log), "
        f"{done.decoded:,} records of the log decoded ({done.windows:,} windows written); "
        f"{done.refused + done.undecodable:,} stay in quarantine"
    )

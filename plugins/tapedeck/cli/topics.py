"""`tapedeck topics`: what a vendor's log lies in, letting it grow, and giving up what is lost."""

from __future__ import annotations

import json

import click
import msgspec

from tapedeck import endpoints, settings
from tapedeck.cli.show import aligned
from tapedeck.log import giving_up, growth, meta
from tapedeck.log.complete import CompleteThrough, complete_through
from tapedeck.log.inventory import TopicState, inventory
from tapedeck.slices import format_time


class _Topics(click.Group):
    """What names no verb of this group is a vendor, whose topics are listed."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        is_vendor = bool(args) and not args[0].startswith("-") and args[0] not in self.commands
        if not args or is_vendor or args[0] == "--json":
            args = ["list", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_Topics)
def topics() -> None:
    """List each vendor's topics, and up to when its log is complete; or change them.

    \b
    Examples:
      tapedeck topics
      tapedeck topics binance_usdm --json
      tapedeck topics grow binance_usdm 32
    """


@topics.command("list")
@click.argument("vendor", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON object for machines.")
def list_(vendor: str | None, as_json: bool) -> None:
    """List each vendor's topics, and up to when its log is complete.

    "records" counts heartbeats too. "~" before bytes: the mean of each partition's first and last 200
    records times their number, before compression (what lies on the disk is less). "left": until Kafka
    deletes the first record. Complete-through is the least time that an open collector has shown in a
    partition; the collector that holds it back is named.

    \b
    Examples:
      tapedeck topics
      tapedeck topics binance_usdm --json
    """
    deck = endpoints.resolve(settings.load())
    if vendor:
        deck.vendor(vendor)
    recorded = {pin.vendor for pin in meta.read(deck).pins.values()}
    wanted = [vendor] if vendor else sorted(recorded & set(deck.vendors))
    states = {name: inventory(deck, name) for name in wanted}
    through = {name: complete_through(deck, name) for name in wanted}
    if as_json:
        click.echo(json.dumps({
            "vendors": msgspec.to_builtins(states), "complete_through": msgspec.to_builtins(through)
        }))  # fmt: skip
        return
    if not states:
        click.echo("no vendor is recorded yet")
        return
    head = ("topic", "role", "parts", "records", "bytes", "first (UTC)", "last", "left", "src")
    rows = [_topic(state) for of_vendor in states.values() for state in of_vendor]
    for line in aligned(head, rows, right={2, 3, 4, 7}):
        click.echo(line)
    for name, whole in through.items():
        click.echo(_complete(name, whole))


@topics.command()
@click.argument("vendor")
@click.argument("partitions", type=int)
@click.option("--plan", "only_plan", is_flag=True, help="Only say what would be made.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object for machines.")
def grow(vendor: str, partitions: int, only_plan: bool, as_json: bool) -> None:
    """Give a vendor one more live topic, of so many PARTITIONS: a multiple of what it has.

    Nothing has to stop. Collectors go on in the new topic from their next heartbeat on; writers, readers and
    jobs read both as one log, and the old topic runs out by its retention. A log never shrinks again.

    \b
    Example:
      tapedeck topics grow binance_usdm 32 --plan
      tapedeck topics grow binance_usdm 32
    """
    deck = endpoints.resolve(settings.load())
    plan = growth.foreseen(deck, vendor, partitions)
    live = [plan.now.name] if only_plan else [p.name for p in growth.grow(deck, vendor, partitions).live]
    if as_json:
        click.echo(json.dumps({
            "vendor": vendor, "topic": plan.name, "partitions": partitions, "made": not only_plan,
            "live": live,
        }))  # fmt: skip
        return
    done = "would get" if only_plan else "has"
    click.echo(
        f"{vendor} {done} the topic {plan.name} with {partitions} partitions beside {plan.now.name} with "
        f"{plan.now.partitions}"
    )
    if not only_plan:
        click.echo(f"its collectors go on there from their next heartbeat on: see `tapedeck topics {vendor}`")


@topics.command()
@click.argument("vendor")
@click.argument("topic")
@click.option("--plan", "only_plan", is_flag=True, help="Only say what would be given up.")
def forget(vendor: str, topic: str, only_plan: bool) -> None:
    """Give up a TOPIC that is lost, with what it held: deleted, made again, or resized by somebody.

    Until then whoever finds it so stops, and says so. What was built of it stays in Arctic. Collectors make
    a topic in its place, if the vendor has no other of that role.

    \b
    Example:
      tapedeck topics forget binance_usdm md.binance_usdm --plan
      tapedeck topics forget binance_usdm md.binance_usdm
    """
    deck = endpoints.resolve(settings.load())
    pins = (giving_up.foreseen if only_plan else giving_up.give_up)(deck, vendor, topic)
    which = f"{topic} (id {', '.join(pin.id for pin in pins)})" if pins else topic
    state = "would be given up" if pins and only_plan else "is given up" if pins else "was given up before"
    click.echo(f"{which} {state}: nothing is read of it any more")


def _topic(state: TopicState) -> tuple[str, ...]:
    first, last = (format_time(ms * 1_000_000) if ms else "" for ms in (state.first_ms, state.last_ms))
    left = "for ever" if state.retention_ms is None else "" if state.left_ms is None else _span(state.left_ms)
    return (
        state.topic, state.role, str(state.partitions), f"{state.records:,}",
        f"~{_bytes(state.bytes)}" if state.records else "0", first, last, left,
        ", ".join(map(str, state.sources)),
    )  # fmt: skip


def _complete(vendor: str, whole: CompleteThrough) -> str:
    if whole.time is None:
        return f"{vendor}: no collector is open, nobody is waited for"
    behind = sorted({one.by for one in whole.partitions if one.by is not None} - {whole.by})
    held = [one for one in whole.partitions if one.time == whole.time]
    where = f" in {held[0].topic}[{held[0].partition}]" if len(held) == 1 < len(whole.partitions) else ""
    others = f"; in others by {', '.join(map(str, behind))}" if behind else ""
    return (
        f"{vendor}: complete through {format_time(whole.time)}, held back by collector {whole.by}{where}"
        f"{others}"
    )


def _bytes(n: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if n < 1000:
            return f"{n:.0f} {unit}" if unit == "B" else f"{n:.1f} {unit}"
        n /= 1000
    return f"{n:.1f} TB"


def _span(ms: int) -> str:
    """`6 d 3 h`, `3 h 12 min`, `12 min`."""
    minutes = max(0, ms) // 60_000
    days, hours = minutes // 1440, minutes // 60 % 24
    return f"{days} d {hours} h" if days else f"{hours} h {minutes % 60} min" if hours else f"{minutes} min"

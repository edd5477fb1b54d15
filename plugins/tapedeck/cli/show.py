"""Messages as a person or a machine reads them on stdout."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable

import click
import msgspec

from tapedeck.message import KIND_OF, Book, Fields, Message, Quote, Status, Trade, encode
from tapedeck.slices import format_time

FORMATS = ("table", "jsonl", "msgpack")
_HEAD = f"{'ts_recv (UTC)':<30}  {'kind':<6}  {'symbol':<12}  {'src':>3}  {'seq':>14}  "


def write_messages(messages: Iterable[Message], form: str) -> int:
    """Write messages to stdout as `table`, `jsonl` or `msgpack` and give their number.

    msgpack: each message is its length as 4 bytes, big-endian, then the MsgPack array of DESIGN §3.
    """
    count = 0
    if form == "table":
        click.echo(_HEAD + "what")
    for message in messages:
        count += 1
        if form == "table":
            click.echo(_line(message))
        elif form == "jsonl":
            click.echo(as_json(message))
        else:
            value = encode(message)
            sys.stdout.buffer.write(len(value).to_bytes(4, "big") + value)
    sys.stdout.flush()
    return count


def as_json(message: Message) -> str:
    """One JSON object: `kind` and the fields of DESIGN §3 by name, times in UTC ns."""
    fields = {name: getattr(message, name) for name in message.__struct_fields__}
    return json.dumps({"kind": KIND_OF[type(message)], **msgspec.to_builtins(fields)}, allow_nan=False)


def _line(m: Message) -> str:
    kind = KIND_OF[type(m)]
    head = f"{format_time(m.ts_recv):<30}  {kind:<6}  {m.symbol:<12}  {m.src:>3}  {m.seq:>14}  "
    return head + _what(m)


def _what(m: Message) -> str:
    if isinstance(m, Trade):
        return f"{ {1: 'buy', -1: 'sell'}.get(m.side, '?'):<4} {m.size:g} @ {m.price:.10g}"
    if isinstance(m, Quote):
        return f"{m.bid_size:g} @ {m.bid:.10g} | {m.ask:.10g} @ {m.ask_size:g}"
    if isinstance(m, Book):
        sort = "image" if m.snapshot else "change"
        return f"{sort}, {len(m.bids)} bids, {len(m.asks)} asks"
    if isinstance(m, Status):
        return f"code {m.code} {m.text}"
    if isinstance(m, Fields):
        return " ".join(f"{name}={value:g}" for name, value in m.fields.items())
    return ""

"""Messages as a person or a machine reads them, on stdout or in a file."""

from __future__ import annotations

import json
import os
import select
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Protocol

import msgspec

from tapedeck.errors import BadInput, Unavailable
from tapedeck.log.marks import Mark
from tapedeck.message import KIND_OF, Book, Fields, Message, Quote, Status, Trade, encode
from tapedeck.slices import NS, format_time

FORMATS = ("table", "jsonl", "msgpack", "parquet")
FOLLOWING = ("table", "jsonl", "msgpack")
"""What can be written without knowing the end."""
_HEAD = ("kind", "symbol", "src", "seq", "what")
_WIDTHS = (6, 10, 3, 10)


class Writer(Protocol):
    """Writes messages, some at a time, each with its mark."""

    def write(self, messages: Sequence[tuple[Message, Mark]]) -> None:
        """Write these."""


class Table:
    """Aligned columns, whose widths only grow. No header before the first message."""

    def __init__(self, out: IO[bytes], local: bool, everything: bool) -> None:
        self._out, self._local, self._everything = out, local, everything
        self._widths: list[int] = []

    def write(self, messages: Sequence[tuple[Message, Mark]]) -> None:
        """Write these."""
        rows = [self._cells(message, mark) for message, mark in messages]
        lines = []
        if rows and not self._widths:
            head = [f"ts_recv ({'local' if self._local else 'UTC'})", *_HEAD]
            if self._everything:
                head.insert(1, "mark")
            floors = [30 + 5 * self._local, *([6] if self._everything else []), *_WIDTHS]
            self._widths = [max(w, len(h)) for w, h in zip(floors, head[:-1], strict=True)]
            rows.insert(0, head)
        for row in rows:
            self._widths = [max(w, len(cell)) for w, cell in zip(self._widths, row[:-1], strict=True)]
        right = {len(self._widths) - 1, len(self._widths) - 2}
        for row in rows:
            cells = [
                cell.rjust(width) if i in right else cell.ljust(width)
                for i, (cell, width) in enumerate(zip(row[:-1], self._widths, strict=True))
            ]
            lines.append("  ".join([*cells, row[-1]]).rstrip() + "\n")
        self._out.write("".join(lines).encode())

    def _cells(self, m: Message, mark: Mark) -> list[str]:
        stamp = local_time(m.ts_recv) if self._local else format_time(m.ts_recv)
        cells = [stamp, KIND_OF[type(m)], m.symbol, str(m.src), str(m.seq), _what(m)]
        if self._everything:
            cells.insert(1, mark.name.lower())
        return cells


class JsonLines:
    """One JSON object a line: `kind` and the fields of DESIGN §3 by name, times in UTC ns."""

    def __init__(self, out: IO[bytes], everything: bool) -> None:
        self._out, self._everything = out, everything

    def write(self, messages: Sequence[tuple[Message, Mark]]) -> None:
        """Write these."""
        lines = []
        for message, mark in messages:
            fields = {name: getattr(message, name) for name in message.__struct_fields__}
            table = {"kind": KIND_OF[type(message)], **msgspec.to_builtins(fields)}
            if self._everything:
                table["mark"] = mark.name.lower()
            lines.append(json.dumps(table, allow_nan=False) + "\n")
        self._out.write("".join(lines).encode())


class MsgPack:
    """Each message is its length as 4 bytes, big-endian, then the MsgPack array of DESIGN §3."""

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out

    def write(self, messages: Sequence[tuple[Message, Mark]]) -> None:
        """Write these."""
        values = [encode(message) for message, _ in messages]
        self._out.write(b"".join(len(value).to_bytes(4, "big") + value for value in values))


def writer(form: str, out: IO[bytes], local: bool = False, everything: bool = False) -> Writer:
    """What writes that format, parquet excepted (`cli.parquet`)."""
    if form == "table":
        return Table(out, local, everything)
    return JsonLines(out, everything) if form == "jsonl" else MsgPack(out)


def check_out(form: str, out: Path | None) -> None:
    """Raises BadInput for bytes that would go to a terminal."""
    if form in ("msgpack", "parquet") and out is None and sys.stdout.isatty():
        raise BadInput(f"{form} is no text for a terminal: add `--out FILE`, or send it to a file or a pipe")


@contextmanager
def output(out: Path | None) -> Iterator[IO[bytes]]:
    """Stdout, or a file that bears its name only once it is whole. Raises BadInput where it can't be made."""
    if out is None:
        yield sys.stdout.buffer
        sys.stdout.flush()
        return
    partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
    try:
        file = partial.open("wb")
    except OSError as e:
        raise BadInput(f"{out} can't be written ({e.strerror}): name another file with --out") from e
    try:
        with file:
            yield file
        os.replace(partial, out)
    except OSError as e:
        raise Unavailable(f"{out} can't be written ({e.strerror}): free the disk, then run this again") from e
    finally:
        partial.unlink(missing_ok=True)


def reader_gone() -> bool:
    """Whether stdout is a pipe that nobody reads any more; a write would tell, where there is one."""
    watched = select.poll()
    watched.register(sys.stdout.fileno(), 0)
    return any(event & select.POLLERR for _, event in watched.poll(0))


def aligned(head: Sequence[str], rows: Iterable[Sequence[str]], right: Collection[int] = ()) -> Iterator[str]:
    """Lines of a table whose cells stand below one another; columns `right` end below one another."""
    whole = [head, *rows]
    widths = [max(len(row[i]) for row in whole) for i in range(len(head))]
    for row in whole:
        cells = [row[i].rjust(w) if i in right else row[i].ljust(w) for i, w in enumerate(widths)]
        yield "  ".join(cells).rstrip()


def local_time(ns: int) -> str:
    """RFC 3339 with this machine's zone and nine fractional digits."""
    second, fraction = divmod(ns, NS)
    there = datetime.fromtimestamp(second, UTC).astimezone()
    zone = there.strftime("%z")
    return f"{there:%Y-%m-%dT%H:%M:%S}.{fraction:09d}{zone[:3]}:{zone[3:]}"


def _what(m: Message) -> str:
    if isinstance(m, Trade):
        return f"{ {1: 'buy', -1: 'sell'}.get(m.side, '?'):<4} {m.size:g} @ {m.price:.10g}"
    if isinstance(m, Quote):
        return f"{m.bid_size:g} @ {m.bid:.10g} | {m.ask:.10g} @ {m.ask_size:g}"
    if isinstance(m, Book):
        sort = "image" if m.snapshot else "change"
        return f"{sort}, {len(m.bids)} bids, {len(m.asks)} asks"
    if isinstance(m, Status):
        return f"code {m.code} " + "".join(c if c.isprintable() else "·" for c in m.text)
    if isinstance(m, Fields):
        return " ".join(f"{name}={value:g}" for name, value in m.fields.items())
    return ""

"""Messages on stdout: aligned, exact, and readable by strangers."""

from __future__ import annotations

import io
import json
from contextlib import suppress
from pathlib import Path

import msgpack
import numpy as np
import pyarrow.parquet as pq
import pytest

from tapedeck import message as m
from tapedeck.cli.parquet import write_parquet
from tapedeck.cli.show import local_time, output, writer
from tapedeck.columns import Columns, from_messages
from tapedeck.log.marks import Mark
from tapedeck.slices import parse_time

T = 1_723_161_256_000_000_001
MESSAGES: list[m.Message] = [
    m.Trade("BTCUSDT", T - 5, T, 7, 6, 1, 61_000.5, 0.25, -1),
    m.Book("ETH-PERPETUAL-LONG", 0, T + 1, 8, 7, 1007, 1, [(1.0, 2.0), (0.5, 3.0)], [(1.5, 4.0)]),
    m.Book("BTCUSDT", 0, T + 2, 9, 8, 1, 0, [], [(2.5, 0.0)]),
    m.Fields("BTCUSDT", 0, T + 3, 0, 0, 1, {"mark": 1.5, "rate": -0.1}),
    m.Status("*", 0, T + 4, 0, 0, 1, 4, "lost"),
    m.Quote("BTCUSDT", 1, T + 5, 0, 0, 1, 1.0, 2.0, 3.0, 4.0),
]
MARKED = [(message, Mark.KEPT) for message in MESSAGES]


def written(form: str, local: bool = False, everything: bool = False) -> bytes:
    out = io.BytesIO()
    writer(form, out, local, everything).write(MARKED)
    return out.getvalue()


def batch() -> dict[str, Columns]:
    found: dict[str, Columns] = {}
    for kind in ("trade", "quote", "book", "status", "fields"):
        of_kind = [one for one in MESSAGES if m.KIND_OF[type(one)] == kind]
        n = len(of_kind)
        found[kind] = from_messages(kind, of_kind).with_arrays(
            topic=np.zeros(n, np.int32), offset=np.arange(n), mark=np.zeros(n, np.int8)
        )
    return found


def test_a_table_is_aligned_whatever_the_symbols_and_has_no_header_before_its_first_message() -> None:
    out = io.BytesIO()
    table = writer("table", out)
    table.write([])
    assert out.getvalue() == b""
    table.write(MARKED)
    head, *lines = out.getvalue().decode().splitlines()
    place = head.index("what")
    assert {line[place - 2 : place] for line in lines} == {"  "}
    assert lines[0][place:] == "sell 0.25 @ 61000.5"
    assert lines[1][place:] == "image, 2 bids, 1 asks"
    before = len(out.getvalue())
    table.write(MARKED[:1])
    assert out.getvalue()[before:].decode().splitlines() == lines[:1]  # no second header, the same widths


def test_local_times_are_exact_and_bear_their_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    try:
        text = local_time(T)
        assert text.endswith(".000000001+05:30")
        assert parse_time(text) == T
        assert b"(local)" in written("table", local=True)
    finally:
        monkeypatch.undo()
        time.tzset()


def test_msgpack_is_length_and_array_for_any_reader() -> None:
    data, found = written("msgpack"), []
    while data:
        size = int.from_bytes(data[:4], "big")
        found.append(msgpack.unpackb(data[4 : 4 + size]))
        data = data[4 + size :]
    assert [row[3] for row in found] == [T + i for i in range(6)]
    assert found[0] == ["t", "BTCUSDT", T - 5, T, 7, 6, 1, 61_000.5, 0.25, -1]


def test_jsonl_holds_every_field_and_the_mark_on_request() -> None:
    rows = [json.loads(line) for line in written("jsonl", everything=True).splitlines()]
    assert rows[0]["ts_recv"] == T
    assert rows[1]["bids"] == [[1.0, 2.0], [0.5, 3.0]]
    assert {row["mark"] for row in rows} == {"kept"}
    assert "mark" not in json.loads(written("jsonl").splitlines()[0])


def test_parquet_holds_every_field_in_order(tmp_path: Path) -> None:
    path = tmp_path / "all.parquet"
    with output(path) as out:
        assert write_parquet([batch(), {}, batch()], out, everything=True) == 12
        assert not path.exists()
    rows = pq.read_table(path).to_pylist()[:6]
    assert pq.read_table(path)["ts_recv"].cast("int64").to_pylist()[:6] == [T + i for i in range(6)]
    trade, image, change, fields, status, quote = rows
    assert (trade["kind"], trade["price"], trade["side"], trade["bid"]) == ("trade", 61_000.5, -1, None)
    assert image["bids"] == [{"price": 1.0, "size": 2.0}, {"price": 0.5, "size": 3.0}]
    assert image["asks"] == [{"price": 1.5, "size": 4.0}]
    assert (change["bids"], change["asks"]) == ([], [{"price": 2.5, "size": 0.0}])
    assert fields["fields"] == [("mark", 1.5), ("rate", -0.1)]
    assert (status["code"], status["text"], status["ts_event"]) == (4, "lost", None)
    assert (quote["bid"], quote["ask_size"], quote["mark"]) == (1.0, 4.0, "kept")


def test_a_file_that_was_not_finished_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "cut"
    with suppress(RuntimeError), output(path) as out:
        out.write(b"half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []

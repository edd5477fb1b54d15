"""A slice against a tape, history, a replay's libraries, another collector: only what differs is named."""

from __future__ import annotations

import gzip
import json
import time
from pathlib import Path

import numpy as np
import pytest
from msgspec import structs

from tapedeck.checks.against import against
from tapedeck.checks.compare import Compared
from tapedeck.cli.main import run
from tapedeck.errors import BadInput
from tapedeck.jobs import replay
from tapedeck.jobs.origin import Origin
from tapedeck.message import Trade
from tapedeck.settings import FilesHistory, Settings
from tapedeck.simulate import market
from tapedeck.slices import NS, Slice, format_time
from tapedeck.store import documents, library
from tapedeck.store.encoder import encode
from tapedeck.store.rebuild import rebuild
from tapedeck.store.window import tally_of
from tapedeck.tape import load as loading
from tapedeck.tape.segment import Segment
from tests.published import HOUR, T0, VENDOR, Published, environment, trade

OF = Slice(T0, T0 + 600 * NS)


def told(found: Compared) -> dict[str, tuple[int, int, int, int]]:
    return {k.kind: (k.alike, k.only_first, k.only_second, k.different) for k in found.kinds}


def altered(settings: Settings, library_of: str, symbol: str = "BTCUSDT") -> None:
    """The seventh row's price is another and the ninth is gone, with all that the document says of itself."""
    one = library.ensure(settings, VENDOR, library_of)["trade"]
    stored = documents.stored(one.collection.find_one({"_id": documents.document_id(OF.start, symbol)}) or {})
    rows = stored.rows("trade")
    price = rows["price"].copy()
    price[7] += 0.5
    rows = rows.with_arrays(price=price).take(np.arange(len(rows)) != 9)
    tally = tally_of(rows)
    kept = {"n": tally.messages, "digest": f"{tally.digest:032x}"}
    one.collection.update_one({"_id": stored.id}, {"$set": {**encode(rows), "kept": kept}})


def heard(i: int, src: int, symbol: str = "BTCUSDT") -> Trade:
    """The i-th second's trade, as a collector received it 20 or 40 ms after."""
    made = trade(T0 + i * NS + src * NS // 50, i + 1, symbol, src)
    wrong = (i, src, symbol) == (50, 2, "BTCUSDT")
    return structs.replace(made, ts_event=T0 + i * NS, price=1.0 if wrong else made.price)


@pytest.fixture
def log(settings: Settings) -> Published:
    """A trade a second of two symbols for ten minutes, from two collectors 20 ms apart."""
    made = Published(settings)
    for src in (1, 2):
        made.register(T0 - NS + src, src)
        made.publish(
            *(
                heard(i, src, symbol)
                for i in range(600)
                for symbol in ("BTCUSDT", "ETHUSDT")
                if not (src == 2 and symbol == "ETHUSDT" and i in (100, 101))
            )
        )
        made.close(T0 + HOUR + src, src)
    rebuild(settings, VENDOR, OF)
    return made


def test_collectors_agree_but_for_what_one_never_heard_or_heard_otherwise(
    settings: Settings, log: Published
) -> None:
    found = against(settings, VENDOR, OF, "collectors:1,2")
    assert told(found) == {"trade": (1197, 2, 0, 1)}
    [first, second, _] = found.kinds[0].rows
    assert (first.sort, first.symbol, first.seq, second.seq) == ("missing", "ETHUSDT", 101, 102)
    assert found.lines[1].startswith("only in source 1 ETHUSDT seq 101 at ")
    assert any("price 105.1 in source 1, 1.0 in source 2" in line for line in found.lines)


def test_arctic_and_a_replay_of_it_differ_where_either_was_altered(
    settings: Settings, log: Published
) -> None:
    replay.replay(settings, VENDOR, OF, "arctic:twin", origin=Origin(who="test", started=time.time_ns()))
    whole = against(settings, VENDOR, OF, "arctic:twin")
    assert (told(whole), whole.differ) == ({"trade": (1200, 0, 0, 0)}, 0)
    altered(settings, "twin")
    found = against(settings, VENDOR, OF, "arctic:twin")
    assert told(found) == {"trade": (1198, 1, 0, 1)}
    assert any("price 100.8 in Arctic, 101.3 in twin_binance_usdm" in line for line in found.lines)
    with pytest.raises(BadInput, match="have nothing of"):
        against(settings, VENDOR, OF, "arctic:nobody")


def test_arctic_and_the_vendors_history_are_held_together_by_sequence(
    settings: Settings, log: Published, tmp_path: Path
) -> None:
    day = format_time(OF.start)[:10]
    rows = [
        f"{(T0 + i * NS) // 1_000_000},{i + 1},{100.0 + (i + 1) / 10 + (5 if i == 300 else 0)},1.0,buy"
        for i in range(600)
        if i != 400
    ]
    (tmp_path / f"BTCUSDT-{day}.csv").write_text("time,id,px,qty,side\n" + "\n".join(rows) + "\n")
    source = FilesHistory(
        at=str(tmp_path), name="{symbol}-{day}.csv",
        columns={"ts_event": "time", "seq": "id", "price": "px", "size": "qty", "side": "side"},
    )  # fmt: skip
    table = structs.replace(settings.vendor(VENDOR), history=[source], symbols=["BTCUSDT"])
    deck = structs.replace(settings, vendors={**settings.vendors, VENDOR: table})
    found = against(deck, VENDOR, OF, "history")
    assert told(found) == {"trade": (598, 0, 1, 1)}
    assert any("price 135.1 in " in line and "130.1 in Arctic" in line for line in found.lines)
    with pytest.raises(BadInput, match="no source of history has anything"):
        against(settings, VENDOR, OF, "history")


def test_arctic_has_what_a_captured_file_says_and_what_was_altered_in_it_is_shown(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "market.gz"
    with gzip.open(path, "wb") as file:
        for stamp, payload in market.generate(VENDOR, ["BTCUSDT", "ETHUSDT"], 20.0, 60.0, 3, T0 + NS):
            file.write(b"%d %s\n" % (stamp, payload))
    for checked in loading.check(VENDOR, [path]):
        loading.load(settings, VENDOR, checked)
    rebuild(settings, VENDOR, OF)
    whole = against(settings, VENDOR, OF, f"tape:{path}")
    assert whole.differ == 0
    assert sum(alike for alike, *_ in told(whole).values()) > 500
    altered(settings, "")
    found = against(settings, VENDOR, OF, f"tape:{path}")
    assert told(found)["trade"][1:] == (1, 0, 1)
    for name, value in environment(settings).items():
        monkeypatch.setenv(name, value)
    capfd.readouterr()
    words = ["reconcile", VENDOR, format_time(OF.start), format_time(OF.end)]
    assert run([*words, "--with", f"tape:{path}"]) == 1
    out = capfd.readouterr().out
    assert f"{path.name} against Arctic: 2 differ" in out
    assert "only in market.gz BTCUSDT seq" in out
    assert run([*words, "--with", f"tape:{path}", "--json"]) == 1
    said = json.loads(capfd.readouterr().out)
    assert (said["verdict"], said["differ"]) == ("fail", 2)
    for wrong in ("moon", "collectors:1", "collectors:1,1", "tape:/no/such/folder", "arctic"):
        assert run([*words, "--with", wrong]) == 2, wrong
        out, err = capfd.readouterr()
        assert (out, len(err.splitlines())) == ("", 1), wrong
    assert run([*words, "--with", "tape", "--repair"]) == 2


def test_a_tape_s_copies_of_another_source_s_messages_are_no_difference(
    settings: Settings, log: Published, tmp_path: Path
) -> None:
    folder = tmp_path / "2"
    folder.mkdir()
    lines = [b'!tape {"vendor":"binance_usdm","src":2,"life":%d}\n' % (T0 - NS + 2)]
    for i in range(600):
        at = heard(i, 2).ts_recv
        data = {
            "e": "trade", "E": at // 1_000_000 - 5, "T": at // 1_000_000 - 5, "s": "BTCUSDT", "t": i + 1,
            "p": str(100.0 + (i + 1) / 10), "q": "1", "X": "MARKET", "m": False,
        }  # fmt: skip
        text = json.dumps({"stream": "btcusdt@trade", "data": data})
        lines.append(b"%d %s\n" % (at, text.encode()))
    (folder / Segment(T0 - NS + 2, 0).name).write_bytes(b"".join(lines))
    found = against(settings, VENDOR, OF, f"tape:{folder}")
    assert found.differ == 0
    assert any("are copies of another source's" in note for note in found.notes)

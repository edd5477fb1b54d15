"""History: what the log never had is fetched once and closes its gap; what is not sound changes nothing."""

from __future__ import annotations

import functools
import hashlib
import http.server
import json
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from msgspec import structs

import tapedeck
from tapedeck import message as m
from tapedeck import vendors
from tapedeck.checks import findings, repairs, undone
from tapedeck.checks.fill import fill
from tapedeck.checks.gap_check import gap_check
from tapedeck.cli.main import cli
from tapedeck.errors import BadInput, Unavailable
from tapedeck.jobs import backfill, limits
from tapedeck.jobs.history.binance import start_of
from tapedeck.jobs.origin import Origin
from tapedeck.jobs.receipts import Receipt
from tapedeck.log import topics
from tapedeck.log.timeline import timeline
from tapedeck.settings import BinanceHistory, FilesHistory, History, Settings, TapeHistory
from tapedeck.simulate import capture, market
from tapedeck.simulate.faults import Faults, commit
from tapedeck.slices import NS, Slice, format_time
from tapedeck.store.read import read
from tapedeck.store.rebuild import rebuild
from tests.published import T0, VENDOR, Published, environment, trade
from tests.tapes import messages

OF = Slice(T0, T0 + 60 * NS)
HEADER = "id,price,qty,quote_qty,time,is_buyer_maker"


def having(settings: Settings, *history: History) -> Settings:
    table = structs.replace(settings.vendors[VENDOR], history=list(history))
    return structs.replace(settings, vendors={**settings.vendors, VENDOR: table})


def run(settings: Settings) -> Receipt:
    return fill(settings, VENDOR, OF, origin=Origin(who="test", started=time.time_ns()))


def stands(settings: Settings) -> list[m.Message]:
    """The slice's messages, without who received them."""
    return [structs.replace(one, src=1) for one in timeline(VENDOR, settings).between(OF.start, OF.end)]


def backfilled(settings: Settings) -> int:
    return sum(map(len, messages(settings, topics.verify(settings, VENDOR).backfill)))


@pytest.fixture
def hole(settings: Settings) -> Published:
    """A minute of trades, four a second, of which the vendor dropped twenty."""
    log = Published(settings)
    log.register(T0)
    log.publish(*(tick(i) for i in range(240) if not 100 <= i < 120))
    log.close(OF.end + 60 * NS)
    rebuild(settings, VENDOR, OF)
    return log


def tick(i: int) -> m.Trade:
    return trade(T0 + i * NS // 4 + 7_000_000, 1000 + i)


def rows(first: int = 0, last: int = 240) -> list[str]:
    """A venue's file of those trades, by its own times."""
    found = []
    for t in (tick(i) for i in range(first, last)):
        found.append(f"{t.seq},{t.price},{t.size},1,{t.ts_event // 1_000_000},false")
    return found


def packed(folder: Path, lines: list[str], symbol: str = "BTCUSDT", day: str = "") -> Path:
    """A daily file with its checksum."""
    name = f"{symbol}-trades-{day or format_time(T0)[:10]}"
    place = folder / "data/futures/um/daily/trades" / symbol
    place.mkdir(parents=True, exist_ok=True)
    path = place / f"{name}.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{name}.csv", "\n".join(lines) + "\n")
    sums = f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"
    path.with_name(f"{path.name}.CHECKSUM").write_text(sums)
    return path


def test_a_slice_with_holes_ends_whole_row_for_row_as_the_capture(settings: Settings, tmp_path: Path) -> None:
    made = list(market.generate(VENDOR, ["BTCUSDT", "ETHUSDT"], 50.0, 55.0, 5, T0 + NS))
    folder = tmp_path / "other site"
    folder.mkdir()
    capture.write(folder / "market.zst", made)
    vendor = vendors.get(VENDOR)
    deeds: list[object] = []
    heard = commit(Faults(drop=0.03), 3, iter(made), vendor.stream_of, deeds.append, lambda s: None)
    log = Published(settings)
    log.register(T0)
    log.publish(*(vendor.normalise(payload, at, 1)[0] for at, payload in heard))  # type: ignore[arg-type]
    log.close(OF.end + 60 * NS)
    rebuild(settings, VENDOR, OF)
    whole = [vendor.normalise(payload, at, 1)[0] for at, payload in made]
    assert len(deeds) > 30
    assert len(stands(settings)) == len(whole) - len(deeds)
    able = having(settings, TapeHistory(at=str(folder)))
    receipt = run(able)
    assert receipt.counts["gaps"] == receipt.counts["closed"] > 10
    assert receipt.counts["open"] == 0
    assert stands(settings) == whole
    for kind in ("trade", "quote", "book"):
        for symbol in ("BTCUSDT", "ETHUSDT"):
            own = [o for o in whole if (type(o).__name__.lower(), o.symbol) == (kind, symbol)]  # type: ignore[union-attr]
            frame = read(
                f"{VENDOR}.{kind}", symbol, OF.start, OF.end, ["seq", "offset"], tail=False, settings=settings
            )
            stored = frame.drop_duplicates(["seq", "offset"]) if kind == "book" else frame
            assert stored["seq"].tolist() == [o.seq for o in own]  # type: ignore[union-attr]
    published = backfilled(settings)
    again = run(able)
    assert (again.counts["gaps"], backfilled(settings)) == (0, published)
    closed = findings.listed(settings, VENDOR, "closed")
    assert all("market.zst (source " in one.closed_by for one in closed)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path, list[str]]]:
    """A web server with a folder, and what was asked of it."""
    asked: list[str] = []
    folder = tmp_path / "web"
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path.rpartition("/")[2])
            super().do_GET()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=folder)
    ) as web:
        thread = threading.Thread(target=web.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{web.server_address[1]}", folder, asked
        web.shutdown()
        thread.join()


def test_a_venues_daily_file_fills_its_gap_once_and_is_named_by_its_content(
    settings: Settings, hole: Published, server: tuple[str, Path, list[str]]
) -> None:
    url, folder, asked = server
    path = packed(folder, [HEADER, *rows()])
    able = having(settings, BinanceHistory(at=url))
    receipt = run(able)
    assert receipt.counts["closed"] == 1
    assert receipt.counts["given"] == 1
    found = stands(settings)
    assert [one.seq for one in found] == list(range(1000, 1240))  # type: ignore[union-attr]
    late = found[100]
    assert late == structs.replace(tick(100), ts_recv=tick(100).ts_event, ts_event=tick(100).ts_event)
    assert backfilled(settings) == 20
    with zipfile.ZipFile(path) as archive:
        content = archive.read(archive.namelist()[0])
    src = 1000 + int.from_bytes(hashlib.sha256(content).digest()[:6], "big")
    [gap] = findings.listed(settings, VENDOR, "closed")
    assert f"{path.name} (source {src}) of binance {url}" in gap.closed_by
    assert asked == [f"{path.name}.CHECKSUM", path.name]
    assert (run(able).counts["gaps"], len(asked), backfilled(settings)) == (0, 2, 20)


def test_a_broken_download_goes_on_and_a_false_checksum_publishes_nothing(
    settings: Settings, hole: Published, server: tuple[str, Path, list[str]]
) -> None:
    url, folder, _ = server
    path = packed(folder, rows())  # no header: as older files are
    sums = path.with_name(f"{path.name}.CHECKSUM")
    right = sums.read_text()
    sums.write_text(right.replace(right[:8], "00000000"))
    able = having(settings, BinanceHistory(at=url))
    with pytest.raises(BadInput, match="damaged or was altered; nothing of it was published"):
        run(able)
    assert backfilled(settings) == 0
    sums.write_text(right)
    part = settings.state / "history" / VENDOR / f"{path.name}.part"
    assert not part.exists()
    part.write_bytes(path.read_bytes())  # all had come; the server, which knows no ranges, sends it again
    assert run(able).counts["closed"] == 1
    assert backfilled(settings) == 20


def test_a_download_that_broke_off_asks_for_the_rest_only(
    settings: Settings, hole: Published, ranged: Ranged
) -> None:
    path = packed(ranged.folder, [HEADER, *rows()])
    able = having(settings, BinanceHistory(at=ranged.url))
    ranged.cut = 300
    for _ in range(2):
        with pytest.raises(Unavailable, match=r"broke off .* it goes on where it was"):
            run(able)
    assert backfilled(settings) == 0
    ranged.cut = 0
    assert run(able).counts["closed"] == 1
    whole = path.stat().st_size
    assert ranged.sent == [(0, 300), (300, 600), (600, whole)]
    assert (settings.state / "history" / VENDOR / path.name).read_bytes() == path.read_bytes()


class Ranged:
    """A web server that knows ranges, and may break off after `cut` bytes of an answer."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.cut, self.sent, self.url = folder, 0, list[tuple[int, int]](), ""

    def answer(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        path = self.folder / handler.path.lstrip("/")
        if not path.is_file():
            handler.send_error(404)
            return
        data, asked = path.read_bytes(), handler.headers.get("Range")
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        handler.send_response(206 if asked else 200)
        handler.send_header("Content-Length", str(len(data) - start))
        handler.end_headers()
        end = len(data)
        if path.suffix == ".zip":
            end = min(end, start + self.cut) if self.cut else end
            self.sent.append((start, end))
        handler.wfile.write(data[start:end])


@pytest.fixture
def ranged(tmp_path: Path) -> Iterator[Ranged]:
    web = Ranged(tmp_path / "ranged")
    web.folder.mkdir()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            web.answer(self)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        web.url = f"http://127.0.0.1:{server.server_address[1]}"
        yield web
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (["id,price,size,quote_qty,time,is_buyer_maker", *rows()], "its header has changed"),
        ([HEADER, *rows(), "7,inf,1,1,1723161600000,true"], "its price is no finite number"),
        ([HEADER, *rows(), "7,1,1,1,17,true"], "its time is no time of a tick"),
        ([HEADER, *rows(), "7,1,1,1,1723161600000,maybe"], "is no maker"),
    ],
)
def test_a_file_that_is_not_sound_is_one_sentence_and_publishes_nothing(
    settings: Settings, hole: Published, tmp_path: Path, lines: list[str], why: str
) -> None:
    packed(tmp_path, lines)
    with pytest.raises(BadInput, match=why):
        run(having(settings, BinanceHistory(at=str(tmp_path))))
    assert backfilled(settings) == 0
    assert len(findings.listed(settings, VENDOR, "open")) == 1


def test_a_night_leaves_windows_that_would_lose_more_than_their_share_as_a_finding_until_somebody_rebuilds(
    settings: Settings, hole: Published, tmp_path: Path
) -> None:
    packed(tmp_path, [HEADER, *rows()])
    able = having(settings, BinanceHistory(at=str(tmp_path)))
    hole.load(
        [m.Void("BTCUSDT", 0, T0, 0, 0, 1, T0 + 10 * NS, 0, "wrong")], src=1
    )  # nobody has rebuilt since
    night = Origin(who="night", started=time.time_ns(), run="night 1")
    receipt = fill(able, VENDOR, OF, origin=night, share=limits.SHARE)
    assert (receipt.counts["windows_withheld"], receipt.counts["windows_written"]) == (1, 0)
    assert (backfilled(settings), receipt.complete) == (21, False)  # in the log for ever, and the void
    [one] = findings.listed(settings, VENDOR, "open")
    assert (one.check, one.reason, one.messages, one.symbol) == ("fetched", "writer", 40, findings.WHOLE)
    assert "40 of its 220 messages would be removed or changed, more than 0.1%" in one.evidence["why"]
    mend = repairs.repair_of(one)
    assert mend is not None
    of = Slice(one.start, one.end)
    assert mend.conf == {"vendors": VENDOR, **bounds(of)}
    assert fill(able, VENDOR, OF, origin=night, share=limits.SHARE).counts["gaps"] == 0  # cleared, done again
    order, _ = backfill.prepare(able, VENDOR, of, share=limits.SHARE)
    assert [f.id for f in undone.record(able, order, [], "night 1")] == [one.id]  # its own run leaves it open
    tapedeck.backfill(VENDOR, of.start, of.start + 20 * NS, settings=settings)  # not all of it
    assert findings.find(settings, one.id).status == "open"
    tapedeck.backfill(VENDOR, of.start, of.end, settings=settings)
    mended = findings.find(settings, one.id)
    assert (mended.status, mended.closed_by.startswith("backfill by ")) == ("closed", True)
    frame = read(f"{VENDOR}.trade", "BTCUSDT", OF.start, OF.end, tail=False, settings=settings)
    assert frame["seq"].tolist() == list(range(1040, 1240))


def bounds(of: Slice) -> dict[str, str]:
    return {"start_exact": format_time(of.start), "end_exact": format_time(of.end)}


def test_what_was_asked_for_in_vain_is_not_asked_again_but_what_may_come_is(
    settings: Settings, hole: Published, server: tuple[str, Path, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, _, asked = server
    able = having(settings, BinanceHistory(at=url))
    assert run(able).counts["later"] == 1  # the day is young: its file may come
    assert run(able).counts["later"] == 1
    assert len(asked) == 2
    monkeypatch.setattr("tapedeck.jobs.history.binance.SETTLES", -(10**18))
    assert run(able).counts["nothing"] == 1
    assert run(able).counts["nothing"] == 0
    assert len(asked) == 3
    [gap] = gap_check(settings, VENDOR, OF).findings
    assert gap.status == "open"


def test_a_folder_of_parquet_with_a_mapping_fills_it_too(
    settings: Settings, hole: Published, tmp_path: Path
) -> None:
    ticks = [tick(i) for i in range(240)]
    table = pa.table(
        {
            "when": pa.array([t.ts_event for t in ticks], pa.timestamp("ns")),
            "px": [t.price for t in ticks], "qty": [t.size for t in ticks],
            "n": [t.seq for t in ticks], "before": [t.prev for t in ticks], "what": ["buy"] * 240,
            "name": ["BTCUSDT"] * 240,
        }
    )  # fmt: skip
    day = format_time(T0)[:10]
    pq.write_table(table, tmp_path / f"ticks-{day}.parquet")
    columns = {
        "ts_event": "when", "price": "px", "size": "qty", "seq": "n", "prev": "before", "side": "what",
        "symbol": "name",
    }  # fmt: skip
    able = having(settings, FilesHistory(at=str(tmp_path), name="ticks-{day}.parquet", columns=columns))
    assert run(able).counts["closed"] == 1
    assert [one.seq for one in stands(settings)] == list(range(1000, 1240))  # type: ignore[union-attr]
    wrong = FilesHistory(at=str(tmp_path), name="{day}.csv", columns=columns | {"colour": "x"})
    with pytest.raises(BadInput, match="a trade has no colour"):
        run(having(settings, wrong))


def test_a_source_that_is_not_there_leaves_the_next_one_to_be_asked(
    settings: Settings, hole: Published, tmp_path: Path
) -> None:
    packed(tmp_path, [HEADER, *rows()])
    able = having(settings, TapeHistory(at="/nowhere/tape"), BinanceHistory(at=str(tmp_path)))
    with pytest.raises(Unavailable, match="the tape /nowhere/tape is not there"):
        run(able)
    assert len(stands(settings)) == 240


def test_a_day_begins_at_midnight() -> None:
    assert start_of("2024-08-09") == 1_723_161_600 * NS


def test_the_terminal_shows_the_plan_and_then_fills(
    settings: Settings, hole: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed(tmp_path, [HEADER, *rows()])
    able = having(settings, BinanceHistory(at=str(tmp_path)))
    for name, value in environment(able).items():
        monkeypatch.setenv(name, value)
    words = ["backfill", VENDOR, format_time(OF.start), format_time(OF.end)]
    plan = CliRunner().invoke(cli, [*words, "--plan"], catch_exceptions=False)
    assert plan.exit_code == 0
    assert plan.stdout.splitlines()[0] == f"{VENDOR} {OF}"
    assert "0 windows to add, 0 to change, 1 unchanged, of 220 messages" in plan.stdout
    assert f"then what the log never had is asked of {tmp_path}" in plan.stdout
    assert backfilled(settings) == 0
    done = CliRunner().invoke(cli, [*words, "--json"], catch_exceptions=False)
    assert done.exit_code == 0
    said = json.loads(done.stdout)
    assert (said["job"], said["history"]["job"]) == ("backfill", "history")
    assert said["history"]["counts"]["closed"] == 1
    listed = CliRunner().invoke(cli, ["receipts", "--job", "history"], catch_exceptions=False)
    assert said["history"]["id"] in listed.stdout

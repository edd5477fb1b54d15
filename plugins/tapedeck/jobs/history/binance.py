"""Binance's public daily files: `trades` of all markets, `bookTicker` of the futures.

The layout is that of github.com/binance/binance-public-data: `<at>/data/<market>/daily/<set>/<SYMBOL>/
<SYMBOL>-<set>-<day>.zip`, beside it `….zip.CHECKSUM` with its SHA-256. Under a URL files are fetched once
into the state directory, what a broken connection left is gone on with; a folder is read where it lies.
"""

from __future__ import annotations

import hashlib
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tapedeck.errors import BadInput, Unavailable
from tapedeck.jobs.history.source import WHOLE, Answer, Found, Want
from tapedeck.jobs.history.table import Layout, Table, first_line
from tapedeck.settings import Settings
from tapedeck.slices import NS, Slice

MARKETS = {
    "binance_spot": "spot", "binance_usdm": "futures/um", "binance_coinm": "futures/cm",
}  # fmt: skip
SETS = {"trade": "trades", "quote": "bookTicker"}
DAY = 86_400 * NS
SETTLES = 3 * DAY
"""So long after a day its files may still come."""
TIMEOUT = 30.0
_TRADE = {"seq": "id", "price": "price", "size": "qty", "ts_event": "time", "maker": "is_buyer_maker"}
_QUOTE = {
    "seq": "update_id", "bid": "best_bid_price", "bid_size": "best_bid_qty", "ask": "best_ask_price",
    "ask_size": "best_ask_qty", "ts_event": "event_time",
}  # fmt: skip
_HEADERS = {
    "trade": (
        "id,price,qty,quote_qty,time,is_buyer_maker",
        "id,price,qty,base_qty,time,is_buyer_maker",
        "id,price,qty,quote_qty,time,is_buyer_maker,is_best_match",
    ),
    "quote": (
        "update_id,best_bid_price,best_bid_qty,best_ask_price,best_ask_qty,transaction_time,event_time",
    ),
}


class BinanceFiles:
    """The daily files of one market."""

    def __init__(self, settings: Settings, vendor: str, at: str) -> None:
        """Raises BadInput for a vendor whose files Binance does not publish."""
        if vendor not in MARKETS:
            raise BadInput(
                f"[vendors.{vendor}]: Binance publishes no daily files of {vendor}, only of "
                f"{', '.join(MARKETS)}: take that history out"
            )
        self.name = f"binance {at}"
        self._at, self._market = at.rstrip("/"), MARKETS[vendor]
        self._remote = at.startswith(("http://", "https://"))
        self._cache = settings.state / "history" / vendor

    def find(self, wants: Sequence[Want], symbols: Sequence[str]) -> Answer:
        """See `Source.find`."""
        asked: dict[tuple[str, str, str], list[Want]] = {}
        for want in wants:
            for symbol in symbols if want.symbol == WHOLE else [want.symbol]:
                for kind in SETS if want.kind == WHOLE else [want.kind]:
                    if kind == "trade" or (kind == "quote" and self._market != "spot"):
                        for day in days(want.slice):
                            asked.setdefault((symbol, kind, day), []).append(want)
        found, later = [], set()
        for (symbol, kind, day), some in sorted(asked.items()):
            path = self._file(symbol, SETS[kind], day)
            if path is not None:
                found.append(Found(Table(path, _layout(path, kind), symbol), tuple(some)))
            elif time.time_ns() < start_of(day) + DAY + SETTLES:
                later |= {want.id for want in some}
        return Answer(tuple(found), frozenset(later))

    def _file(self, symbol: str, of: str, day: str) -> Path | None:
        """The verified file, None where there is none. Raises BadInput, Unavailable."""
        if "/" in symbol or "\\" in symbol or ".." in symbol:
            return None  # the venue has none such, and a path or URL would lead elsewhere
        name = f"{symbol}-{of}-{day}.zip"
        place = f"data/{self._market}/daily/{of}/{symbol}/{name}"
        if not self._remote:
            folder = Path(self._at).expanduser().absolute()
            if not folder.is_dir():
                raise Unavailable(f"the folder of history {folder} is not there: mount it, or correct `at`")
            path = next((p for p in (folder / place, folder / name) if p.is_file()), None)
            if path is None:
                return None
            sums = path.with_name(f"{name}.CHECKSUM")
            if not sums.is_file():
                raise BadInput(f"{path} has no {sums.name} beside it: fetch that too, else nothing proves it")
            _verify(path, sums.read_text("utf-8", "replace"))
            return path
        path = self._cache / name
        if path.is_file():
            return path  # it got its name when it was proved
        url = f"{self._at}/{place}"
        said = _text(f"{url}.CHECKSUM")
        part = path.with_name(f"{name}.part")
        if said is None or not _download(url, part):
            return None
        try:
            _verify(part, said)
        except BadInput:
            part.unlink(missing_ok=True)
            raise
        part.replace(path)
        return path


def days(of: Slice) -> Iterator[str]:
    """The days (UTC) that a slice meets, as 2024-08-08."""
    for number in range(of.start // DAY, (of.end - 1) // DAY + 1):
        yield (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=number)).strftime("%Y-%m-%d")


def start_of(day: str) -> int:
    """The first ns of a day."""
    return (datetime.fromisoformat(day).replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)).days * DAY


def _layout(path: Path, kind: str) -> Layout:
    """By its header, or without one by its number of columns. Raises BadInput for one that is not known."""
    line = first_line(path)
    known, columns = _HEADERS[kind], _TRADE if kind == "trade" else _QUOTE
    if line in known:
        return Layout(kind=kind, columns=columns, chained=kind == "trade")
    if line[:1].isdigit():
        for header in known:
            if header.count(",") == line.count(","):
                names = tuple(header.split(","))
                return Layout(kind=kind, columns=columns, names=names, chained=kind == "trade")
    raise BadInput(
        f"{path} begins with {line[:120]!r} and not with {known[0]!r}: its header has changed; nothing of it "
        "was published"
    )


def _verify(path: Path, said: str) -> None:
    expected = said.split()[0].lower() if said.split() else ""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(2**20):
            digest.update(chunk)
    if digest.hexdigest() != expected:
        raise BadInput(
            f"{path} has the checksum {digest.hexdigest()[:16]}… where its CHECKSUM says {expected[:16]}…: "
            "it is damaged or was altered; nothing of it was published: fetch it again"
        )


def _text(url: str) -> str | None:
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:  # noqa: S310
            text: bytes = answer.read(4096)
            return text.decode("utf-8", "replace")
    except urllib.error.HTTPError as e:
        if e.code == 404:
            return None
        raise Unavailable(f"{url} answered {e.code}: run this again later") from e
    except (OSError, urllib.error.URLError) as e:
        raise Unavailable(f"{url} can't be reached ({e}): run this again later, or correct `at`") from e


def _download(url: str, part: Path) -> bool:
    """Bring the file's bytes to `part`, going on where it ends; False where there is no such file."""
    part.parent.mkdir(parents=True, exist_ok=True)
    have = part.stat().st_size if part.exists() else 0
    headers = {"Range": f"bytes={have}-"} if have else {}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:  # noqa: S310
            goes_on = have and answer.status == 206
            expected, got = answer.headers.get("Content-Length"), 0
            with part.open("ab" if goes_on else "wb") as file:
                while chunk := answer.read(2**20):
                    file.write(chunk)
                    got += len(chunk)
        if expected is not None and got < int(expected):  # urllib says nothing of that
            raise Unavailable(
                f"{url} broke off after {got:,} of {int(expected):,} bytes: run this again, it goes on where "
                "it was"
            )
        return True
    except urllib.error.HTTPError as e:
        if e.code == 404:
            return False
        if e.code == 416:
            return True  # it was all there
        raise Unavailable(f"{url} answered {e.code}: run this again later") from e
    except (OSError, urllib.error.URLError) as e:
        raise Unavailable(f"{url} broke off ({e}): run this again, it goes on where it was") from e

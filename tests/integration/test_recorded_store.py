"""A recorded market, loaded as history and rebuilt: stock arctic and our door give it back exactly."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from arctic import Arctic
from arctic.date import DateRange

import tapedeck
from tapedeck.settings import Settings
from tapedeck.slices import parse_slice
from tapedeck.store.rebuild import rebuild
from tapedeck.tape import load
from tests.published import VENDOR
from tests.recorded import USDM_BTC, recorded

DAY = ("2024-08-08T00:00:00Z", "2024-08-09T00:00:00Z")


def test_the_recorded_futures_come_back_with_every_price_and_nanosecond(settings: Settings) -> None:
    path = recorded(USDM_BTC)
    [file] = load.check(VENDOR, [path])
    load.load(settings, VENDOR, file)
    done = rebuild(settings, VENDOR, parse_slice(*DAY))
    assert (done.messages, done.duplicates, done.undecodable) == (93_953, 0, 0)
    assert rebuild(settings, VENDOR, parse_slice(*DAY)).written == 0

    taped = []
    with gzip.open(path, "rt") as lines:
        for line in lines:
            stamp, _, payload = line.partition(" ")
            if '"e":"trade"' in payload:
                taped.append((int(stamp), float(json.loads(payload)["data"]["p"])))
    assert len(taped) == 21_313

    found = tapedeck.read(f"{VENDOR}.trade", "BTCUSDT", *DAY, settings=settings)
    assert list(zip(found.index.asi8.tolist(), found["price"].tolist(), strict=True)) == taped

    arctic = Arctic(settings.mongo.uri, tz_aware=True, tzinfo=ZoneInfo("UTC"))
    day = DateRange(datetime(2024, 8, 8, tzinfo=UTC), datetime(2024, 8, 9, tzinfo=UTC))
    stock = arctic[f"{VENDOR}.trade"].read("BTCUSDT", date_range=day)
    arctic._conn.close()
    assert stock["price"].tolist() == [price for _, price in taped]
    book = tapedeck.read(f"{VENDOR}.book", "BTCUSDT", *DAY, settings=settings)
    assert book.attrs["messages"] == 6_551

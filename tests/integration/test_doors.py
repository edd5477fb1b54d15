"""`import tapedeck` gives the command's verbs."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

import tapedeck
from tapedeck.buses.captured import line_of
from tapedeck.errors import BadInput
from tapedeck.settings import Settings
from tapedeck.slices import NS, instant
from tests.published import T0, VENDOR
from tests.tapes import payloads

LIBRARY = f"{VENDOR}.trade"


def test_a_captured_day_goes_through_every_verb(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "captured.txt"
    path.write_bytes(b"".join(line_of(T0 + i * 1_000_000, p) for i, p in enumerate(payloads(400))))
    start, end = datetime.fromtimestamp(T0 // NS, UTC), pd.Timestamp(T0 + 3600 * NS, tz="UTC")
    [loaded] = tapedeck.load(VENDOR, path, settings=settings)
    sent = sum(loaded.messages.values())
    assert sent == 400
    assert tapedeck.load(VENDOR, [str(path)], settings=settings)[0].present == sent
    counted = tapedeck.timeline(VENDOR, settings).count(start, end)
    assert counted.messages == sent
    [built] = tapedeck.backfill(VENDOR, start, end, settings=settings)
    assert (built.outcome, built.counts["messages"]) == ("written", sent)
    assert tapedeck.backfill(VENDOR, start, end, settings=settings)[0].outcome == "unchanged"
    symbols = tapedeck.symbols(LIBRARY, settings=settings)
    frame = tapedeck.read(LIBRARY, symbols, start, end, settings=settings)
    assert len(frame) == counted.kinds["trade"]
    played = tapedeck.replay(
        VENDOR, start, end, f"parquet:{tmp_path / 'out'}", kinds=["trade"], settings=settings
    )
    assert played.counts["messages"] == counted.kinds["trade"]
    gone = tapedeck.void(
        VENDOR, start, end, src=loaded.src, symbols=["BTCUSDT"], reason="a test", settings=settings
    )
    assert gone.counts["voided"] > 0
    assert len(tapedeck.read(LIBRARY, "BTCUSDT", start, end, settings=settings)) == 0
    jobs = [one.job for one in tapedeck.receipts(VENDOR, settings=settings)]
    assert jobs == ["void", "replay", "backfill", "backfill"]
    assert [one.id for one in tapedeck.receipts(job="replay", settings=settings)] == [played.id]
    report = tapedeck.gaps(VENDOR, start, end, settings=settings)
    kept = {one.id for one in tapedeck.findings(VENDOR, settings=settings)}
    assert kept == {one.id for one in report.findings}


def test_what_is_no_time_vendor_job_or_state_is_refused_in_a_sentence(settings: Settings) -> None:
    with pytest.raises(BadInput, match="has no zone"):
        tapedeck.backfill(VENDOR, datetime(2026, 1, 1), "now", settings=settings)  # noqa: DTZ001
    with pytest.raises(BadInput, match="is no time"):
        tapedeck.gaps(VENDOR, None, "now", settings=settings)  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="did you mean 'binance_usdm'"):
        tapedeck.load("binance_usd", "x", settings=settings)
    with pytest.raises(BadInput, match="the jobs are replay"):
        tapedeck.receipts(job="repair", settings=settings)
    with pytest.raises(BadInput, match="the states are open"):
        tapedeck.findings(status="done", settings=settings)


@pytest.mark.parametrize("ns", [0, 1, T0 + 123_456_789, 2**62 + 1])
def test_every_way_to_write_a_time_means_the_same_nanosecond(ns: int) -> None:
    stamp = pd.Timestamp(ns, tz="UTC")
    assert instant(stamp) == instant(stamp.tz_convert("Asia/Tokyo")) == instant(ns) == ns
    assert instant(stamp.to_pydatetime(warn=False)) == ns // 1000 * 1000

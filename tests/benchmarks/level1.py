"""A day that is right, proved from the ledger and the tallies: flat whatever the day's size."""

from __future__ import annotations

import time

import numpy as np
from msgspec import structs

from tapedeck import digest
from tapedeck.checks.proof import prove
from tapedeck.message import KINDS
from tapedeck.settings import Settings
from tapedeck.slices import NS, Slice
from tapedeck.store import database, ledger, library, tallies
from tapedeck.store.facts import ROW
from tests.benchmarks.bench import Bench
from tests.benchmarks.registry import benchmark
from tests.benchmarks.result import Must, Result
from tests.published import T0

VENDOR = "binance_usdm"
DAY = 86_400 * NS
PARTITIONS = 16
SHARES = {"trade": 0.25, "quote": 0.65, "book": 0.1}


@benchmark("level1_10m")
def measure_10m(bench: Bench) -> Result:
    """Ten million messages."""
    return _measure(bench, 10_000_000)


@benchmark("level1_100m")
def measure_100m(bench: Bench) -> Result:
    """A hundred million."""
    return _measure(bench, 100_000_000)


@benchmark("level1_1b")
def measure_1b(bench: Bench) -> Result:
    """A billion, of ten thousand symbols: as many blocks and tallies as such a day has, without payload."""
    return _measure(bench, 1_000_000_000)


def _measure(bench: Bench, messages: int) -> Result:
    settings = structs.replace(bench.settings, mongo=structs.replace(bench.settings.mongo, database="level1"))
    of = _make(settings, messages)
    libraries = library.ensure(settings, VENDOR)
    took = []
    for _ in range(3):
        began = time.perf_counter()
        proof = prove(settings, libraries, dict.fromkeys(libraries, of), groups=PARTITIONS)
        took.append(time.perf_counter() - began)
        assert proof.holds
        assert sum(t.messages for t in proof.log.values()) == messages
    return Result(
        value=1 / sorted(took)[1], unit="days/s", baseline_name="a day in a second", baseline=1.0,
        must=Must(1.0),
    )  # fmt: skip


def _make(settings: Settings, messages: int) -> Slice:
    """A day's ledger and tallies, as blocks of 65,536 offsets and windows of ten minutes have them."""
    database.client(settings).drop_database(settings.mongo.database)
    ledger._ensured.clear()
    tallies._ensured.clear()
    ledger.ensure(settings)
    random = np.random.default_rng(1)
    day = T0 // DAY * DAY
    per_minute = {kind: messages * share / 1440 / PARTITIONS for kind, share in SHARES.items()}
    sums: dict[tuple[str, int, int], list[int]] = {}
    blocks, left = [], messages
    for p in range(PARTITIONS):
        rows: list[tuple[int, int, int, int, int]] = []
        offset = block = 0
        for minute in range(1440):
            for kind in SHARES:
                last = p == PARTITIONS - 1 and minute == 1439 and kind == "book"
                count = left if last else round(per_minute[kind])
                left -= count
                while count:
                    some = min(count, ledger.BLOCK * (block + 1) - offset)
                    high, low = (int(x) for x in random.integers(0, 2**63, 2))
                    rows.append((day // ledger.MINUTE_NS + minute, KINDS.index(kind), some, high, low))
                    at = sums.setdefault((kind, p, day + minute // 10 * 600 * NS), [0, 0])
                    at[0] += some
                    at[1] += (high << 64) + low
                    count, offset = count - some, offset + some
                    if offset == ledger.BLOCK * (block + 1):
                        blocks.append(_block(p, block, offset, rows))
                        rows, block = [], block + 1
        if rows:
            blocks.append(_block(p, block, offset, rows))
    nothing = {"n": 0, "digest": digest.to_hex(0)}
    database.collection(settings, ledger.COLLECTION).insert_many(blocks)
    database.collection(settings, tallies.COLLECTION).insert_many(
        {
            "_id": f"{VENDOR}.{kind}|{p}|{start // 10**6}", "vendor": VENDOR, "kind": kind, "p": p,
            "start": start // 10**6, "version": 2, "marks": [], "documents": 10_000 // PARTITIONS,
            "kept": {"n": count, "digest": digest.to_hex(digest.add(value))}, "duplicate": nothing,
            "voided": nothing, "symbols": random.bytes(3000),
        }
        for (kind, p, start), (count, value) in sums.items()
    )  # fmt: skip
    return Slice(day, day + DAY)


def _block(p: int, block: int, end: int, rows: list[tuple[int, int, int, int, int]]) -> dict[str, object]:
    facts = np.array(rows, ROW)
    return {
        "_id": f"topic|{p}|{block}", "vendor": VENDOR, "topic_id": "topic", "partition": p, "block": block,
        "runs": [[block * ledger.BLOCK, end]], "code": 1, "version": 1,
        "days": np.unique(facts["minute"] // 1440).tolist(), "first": int(facts["minute"].min()),
        "last": int(facts["minute"].max()), "facts": facts.tobytes(),
    }  # fmt: skip

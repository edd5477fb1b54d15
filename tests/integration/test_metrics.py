"""Health and metrics of a running collector and writer, read as Docker, a person and Prometheus read them."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest
import zmq

from tapedeck.checks import findings
from tapedeck.jobs import backfill, receipts
from tapedeck.jobs.origin import Origin
from tapedeck.settings import Settings
from tapedeck.slices import Slice
from tapedeck.store import database
from tests import servers
from tests.servers import ROOT, free_port
from tests.tapes import VENDOR, Running, payloads, until, variables

CHATTER = b'{"result":null,"id":1}'


class Watched(NamedTuple):
    """A collector and a writer at work, and where they answer."""

    collector: Running
    writer: Running
    collector_at: str
    writer_at: str
    bus: Bus


class Bus:
    """A ZeroMQ bus that is fed by hand."""

    def __init__(self, address: str) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.PUB)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.bind(address.removeprefix("zmq:"))
        self._left = iter(payloads(100_000))

    def send(self, count: int, *more: bytes) -> None:
        for _, payload in zip(range(count), self._left, strict=False):
            self._socket.send(payload)
        for payload in more:
            self._socket.send(payload)

    def close(self) -> None:
        self._context.destroy(0)


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - our own
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as e:
        return e.code, e.read().decode()


def values(address: str) -> dict[str, float]:
    """A scrape: `name{labels}` → value, the labels vendor and src left out."""
    found = {}
    for line in get(f"{address}/metrics")[1].splitlines():
        if not line.startswith("#"):
            series, _, value = line.rpartition(" ")
            for known in (f'vendor="{VENDOR}"', 'src="1"'):
                series = series.replace(f"{known},", "").replace(f",{known}", "").replace(known, "")
            found[series.removesuffix("{}")] = float(value)
    return found


def address_of(settings: Settings, name: str) -> str:
    """Where a live process answers, once its record says so."""
    record = settings.state / "live" / f"{name}.json"
    until(lambda: record.exists() and json.loads(record.read_bytes()).get("health", "") != "", 60)
    return str(json.loads(record.read_bytes())["health"])


@contextmanager
def watched(settings: Settings) -> Iterator[Watched]:
    more = {"TAPEDECK_MONGO__URI": settings.mongo.uri, "TAPEDECK_MONGO__DATABASE": settings.mongo.database}
    more |= {"TAPEDECK_WRITER__GRACE": "2s", "TAPEDECK_METRICS__STALLED": "3s"}
    shorter = json.loads(variables(settings)["TAPEDECK_VENDORS"])
    for vendor in shorter.values():
        vendor |= {"window": dict.fromkeys(("trade", "quote", "book", "status", "fields"), 2), "margin": "1s"}
    more["TAPEDECK_VENDORS"] = json.dumps(shorter)
    bus = Bus(settings.vendors[VENDOR].bus)
    try:
        with (
            Running(settings, "collect", VENDOR, **more) as collector,
            Running(settings, "write", VENDOR, **more) as writer,
        ):
            at = [address_of(settings, name) for name in (f"collector-{VENDOR}-1", f"writer-{VENDOR}")]
            until(lambda: all(get(f"{one}/readyz")[0] == 200 for one in at), 60)
            yield Watched(collector, writer, at[0], at[1], bus)
    finally:
        bus.close()


def test_counts_are_true_and_health_follows_what_happens(settings: Settings) -> None:
    with watched(settings) as live:
        live.bus.send(200, b"rubbish", CHATTER, CHATTER)
        until(lambda: values(live.collector_at).get("tapedeck_taper_messages_total") == 203)
        until(lambda: values(live.collector_at).get("tapedeck_publisher_latency_seconds_count", 0) > 200)
        found = values(live.collector_at)
        assert found['tapedeck_publisher_quarantined_total{reason="payload is not JSON"}'] == 1
        assert [n for series, n in found.items() if series.startswith("tapedeck_publisher_chatter")] == [2]
        assert found["tapedeck_taper_connects_total"] == 1
        assert found["tapedeck_publisher_records_total"] >= 201
        assert found["tapedeck_taper_bytes_total"] > sum(len(p) for p in payloads(200))
        assert found['tapedeck_collector_starts_total{role="taper"}'] == 1
        assert found["tapedeck_tape_free_bytes"] > 0
        assert 0 < found["tapedeck_collector_lag_seconds"] < 30
        until(lambda: values(live.writer_at)["tapedeck_writer_messages_total"] >= 200)
        written = 'tapedeck_writer_windows_total{outcome="written"}'
        until(lambda: values(live.writer_at)[written] > 0, 60)
        assert values(live.writer_at)["tapedeck_writer_mongo_seconds_count"] > 0
        assert values(live.writer_at)["tapedeck_writer_partitions"] == settings.kafka.partitions

        asked = variables(settings) | {"TAPEDECK_MONGO__URI": settings.mongo.uri}
        said = servers.tapedeck("status", state=settings.state, **asked).stdout
        assert f"health {live.collector_at}" in said
        assert f"health {live.writer_at}" in said
        assert f"partitions 0–{settings.kafka.partitions - 1}" in said

        live.bus.close()
        until(lambda: get(f"{live.collector_at}/readyz")[0] == 503)
        assert "taper: held: " in get(f"{live.collector_at}/readyz")[1]
        assert get(f"{live.collector_at}/healthz")[0] == 200, "a bus that is away is no reason to restart it"

        taper = psutil.Process(live.collector.halves()["taper"])
        taper.suspend()
        try:
            until(lambda: get(f"{live.collector_at}/healthz")[0] == 503)
            assert "taper: turned last " in get(f"{live.collector_at}/healthz")[1]
        finally:
            taper.resume()
        until(lambda: get(f"{live.collector_at}/healthz")[0] == 200)

        taper.kill()
        starts = 'tapedeck_collector_starts_total{role="taper"}'
        until(lambda: values(live.collector_at)[starts] == 2)
        until(lambda: values(live.collector_at).get("tapedeck_taper_messages_total") == 0)


class Prometheus:
    """A real one, scraping each second."""

    def __init__(self, folder: Path, targets: dict[str, str]) -> None:
        program = shutil.which("prometheus")
        if program is None:
            pytest.skip("prometheus is not on this machine: apt-get install prometheus brings it")
        config = (
            (ROOT / "docker" / "prometheus" / "prometheus.yml").read_text().partition("scrape_configs:")[0]
        )
        jobs = [
            {"job_name": job, "static_configs": [{"targets": [address.removeprefix("http://")]}]}
            for job, address in targets.items()
        ]
        (folder / "prometheus.yml").write_text(
            config.replace("10s", "1s") + "scrape_configs: " + json.dumps(jobs) + "\n"
        )
        shutil.copy(ROOT / "docker" / "prometheus" / "rules.yml", folder)
        self.address = f"http://127.0.0.1:{free_port()}"
        self._log = (folder / "log").open("wb")
        self.process = subprocess.Popen(
            [program, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
             f"--web.listen-address={self.address.removeprefix('http://')}"],
            stdout=self._log, stderr=self._log,
        )  # fmt: skip

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series that an expression gives now; none where Prometheus is not there yet."""
        try:
            status, text = get(f"{self.address}/api/v1/query?{urllib.parse.urlencode({'query': expression})}")
        except OSError:
            return []
        answer = json.loads(text) if status in (200, 400, 422) else {}
        assert answer.get("status") != "error", f"{expression}: {answer}"
        return list(answer.get("data", {}).get("result", []))

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(30)
        self._log.close()


def panels() -> list[tuple[str, str]]:
    """(dashboard and panel, query) of every dashboard, its variables put in."""
    found = []
    for file in sorted((ROOT / "docker" / "grafana" / "dashboards").glob("*.json")):
        for panel in json.loads(file.read_text())["panels"]:
            for target in panel["targets"]:
                query = target["expr"].replace("$vendor", ".*").replace("$__rate_interval", "10s")
                found.append((f"{file.stem}: {panel['title']}", query))
    return found


def leave_facts(settings: Settings) -> None:
    """What a nightly rebuild and a check leave in MongoDB: a receipt of now, and an open finding."""
    receipts.issue(
        settings, Origin(who="test", started=time.time_ns()), backfill.JOB, VENDOR, Slice(0, 10), None,
        outcome="empty", counts={}, before="", after="",
    )  # fmt: skip
    wrong = findings.Finding(
        id="f", check="reconcile", reason="writer", vendor=VENDOR, symbol="*", kind="*", start=0, end=10,
        at=5, messages=1,
    )  # fmt: skip
    findings.record(settings, VENDOR, ["reconcile"], Slice(0, 10), [wrong], "a run")
    database.collection(settings, "retention").insert_one({"_id": VENDOR, "at": 1, "hours": 100.0})


def test_a_real_prometheus_gets_a_series_for_every_panel(settings: Settings, tmp_path: Path) -> None:
    leave_facts(settings)
    with watched(settings) as live:
        prometheus = Prometheus(tmp_path, {"collectors": live.collector_at, "writers": live.writer_at})
        try:
            wanted = panels()
            assert len(wanted) > 25
            end = time.monotonic() + 60
            while wanted and time.monotonic() < end:
                live.bus.send(50, b"rubbish", CHATTER)
                time.sleep(0.5)
                wanted = [one for one in wanted if not series_of(prometheus, one[1])]
            assert wanted == [], "no series for these"
            assert {s["metric"]["job"] for s in prometheus.query("up == 1")} == {"collectors", "writers"}
            assert prometheus.query('ALERTS{alertstate="firing"}') == []
            wrong = {s["metric"]["reason"]: s["value"][1] for s in prometheus.query("tapedeck_findings_open")}
            assert (wrong["writer"], wrong["upstream"]) == ("1", "0")
            [night] = prometheus.query('time() - tapedeck_job_receipt_timestamp_seconds{name="backfill"}')
            assert 0 <= float(night["value"][1]) < 300
        finally:
            prometheus.close()


def series_of(prometheus: Prometheus, query: str) -> list[dict[str, Any]]:
    """The series that hold a number."""
    return [one for one in prometheus.query(query) if one["value"][1] != "NaN"]

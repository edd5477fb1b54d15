"""The catalogue of metrics, and what Prometheus gets to read of a snapshot."""

from __future__ import annotations

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tapedeck import metrics
from tapedeck.metrics import BOUNDS, CATALOGUE, Buckets, Kind, Snapshot

WHO = {"vendor": "acme", "src": "1"}


def scraped(*snapshots: Snapshot) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """What a scrape gives, through the text that goes over the wire."""
    text = metrics.expose(WHO, snapshots).decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def of(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return name, frozenset({**WHO, **labels}.items())


def test_no_metric_has_a_symbol_and_names_follow_prometheus() -> None:
    for name, metric in CATALOGUE.items():
        assert name == metric.name
        assert name.startswith("tapedeck_")
        assert "symbol" not in metric.label
        assert metric.label not in ("job", "instance"), "Prometheus gives these, and would rename ours"
        assert name.endswith("_total") == (metric.kind is Kind.COUNTER)
        assert metric.meaning.endswith(".")


def test_numbers_labels_and_histograms_are_what_prometheus_reads() -> None:
    took = Buckets()
    for seconds in (0.0005, 0.001, 0.02, 7200.0):
        took.add(seconds)
    took.add(0.02, 10)
    said = metrics.snapshot(
        "publisher", 1700000000.5, "",
        {metrics.PUBLISHED: 7, metrics.QUARANTINED: {"no JSON": 2.0}, metrics.LATENCY: took},
    )  # fmt: skip
    kept = msgspec.json.decode(msgspec.json.encode(said), type=Snapshot)
    found = scraped(kept)
    assert found[of("tapedeck_ready", role="publisher")] == 1
    assert found[of("tapedeck_turned_timestamp_seconds", role="publisher")] == 1700000000.5
    assert found[of("tapedeck_publisher_records_total")] == 7
    assert found[of("tapedeck_publisher_quarantined_total", reason="no JSON")] == 2
    buckets = "tapedeck_publisher_latency_seconds_bucket"
    assert found[of(buckets, le="0.001")] == 2, "an upper bound belongs to its bucket"
    assert found[of(buckets, le="0.025")] == 13
    assert found[of(buckets, le=str(BOUNDS[-1]))] == 13
    assert found[of(buckets, le="+Inf")] == 14
    assert found[of("tapedeck_publisher_latency_seconds_count")] == 14
    assert found[of("tapedeck_publisher_latency_seconds_sum")] == pytest.approx(7200.2215)


def test_two_halves_are_one_scrape() -> None:
    taper = metrics.snapshot("taper", 1.0, "no bus", {metrics.TAPER_MESSAGES: 3})
    publisher = metrics.snapshot("publisher", 2.0, "", {metrics.PUBLISHED: 4})
    found = scraped(taper, publisher)
    assert found[of("tapedeck_ready", role="taper")] == 0
    assert found[of("tapedeck_ready", role="publisher")] == 1
    assert found[of("tapedeck_taper_messages_total")] == 3
    assert found[of("tapedeck_publisher_records_total")] == 4


def test_a_label_takes_only_so_many_values_and_loses_none() -> None:
    many = {f"reason {n}": 1.0 for n in range(metrics.MOST_VALUES + 25)}
    found = scraped(metrics.snapshot("publisher", 1.0, "", {metrics.QUARANTINED: many}))
    reasons = {key: value for key, value in found.items() if key[0] == "tapedeck_publisher_quarantined_total"}
    assert len(reasons) == metrics.MOST_VALUES + 1
    assert sum(reasons.values()) == len(many)
    assert found[of("tapedeck_publisher_quarantined_total", reason="other")] == 25


def test_what_the_catalogue_does_not_know_is_left_out() -> None:
    found = scraped(Snapshot(role="taper", at=1.0, held="", values={"tapedeck_gone_total": {"": 1.0}}))
    assert {name for name, _ in found} == {"tapedeck_ready", "tapedeck_turned_timestamp_seconds"}


def test_processes_that_share_one_work_are_told_of_as_one() -> None:
    buckets = Buckets()
    buckets.add(0.003, 4)
    parts = [
        metrics.snapshot(
            "publisher",
            20.0,
            "",
            {metrics.PUBLISHED: 5, metrics.LATENCY: buckets, metrics.CHATTER: {"answer": 1.0}},
        ),
        metrics.snapshot(
            "publisher-1",
            10.0,
            "no Kafka",
            {metrics.PUBLISHED: 7, metrics.LATENCY: buckets, metrics.CHATTER: {"pong": 2.0}},
        ),
        metrics.snapshot("publisher-2", 15.0, "no Kafka", {}),
    ]
    whole = metrics.together("publisher", parts)
    assert (whole.role, whole.at, whole.held) == ("publisher", 10.0, "no Kafka")
    assert whole.values[metrics.PUBLISHED.name] == {"": 12.0}
    assert whole.values[metrics.CHATTER.name] == {"answer": 1.0, "pong": 2.0}
    assert whole.values[metrics.LATENCY.name]["0.005"] == 8.0

"""Alerts and dashboards: each alert bites, has a runbook, and names nothing that does not exist."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tapedeck.metrics import CATALOGUE, Kind
from tests.servers import ROOT

PROMETHEUS = ROOT / "docker" / "prometheus"
DASHBOARDS = sorted((ROOT / "docker" / "grafana" / "dashboards").glob("*.json"))
RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((PROMETHEUS / "rules.yml").read_text())["groups"]
    for rule in group["rules"]
]
NAME = re.compile(r"tapedeck_\w+")


def known() -> set[str]:
    """All series' names that a scrape can give."""
    histograms = [name for name, metric in CATALOGUE.items() if metric.kind is Kind.HISTOGRAM]
    return {*CATALOGUE, *(f"{name}_{end}" for name in histograms for end in ("bucket", "sum", "count"))}


def promtool(*words: str | Path) -> str:
    """What promtool says; without it the test is skipped."""
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not on this machine: apt-get install prometheus brings it")
    done = subprocess.run([program, *words], capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_configuration_and_the_rules_are_right() -> None:
    assert f"{len(RULES)} rules found" in promtool("check", "config", PROMETHEUS / "prometheus.yml")


def test_each_alert_is_silent_before_its_time_and_fires_after_it() -> None:
    files = sorted(PROMETHEUS.glob("rules_*test.yml"))
    assert promtool("test", "rules", *files).count("SUCCESS") == len(files)
    tried = "".join(file.read_text() for file in files)
    for rule in RULES:
        assert f'alertname="{rule["alert"]}"' in tried, f"{rule['alert']} is not tried"


def test_each_alert_says_what_it_is_and_where_its_runbook_is() -> None:
    headings = re.findall(r"^## (.+)$", (ROOT / "docs" / "operations.md").read_text(), re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    for rule in RULES:
        page, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert page == "docs/operations.md"
        assert anchor in anchors, f"{rule['alert']} has no runbook {anchor}"
        assert rule["annotations"]["summary"]
        assert rule["labels"]["severity"] in ("page", "warn")


def test_the_runbook_names_the_alerts_it_is_for() -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    for rule in RULES:
        title = next(
            heading
            for heading in re.findall(r"^## .+$", text, re.MULTILINE)
            if re.sub(r"[^\w -]", "", heading[3:].lower()).replace(" ", "-")
            == rule["annotations"]["runbook"].partition("#")[2]
        )
        below = text.partition(f"{title}\n")[2].partition("\n## ")[0]
        assert rule["alert"] in below


def test_rules_and_dashboards_name_only_metrics_that_exist_and_dashboards_show_all() -> None:
    shown: set[str] = set()
    for rule in RULES:
        assert set(NAME.findall(rule["expr"])) <= known()
    for file in DASHBOARDS:
        found = set(NAME.findall(" ".join(queries(file))))
        assert found <= known()
        shown |= {name if name in CATALOGUE else name.removesuffix("_bucket") for name in found}
    assert set(CATALOGUE) - shown == {"tapedeck_turned_timestamp_seconds"}, "of which the alerts speak"


def queries(file: Path) -> list[str]:
    """Every query of a dashboard."""
    return [target["expr"] for panel in json.loads(file.read_text())["panels"] for target in panel["targets"]]


def test_dashboards_use_the_data_source_that_is_provisioned() -> None:
    folder = ROOT / "docker" / "grafana" / "provisioning" / "datasources"
    [source] = yaml.safe_load((folder / "prometheus.yaml").read_text())["datasources"]
    for file in DASHBOARDS:
        board = json.loads(file.read_text())
        for panel in board["panels"]:
            assert panel["datasource"]["uid"] == source["uid"]
        assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])

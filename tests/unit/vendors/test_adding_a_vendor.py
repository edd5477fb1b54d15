"""docs/adding-a-vendor.md, followed: a package of one's own, built from what the page says alone."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tapedeck import vendors

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "adding-a-vendor.md").read_text("utf-8")
LOADED = """
import json, sys
from pathlib import Path
from tapedeck import settings, vendors
from tapedeck.tape import capture

acme = settings.load().vendor("acme")
vendor = vendors.get("acme")
found = capture.check(Path("capture"), vendor, acme.symbols[0])
said = [(stamp, one) for stamp, _, all_of_it in capture.walk(found, vendor) for one in all_of_it]
print(json.dumps({
    "known": vendors.names(),
    "window": [acme.window_seconds(kind) for kind in ("trade", "quote", "book")],
    "lines": found.lines,
    "said": [
        [type(one).__name__, getattr(one, "symbol", ""), getattr(one, "ts_recv", 0), stamp]
        for stamp, one in said
    ],
}))
"""


def block(language: str, begin: str) -> str:
    """The page's block of that language that begins so."""
    (found,) = re.findall(rf"^```{language}\n({re.escape(begin)}.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert isinstance(found, str)
    return found


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A folder that is as if the page's package had been installed there, with the page's settings."""
    (tmp_path / "acme_feed.py").write_text(block("python", '"""Acme Markets'), "utf-8")
    (tmp_path / "test_acme_feed.py").write_text(block("python", "from tapedeck import vendors"), "utf-8")
    (tmp_path / "tapedeck.toml").write_text(block("toml", "[vendors.acme]"), "utf-8")
    points = tomllib.loads(block("toml", "[project.entry-points"))["project"]["entry-points"]
    info = tmp_path / "acme_feed-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-feed\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "".join(
            f"[{group}]\n" + "".join(f"{name} = {target}\n" for name, target in found.items())
            for group, found in points.items()
        )
    )
    return tmp_path


def run(package: Path, *arguments: str) -> str:
    """What Python prints when it runs there with the package on its path."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith("TAPEDECK_")}
    environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    environ["PYTHONPATH"] = os.pathsep.join([str(package), str(ROOT / "plugins")])
    done = subprocess.run(
        [sys.executable, *arguments], cwd=package, env=environ, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_pages_own_test_passes(package: Path) -> None:
    shown = run(package, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir=.", "test_acme_feed.py")
    assert "3 passed" in shown


def test_its_vendor_is_found_by_name_set_by_its_table_and_reads_a_captured_file(package: Path) -> None:
    (trade,) = re.findall(rb"^TRADE = b'(.*)'$", PAGE.encode(), re.MULTILINE)
    recv_ns = 1_793_629_800_200_000_000
    lines = [(recv_ns, trade), (recv_ns, b'{"type":"hello"}'), (recv_ns, trade), (recv_ns + 9, b"{}")]
    (package / "capture").write_bytes(b"".join(b"%d %s\n" % line for line in lines))
    shown = json.loads(run(package, "-c", LOADED))
    assert {"acme", "binance_usdm", "okx"} <= set(shown["known"])
    assert shown["window"] == [600, 60, 600]
    assert shown["lines"] == 4
    assert shown["said"] == [
        ["Trade", "ES.Z6", recv_ns, recv_ns],
        ["Chatter", "", 0, recv_ns + 1],
        ["Trade", "ES.Z6", recv_ns + 1, recv_ns + 1],
        ["Refusal", "", 0, recv_ns + 9],
    ]


def test_the_page_names_every_vendor_that_is_there() -> None:
    table = PAGE.partition("## The vendors that are there")[2]
    assert set(re.findall(r"`([a-z]+(?:_[a-z]+)?)`", table)) >= set(vendors.names())

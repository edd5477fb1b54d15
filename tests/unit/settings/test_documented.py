"""Every key is documented with its default, no other is, and the examples are what they say."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from msgspec import Struct

from tapedeck.cli.main import run
from tapedeck.settings import BinanceHistory, FilesHistory, SessionTable, Settings, TapeHistory, Vendor
from tests.servers import ROOT

PAGE = ROOT / "docs" / "settings.md"
EXAMPLES = [ROOT / "tapedeck.toml", *sorted((ROOT / "docs" / "settings").glob("*.toml"))]
NAMED = {"calendars.NAME": SessionTable, "vendors.NAME": Vendor}
HISTORY = {"tape": TapeHistory, "binance": BinanceHistory, "files": FilesHistory}


def known() -> Iterator[tuple[str, str]]:
    """Each key's table and name, with its default as JSON; `–` where it must be given."""
    for one in msgspec.structs.fields(Settings):
        if isinstance(one.type, type) and issubclass(one.type, Struct):
            yield from of_table(one.name, one.type)
        elif one.name not in ("calendars", "vendors"):
            yield one.name, said(one)
    for name, table in NAMED.items():
        yield from of_table(name, table)
    for name, table in HISTORY.items():
        yield from of_table(f"vendors.NAME.history {name}", table)


def of_table(above: str, table: type[Struct]) -> Iterator[tuple[str, str]]:
    for one in msgspec.structs.fields(table):
        yield f"{above}.{one.name}", said(one)


def said(field: msgspec.structs.FieldInfo) -> str:
    if field.default is not msgspec.NODEFAULT:
        return json.dumps(field.default)
    return json.dumps(field.default_factory()) if field.default_factory is not msgspec.NODEFAULT else "–"


def documented() -> Iterator[tuple[str, str]]:
    above = ""
    for line in PAGE.read_text("utf-8").splitlines():
        if head := re.match(r"## `\[\[?([\w.]+)\]\]?`(?: of type `(\w+)`)?", line):
            above = f"{head[1]} {head[2]}." if head[2] else f"{head[1]}."
        elif line.startswith("## "):
            above = ""
        elif row := re.match(r"\| `(\w+)` \| (?:`(.*?)`|(–)) \| (\S.*) \|$", line):
            yield f"{above}{row[1]}", row[2] or row[3]


def test_each_key_is_documented_with_its_default_and_no_other_is() -> None:
    assert dict(documented()) == dict(known())


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_each_example_passes_the_check(
    example: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    text = example.read_text("utf-8")
    for name in ("ca.pem", "nats.creds"):  # certificates that a reader has
        text = text.replace(f"/etc/tapedeck/{name}", str(ROOT / "tests" / "unit" / "settings" / name))
    (tmp_path / "tapedeck.toml").write_text(text)
    monkeypatch.setenv("TAPEDECK_SETTINGS", str(tmp_path / "tapedeck.toml"))
    monkeypatch.setenv("TAPEDECK_KAFKA__CLIENT__SASL_PASSWORD", "x")
    assert run(["config", "--check"]) == 0
    assert capfd.readouterr() == ("", "")

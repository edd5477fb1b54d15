"""A settings file of an earlier version works, or says what changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tapedeck.errors import BadInput
from tapedeck.settings import load, load_whole, renamed
from tapedeck.settings.renamed import Renamed

LEAVES = 71
FIRST = Path(__file__).with_name("tapedeck-0.1.0.toml")
"""Every key that 0.1.0 knew, each with another value than its default."""


def test_every_key_of_the_first_version_still_says_what_it_said() -> None:
    found = load_whole({"TAPEDECK_SETTINGS": str(FIRST)})
    where = f"in {FIRST} line 67"
    assert found.notes == [
        f"store.generations is called store.keep_age since 0.2.0, {where}: the old name is still heeded"
    ]
    settings = found.settings
    told = {one.name for one in found.origins if one.source.startswith(str(FIRST))}
    assert len(told) == LEAVES
    assert {"kafka.retention", "mongo.database", "vendors.acme.silence", "vendors.acme.history"} <= told
    assert (settings.store.keep_age, settings.tape.keep_age, settings.kafka.retention) == ("31d", "15d", "8d")
    assert settings.vendor("acme").window_seconds("trade") == 300


def test_the_old_name_beside_the_new_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tapedeck.toml").write_text('[store]\ngenerations = "1d"\nkeep_age = "2d"\n')
    with pytest.raises(
        BadInput, match=r"both store.keep_age and store.generations, its name before 0.2.0, .* line 2"
    ):
        load({}, tmp_path)


def test_a_variable_of_the_old_name_is_heeded_too(tmp_path: Path) -> None:
    found = load_whole({"TAPEDECK_STORE__GENERATIONS": "5d"}, tmp_path)
    assert found.settings.store.keep_age == "5d"
    assert "in environment TAPEDECK_STORE__GENERATIONS" in found.notes[0]


def test_a_key_of_each_vendor_may_move_and_what_is_gone_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renamed, "RENAMED", {"vendors.*.slack": Renamed("vendors.*.margin", "9.0")})
    monkeypatch.setattr(renamed, "GONE", {"kafka.zookeeper": "Kafka needs none, remove it"})
    (tmp_path / "tapedeck.toml").write_text('[vendors.a]\nslack = "7s"\n[vendors.b]\nslack = "8s"\n')
    found = load_whole({}, tmp_path)
    assert [found.settings.vendor(v).margin for v in "ab"] == ["7s", "8s"]
    assert len(found.notes) == 2
    with pytest.raises(
        BadInput, match=r"kafka.zookeeper is gone, in environment TAPEDECK_KAFKA__ZOOKEEPER: Kafka needs"
    ):
        load({"TAPEDECK_KAFKA__ZOOKEEPER": "x"}, tmp_path)

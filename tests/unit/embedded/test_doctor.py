"""What the doctor says of a disk that is full, of memory that is short, and of ports that are taken."""

from __future__ import annotations

import shutil
import socket
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from tapedeck.embedded import doctor
from tapedeck.embedded.doctor import Finding
from tapedeck.settings import Airflow, Kafka, Mongo, Settings
from tests.servers import free_port

GB = 10**9


def examined(settings: Settings) -> dict[str, Finding]:
    return {finding.name: finding for finding in doctor.examine(settings)}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Kafka alone is to be embedded, on a free port."""
    return Settings(
        state_dir=str(tmp_path / "not" / "there"), kafka=Kafka(port=free_port()),
        mongo=Mongo(uri="mongodb://elsewhere/"), airflow=Airflow(url="http://elsewhere"),
    )  # fmt: skip


@pytest.mark.parametrize(("free", "ok"), [(5 * GB, True), (5 * GB - 1, False)])
def test_a_disk_needs_five_gigabytes(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, ok: bool
) -> None:
    usage = namedtuple("usage", "total used free")
    asked: list[Path] = []
    monkeypatch.setattr(shutil, "disk_usage", lambda place: asked.append(place) or usage(0, 0, free))
    found = examined(settings)["disk"]
    assert asked == [tmp_path]  # the nearest folder that is there
    assert (found.ok, found.found) == (ok, f"5.0 GB free on {tmp_path}")
    assert found.remedy == ("" if ok else "free 5.0 GB, or set TAPEDECK_STATE_DIR to a larger disk")


@pytest.mark.parametrize(("available", "ours", "ok"), [(3.0, 0.0, True), (2.9, 0.0, False), (2.0, 1.0, True)])
def test_memory_that_its_own_servers_hold_counts_as_free(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, available: float, ours: float, ok: bool
) -> None:
    memory = SimpleNamespace(available=int(available * GB))
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    monkeypatch.setattr(doctor, "_resident", lambda _, name: int(ours * GB) if name == "kafka" else 0)
    found = examined(settings)["memory"]
    assert (found.ok, found.found) == (ok, f"{available:.1f} GB available")
    assert ("tapedeck up --no-airflow" in found.remedy) is not ok


def test_a_taken_port_is_told_and_is_no_fault(settings: Settings) -> None:
    port = settings.kafka.port
    assert examined(settings)["port of kafka"] == Finding("port of kafka", True, f"{port} is free")
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", port))
        holder.listen(1)
        found = examined(settings)
    said = f"{port} is taken by someone: the next free one will be used"
    assert found["port of kafka"] == Finding("port of kafka", True, said)
    assert {name for name in found if name.startswith("port")} == {"port of kafka"}  # others are elsewhere


def test_a_state_directory_that_can_not_be_made_is_told(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "not").write_text("a file")
    found = examined(settings)["state directory"]
    assert (found.ok, found.found) == (False, f"{tmp_path / 'not'} can't be written")
    assert found.remedy == f"make {tmp_path / 'not'} writable, or set TAPEDECK_STATE_DIR to a folder that is"

"""A taken port moves on, and the one that was found is kept."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tapedeck.embedded.ports import Ports, is_free
from tests.servers import free_port


def _hold(port: int) -> socket.socket:
    held = socket.socket()
    held.bind(("127.0.0.1", port))
    held.listen()
    return held


def test_a_free_port_is_taken_as_wanted(tmp_path: Path) -> None:
    port = free_port()
    assert Ports(tmp_path).choose("kafka", port) == port


def test_a_taken_port_moves_on_to_the_next_free_one_and_stays_there(tmp_path: Path) -> None:
    port = free_port(2)
    with _hold(port):
        assert not is_free(port)
        assert Ports(tmp_path).choose("kafka", port) == port + 1
    assert Ports(tmp_path).choose("kafka", port) == port + 1, "kept although the wanted one is free again"


def test_another_setting_is_obeyed_over_the_kept_port(tmp_path: Path) -> None:
    first, second = free_port(2), free_port(2)
    Ports(tmp_path).choose("kafka", first)
    assert Ports(tmp_path).choose("kafka", second) == second


def test_no_port_is_given_twice(tmp_path: Path) -> None:
    port = free_port(2)
    ports = Ports(tmp_path)
    assert [ports.choose("kafka", port), ports.choose("mongod", port)] == [port, port + 1]


@pytest.mark.parametrize("content", [b"", b"{", b'{"kafka": 1}'])
def test_a_broken_memory_of_ports_is_as_good_as_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "ports.json").write_bytes(content)
    port = free_port()
    assert Ports(tmp_path).choose("kafka", port) == port

"""Ports of the embedded servers: the one that is set, else the next free one, kept over down and up."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

import msgspec

from tapedeck.embedded.launch import write_whole
from tapedeck.errors import Unavailable

_SEARCHED = 200


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen there now (a socket in TIME_WAIT does not matter)."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError:
            return False
    return True


class Ports:
    """The ports of one state directory, chosen one after the other so that none is given twice."""

    def __init__(self, state: Path) -> None:
        self._file = state / "ports.json"
        self._kept: dict[str, tuple[int, int]] = {}
        self._given: dict[int, str] = {}
        with contextlib.suppress(OSError, msgspec.DecodeError):
            self._kept = msgspec.json.decode(self._file.read_bytes(), type=dict[str, tuple[int, int]])

    def choose(self, name: str, wanted: int, host: str = "127.0.0.1") -> int:
        """The port for that name: the one it had last time for the same `wanted`, else `wanted`,
        else the next above it that is free and no other name's. Raises Unavailable where none of 200 is."""
        kept_for, kept = self._kept.get(name, (0, 0))
        first = [kept] if kept_for == wanted else []
        port: int
        for port in [*first, *range(wanted, min(wanted + _SEARCHED, 65536))]:
            if self._given.get(port, name) == name and is_free(port, host):
                self._given[port] = name
                self._kept[name] = (wanted, port)
                write_whole(self._file, msgspec.json.encode(self._kept))
                return port
        raise Unavailable(
            f"no port from {wanted} to {wanted + _SEARCHED - 1} is free for {name}: "
            "end what holds them, or set another port in tapedeck.toml"
        )

    def kept(self, name: str) -> int | None:
        """The port that was chosen for that name last."""
        return self._kept[name][1] if name in self._kept else None

    def is_lost(self, name: str) -> bool:
        """Whether a port chosen for that name (or `<name>-controller`) is now held by someone."""
        mine = [port for key, (_, port) in self._kept.items() if key in (name, f"{name}-controller")]
        return not all(map(is_free, mine))

"""A running server's log is bounded, and the server goes on writing to it."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

from tapedeck.embedded import logrotate
from tapedeck.embedded.launch import _open_log


def test_what_a_server_writes_is_set_aside_while_it_holds_its_log_open_and_five_are_kept(
    tmp_path: Path,
) -> None:
    log = tmp_path / "kafka.log"
    held = _open_log(log)
    for turn in range(1, 8):
        os.write(held, f"turn {turn}\n".encode() * 20)
        assert not logrotate.set_aside(log, limit=10_000)
        assert logrotate.set_aside(log, limit=100)
        assert log.stat().st_size == 0
    os.write(held, b"after\n")
    assert log.read_bytes() == b"after\n"  # from the beginning, not behind a hole
    os.close(held)
    kept = {path.name: gzip.decompress(path.read_bytes()).split(b"\n")[0] for path in tmp_path.glob("*.gz")}
    assert kept == {f"kafka.log.{n}.gz": f"turn {8 - n}".encode() for n in range(1, 6)}


def test_what_is_small_or_not_there_is_left_alone(tmp_path: Path) -> None:
    assert not logrotate.set_aside(tmp_path / "none.log")
    (tmp_path / "small.log").write_bytes(b"x")
    assert not logrotate.set_aside(tmp_path / "small.log")

"""Nothing that comes from outside is ever unpickled, evaluated or run: not by us, nor by what we call."""

from __future__ import annotations

import ast
from pathlib import Path

import lz4.block
import pytest

from tapedeck.errors import Mismatch
from tapedeck.store import decoder
from tests.servers import ROOT

SOURCES = [path for folder in ("plugins", "live", "dags") for path in (ROOT / folder).rglob("*.py")]
UNPICKLE = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "jsonpickle", "yaml"}
EVALUATE = {"eval", "exec", "read_pickle", "to_pickle", "allow_pickle", "VersionStore", "VERSION_STORE"}


def names(path: Path) -> set[str]:
    """Each module that a file imports, each name that it uses."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module.partition(".")[0], *(alias.name for alias in node.names)}
        elif isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.keyword) and node.arg:
            found.add(node.arg)
    return found


def test_no_file_of_ours_unpickles_or_evaluates() -> None:
    assert len(SOURCES) > 200
    assert {path.name: used for path in SOURCES if (used := names(path) & (UNPICKLE | EVALUATE))} == {}


def test_arctic_is_called_by_one_file_that_makes_libraries_of_ticks_and_reads_nothing() -> None:
    callers = [
        path.name for path in SOURCES if "arctic" in path.read_text("utf-8") and "Arctic" in names(path)
    ]
    assert callers == ["library.py"]
    used = names(ROOT / "plugins" / "tapedeck" / "store" / "library.py")
    assert "TICK_STORE" in used
    assert not used & {"read", "get_library", "library_exists", "delete_library", "rename_library"}


def test_no_shell_is_ever_used() -> None:
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.keyword) and node.arg == "shell":
                pytest.fail(f"{path} starts a shell in line {node.lineno}")
            assert not (isinstance(node, ast.Attribute) and node.attr in ("system", "popen", "getoutput")), (
                path
            )


def test_a_block_that_wants_more_memory_than_its_rows_can_need_is_refused_unread() -> None:
    block = lz4.block.compress(b"\0" * 80)
    assert len(decoder._unpacked("trade", {"_id": "x"}, block, 80)) == 80
    huge = (2**31 - 1).to_bytes(4, "little") + block[4:]
    for lie in (huge, lz4.block.compress(b"\0" * 88)):
        with pytest.raises(Mismatch, match="the trade document 'x' is damaged"):
            decoder._unpacked("trade", {"_id": "x"}, lie, 80)

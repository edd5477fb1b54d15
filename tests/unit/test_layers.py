"""The contracts of `make lint` speak of every module that there is."""

from __future__ import annotations

import tomllib

from tests.servers import ROOT

LIBRARY = ROOT / "plugins" / "tapedeck"


def modules() -> set[str]:
    """The library's modules and packages, one below the root."""
    found = {path.stem for path in LIBRARY.glob("*.py")} | {
        path.parent.name for path in LIBRARY.glob("*/*.py")
    }
    return {f"tapedeck.{name}" for name in found - {"__init__"}}


def contract(kind: str) -> dict[str, list[str]]:
    linter = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    [*_, found] = [one for one in linter["contracts"] if one["type"] == kind]
    return found  # type: ignore[no-any-return]


def test_no_module_but_one_may_import_airflow() -> None:
    assert set(contract("forbidden")["source_modules"]) == {"live", *modules() - {"tapedeck.airflow"}}


def test_every_module_has_a_layer() -> None:
    layers = {name for layer in contract("layers")["layers"] for name in layer.split(" | ")}
    assert layers == modules()

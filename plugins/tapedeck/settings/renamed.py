"""Keys of settings files of earlier versions: what they are called now, or why they are gone."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from tapedeck.errors import BadInput


class Renamed(NamedTuple):
    """A key's name now, and the version since which it has it."""

    name: str
    since: str


RENAMED: Mapping[str, Renamed] = MappingProxyType(
    {
        "store.generations": Renamed("store.keep_age", "0.2.0"),
    }
)
"""By the name before; a `*` stands for a name that the settings' owner chose. Old names are heeded, and
`tapedeck config` tells of them."""

GONE: Mapping[str, str] = MappingProxyType({})
"""Keys that say nothing any more, each with what to do instead. They are refused with that sentence."""


def apply(table: dict[str, Any], sources: dict[str, str]) -> list[str]:
    """Move what stands under an old name to where it belongs; what was moved, a sentence each.

    `sources`, by dotted name, moves along. Raises BadInput where both names are set, or for what is gone.
    """
    said = []
    for old, new in RENAMED.items():
        for name in _found(table, old):
            chosen = [own for own, word in zip(name, old.split("."), strict=True) if word == "*"]
            path = tuple(chosen.pop(0) if word == "*" else word for word in new.name.split("."))
            said.append(_move(table, name, path, new.since, sources))
    for old, instead in GONE.items():
        for name in _found(table, old):
            source = sources.get(".".join(name), "the settings file")
            raise BadInput(f"the setting {'.'.join(name)} is gone, in {source}: {instead}")
    return said


def _move(
    table: dict[str, Any], old: tuple[str, ...], new: tuple[str, ...], since: str, sources: dict[str, str]
) -> str:
    before, now = ".".join(old), ".".join(new)
    source = sources.get(before, "the settings file")
    value = _inside(table, old[:-1]).pop(old[-1])
    target = _inside(table, new[:-1])
    if new[-1] in target:
        raise BadInput(
            f"both {now} and {before}, its name before {since}, are set, in {source}: remove {before}"
        )
    target[new[-1]] = value
    if before in sources:
        sources[now] = sources.pop(before)
    return f"{before} is called {now} since {since}, in {source}: the old name is still heeded"


def _found(table: dict[str, Any], pattern: str) -> list[tuple[str, ...]]:
    """The names in the table that the pattern means."""
    found: list[tuple[tuple[str, ...], Any]] = [((), table)]
    for word in pattern.split("."):
        found = [
            ((*above, key), inner[key])
            for above, inner in found
            if isinstance(inner, dict)
            for key in (list(inner) if word == "*" else [word])
            if key in inner
        ]
    return [name for name, _ in found]


def _inside(table: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    for name in names:
        table = table.setdefault(name, {})
    return table

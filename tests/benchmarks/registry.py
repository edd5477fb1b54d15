"""Benchmarks by name: a function `measure(bench) -> Result` a file, registered by its decorator."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from tapedeck.errors import BadInput
from tests.benchmarks.bench import Bench
from tests.benchmarks.result import Result

Measure = Callable[[Bench], Result]


class Benchmark(Struct, frozen=True):
    """A benchmark, and the programs and files without which it is skipped."""

    name: str
    measure: Measure
    needs: tuple[str, ...]
    files: tuple[Path, ...] = ()


_known: dict[str, Benchmark] = {}


def benchmark(
    name: str, needs: tuple[str, ...] = (), files: tuple[Path, ...] = ()
) -> Callable[[Measure], Measure]:
    """Register a function as the benchmark of that name."""

    def register(measure: Measure) -> Measure:
        _known[name] = Benchmark(name, measure, needs, files)
        return measure

    return register


def chosen(name: str) -> list[Benchmark]:
    """The benchmark of that name, or all for an empty one. Raises BadInput for a name that none has."""
    if not name:
        return list(_known.values())
    if name not in _known:
        near = difflib.get_close_matches(name, _known, 1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise BadInput(f"there is no benchmark {name!r}{hint}: there are {', '.join(_known)}")
    return [_known[name]]

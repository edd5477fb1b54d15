"""Results as an aligned table, and as `bench.json` (DESIGN §11)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from tests.benchmarks.result import Result

HEAD = ("benchmark", "value", "unit", "baseline", "is", "ratio", "must", "")


def rows(results: Mapping[str, Result]) -> str:
    """The table: a row a benchmark, numbers to the right."""
    cells = [HEAD]
    for name, r in results.items():
        verdict = "met" if r.met else "not met"
        value, baseline = (_number(n) for n in (r.value, r.baseline))
        cells.append((name, value, r.unit, r.baseline_name, baseline, f"{r.ratio:.2f}", str(r.must), verdict))
    widths = [max(len(row[i]) for row in cells) for i in range(len(HEAD))]
    lines = []
    for row in cells:
        aligned = [
            cell.rjust(width) if i in (1, 4, 5) else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(aligned).rstrip())
    return "\n".join(lines)


def keep(path: Path, results: Mapping[str, Result], merge: bool) -> None:
    """Write results to a file; where `merge`, those of other benchmarks that it has stay."""
    known = msgspec.json.decode(path.read_bytes()) if merge and path.exists() else {}
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.new")
    new.write_bytes(
        msgspec.json.format(msgspec.json.encode(known | {n: r.to_json() for n, r in results.items()}))
    )
    new.rename(path)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:,.2f}"

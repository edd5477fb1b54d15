"""What reading a partition of a day found, kept beside the reports until what was read has changed.

`<vendor>/<day>.reads/<partition>.read`, with a fingerprint of what the log's plan says of the partition and
of the sums of counts and digests of its windows. So a page is made again without its ticks.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from lz4 import frame

from tapedeck.log.plan import Plan
from tapedeck.reports.axis import Axis
from tapedeck.reports.reading import VERSION, PartRead
from tapedeck.reports.thresholds import Thresholds
from tapedeck.settings import Settings
from tapedeck.slices import Slice
from tapedeck.store import database, tallies
from tapedeck.store.library import Library
from tapedeck.store.window import CODE_VERSION

DAYS = 20
"""Of so many days what was read is kept; older ones are read again if they are asked for."""


class Gaps(msgspec.Struct, frozen=True, kw_only=True):
    """What the day's gap check said beside its findings, which are in Mongo."""

    counts: dict[str, int]
    notes: list[str]


class _File(msgspec.Struct, frozen=True, kw_only=True):
    fingerprint: str
    read: PartRead | None = None
    gaps: Gaps | None = None


def fingerprints(
    settings: Settings,
    libraries: Mapping[str, Library],
    plan: Plan,
    of: Slice,
    on: Axis,
    limits: Thresholds,
) -> dict[int, str]:
    """By partition, what its reading stands for. Where it is the same, reading again finds the same."""
    length = max(one.window for one in libraries.values())
    whole = Slice(of.start // length * length, of.end)
    common = [VERSION, CODE_VERSION, of, on, limits]
    parts: dict[int, list[Any]] = {
        p: [[r.topic_id, r.partition, r.start, r.stop] for r in plan.of(p)] for p in range(plan.partitions)
    }
    with database.answering(settings):
        for p in parts:
            for one in sorted(tallies.read(libraries.values(), whole, partition=p), key=_order):
                sums = [[t.messages, str(t.digest)] for t in one.tallies]
                parts[p].append([one.kind, one.start, one.documents, sums])
    return {p: _digest([*common, part]) for p, part in parts.items()}


def load(folder: Path, partition: int, fingerprint: str) -> PartRead | None:
    """What was kept of the partition if it stands for the same; a file that is none of ours is none."""
    found = _load(folder / f"{partition}.read", fingerprint)
    return found.read if found else None


def save(folder: Path, fingerprint: str, read: PartRead) -> None:
    """Keep what reading a partition found, in place of what was kept of it before."""
    _save(folder / f"{read.partition}.read", _File(fingerprint=fingerprint, read=read))


def forget(folder: Path, partition: int) -> None:
    """Keep nothing of the partition."""
    (folder / f"{partition}.read").unlink(missing_ok=True)


def load_gaps(folder: Path, plan: Plan) -> Gaps | None:
    """What the gap check of this very plan said."""
    found = _load(folder / "gaps.read", plan.digest)
    return found.gaps if found else None


def save_gaps(folder: Path, plan: Plan, gaps: Gaps) -> None:
    """Keep what the gap check of the plan said."""
    _save(folder / "gaps.read", _File(fingerprint=plan.digest, gaps=gaps))


def tidy(vendor: Path) -> None:
    """Keep what was read of a vendor's newest days only."""
    for folder in sorted(vendor.glob("????-??-??.reads"))[:-DAYS]:
        shutil.rmtree(folder, ignore_errors=True)


def _load(path: Path, fingerprint: str) -> _File | None:
    try:
        found = msgspec.msgpack.decode(frame.decompress(path.read_bytes()), type=_File)
    except (OSError, RuntimeError, msgspec.DecodeError):  # not there, cut short, or of another version
        return None
    return found if found.fingerprint == fingerprint else None


def _save(path: Path, content: _File) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_bytes(frame.compress(msgspec.msgpack.encode(content)))
    fresh.replace(path)
    tidy(path.parent.parent)


def _order(one: tallies.Summed) -> tuple[str, int]:
    return one.kind, one.start


def _digest(parts: list[Any]) -> str:
    return hashlib.sha256(msgspec.msgpack.encode(parts)).hexdigest()

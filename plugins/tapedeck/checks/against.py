"""What a slice is held against, as a person names it: a raw tape, history, another library, collectors."""

from __future__ import annotations

import re

from tapedeck.checks import sides_of
from tapedeck.checks.compare import Compared, compare
from tapedeck.errors import BadInput
from tapedeck.settings import Settings
from tapedeck.slices import Slice

FORM = "write it as arctic:PREFIX, tape or tape:PATH, history, or collectors:1,2"


def against(settings: Settings, vendor: str, of: Slice, what: str, symbol: str | None = None) -> Compared:
    """Hold a slice against what is named; changes nothing and keeps nothing.

    `arctic:PREFIX` the libraries of a replay, by place in the log · `tape`, `tape:PATH` a raw tape or
    captured file, by name, whose messages Arctic must have but for copies and voids · `history` the
    vendor's, by sequence · `collectors:1,2` two sources of the log, by sequence. `symbol`: of payloads that
    name none.
    Raises BadInput for anything else, or where one side has nothing to say; Unavailable.
    """
    settings.vendor(vendor)
    kind, _, rest = what.partition(":")
    if kind == "arctic" and rest:
        ours = sides_of.arctic(settings, vendor, of)
        return compare(vendor, of, ours, sides_of.arctic(settings, vendor, of, rest), "place", ())
    if kind == "tape":
        held = sides_of.arctic(settings, vendor, of)
        tape = sides_of.tape(settings, vendor, of, rest, symbol)
        tape = sides_of.without_copies(sides_of.only_of(tape, tape.src), held)
        return compare(vendor, of, tape, sides_of.only_of(held, tape.src), "name", ())
    if what == "history":
        theirs = sides_of.history(settings, vendor, of)
        blank = ("ts_recv", "ts_event", "prev", "src")  # its clock is another, its chain is not told
        return compare(vendor, of, theirs, sides_of.arctic(settings, vendor, of), "sequence", blank)
    if kind == "collectors" and re.fullmatch(r"\d+,\d+", rest):
        first, second = (_source(settings, vendor, int(part)) for part in rest.split(","))
        if first == second:
            raise BadInput(f"a collector is compared with another one, not with itself: {FORM}")
        sides = [sides_of.source(settings, vendor, of, src) for src in (first, second)]
        return compare(vendor, of, sides[0], sides[1], "sequence", ("ts_recv", "src"))
    raise BadInput(f"a slice can't be held against {what[:60]!r}: {FORM}")


def _source(settings: Settings, vendor: str, src: int) -> int:
    known = sides_of.sources_of(settings, vendor)
    if src not in known:
        listed = ", ".join(map(str, sorted(known))) or "none"
        raise BadInput(f"{vendor} never had a source {src} (it had: {listed}): name two of those")
    return src

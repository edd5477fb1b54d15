"""Refusing a symbol that nobody knows, once a slice turned out to hold nothing of it."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from tapedeck.errors import BadInput, Unavailable
from tapedeck.message import KINDS
from tapedeck.settings import Settings
from tapedeck.store.library import symbols_of


def check_known(settings: Settings, vendor: str, symbols: Sequence[str]) -> None:
    """Raises BadInput for a symbol that is neither in the settings nor in any of the vendor's libraries.

    Says nothing where MongoDB can't be asked: a valid slice that holds nothing is no error.
    """
    if not symbols:
        return
    known = set(settings.vendor(vendor).symbols)
    try:
        for kind in KINDS:
            known |= set(symbols_of(settings, f"{vendor}.{kind}"))
    except Unavailable:
        return
    for symbol in symbols:
        if symbol not in known:
            close = difflib.get_close_matches(symbol, known, 1)
            hint = f" (did you mean {close[0]!r}?)" if close else ""
            raise BadInput(f"{vendor} has no symbol {symbol!r}{hint}: write it as the vendor does")

"""Loading as it is called by `import tapedeck`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tapedeck.settings import Settings, load
from tapedeck.tape import load as loading
from tapedeck.tape.load import Loaded


def load_files(
    vendor: str, files: str | Path | Sequence[str | Path], symbol: str | None = None, *,
    settings: Settings | None = None,
) -> list[Loaded]:  # fmt: skip
    """Captured files into the vendor's backfill topic; all are read whole before anything is published.

    Loading one again publishes only what did not come through before. Raises as `tape.load.check` and
    `tape.load.load` do.
    """
    deck = settings or load()
    deck.vendor(vendor)
    paths = [Path(one) for one in ([files] if isinstance(files, str | Path) else files)]
    captures = loading.check(vendor, paths, symbol)
    return [loading.load(deck, vendor, one, symbol) for one in captures]

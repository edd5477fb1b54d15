"""Servers' logs set aside while they run: they append to the file that they were given, and know no other.

So the file is copied, compressed, and then emptied. What is written in the instant between the last look and
the emptying is lost: some lines of a server's talk at most, none of what it keeps.
"""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

LIMIT = 32 * 2**20
"""Bytes of a log above which it is set aside."""
KEPT = 5
"""So many of each are kept, the newest as `<log>.1.gz`."""


def set_aside(log: Path, limit: int = LIMIT) -> bool:
    """Set a log aside where it is larger than the limit; whether it was. Raises OSError."""
    if not log.is_file() or log.stat().st_size <= limit:
        return False
    fresh = log.with_name(f"{log.name}.new.gz")
    with log.open("rb") as full:
        with gzip.open(fresh, "wb", compresslevel=1) as packed:
            shutil.copyfileobj(full, packed, 2**20)
            while rest := full.read():
                packed.write(rest)
        _age(log)
        fresh.replace(_name(log, 1))
        with log.open("r+b") as emptied:
            emptied.truncate(0)
    return True


def _age(log: Path) -> None:
    _name(log, KEPT).unlink(missing_ok=True)
    for number in range(KEPT - 1, 0, -1):
        if _name(log, number).exists():
            _name(log, number).replace(_name(log, number + 1))


def _name(log: Path, number: int) -> Path:
    return log.with_name(f"{log.name}.{number}.gz")

"""Writes messages as a captured file, so that tests and demonstrations can make history."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, cast

import zstandard

from tapedeck.buses import captured
from tapedeck.errors import BadInput


def write(path: str | Path, messages: Iterable[tuple[int, bytes]]) -> int:
    """Write (recv_ns, payload) messages whole or not at all; gives their number.

    Packed by suffix: `.gz`, `.zst`, else plain. The same messages give the same bytes. Raises BadInput
    where the file can't be written, or where there is no message (that would be no capture).
    """
    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    count = 0
    try:
        with _packed(partial, path.suffix) as file:
            for recv_ns, payload in messages:
                file.write(captured.line_of(recv_ns, payload))
                count += 1
        if count == 0:
            raise BadInput(f"no message came, so {path} was not written: ask for a longer duration")
        os.replace(partial, path)
    except OSError as e:
        raise BadInput(f"{path} can't be written ({e.strerror}): name a file in a folder that can") from e
    finally:
        if path.parent.is_dir():
            partial.unlink(missing_ok=True)
    return count


@contextmanager
def _packed(path: Path, suffix: str) -> Iterator[IO[bytes]]:
    with ExitStack() as stack:
        file: IO[bytes] = stack.enter_context(open(path, "wb"))
        if suffix == ".gz":
            yield stack.enter_context(cast(IO[bytes], gzip.GzipFile("", "wb", 3, file, mtime=0)))
        elif suffix == ".zst":
            yield stack.enter_context(zstandard.ZstdCompressor().stream_writer(file, closefd=False))
        else:
            yield file

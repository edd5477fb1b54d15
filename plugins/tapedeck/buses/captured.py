"""Captured files: what a bus sent, one line `recv_ns payload` a message, plain, gzip or zstd.

Recorders of others write them, and so does the taper: a payload with a line feed, or beginning with
`b64:` or `!`, stands there as `b64:<base64>`, and a line that begins with `!` is the taper's own word.
The packing is told by the file's first bytes, never by its name.
"""

from __future__ import annotations

import binascii
import gzip
import hashlib
import zlib
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import msgspec
import zstandard

from tapedeck.errors import BadInput

OWN = b"!"
B64 = b"b64:"
MAX_LINE = 64 * 2**20
_CHUNK = 2**18
_MAX_NS = 2**63 - 1


def read(path: str | Path) -> Iterator[tuple[int, bytes]]:
    """Each message as (recv_ns, payload), in the file's order; the taper's own lines are left out.

    Raises BadInput, naming file and line, where the file can't be read, is cut off or is no capture.
    """
    for number, line in lines(path):
        if line[:1] != OWN:
            yield parse(line, path, number)


def lines(path: str | Path) -> Iterator[tuple[int, bytes]]:
    """Each line as (its number from 1, its bytes without the line feed), the taper's own included.

    A last line without a line feed is taken only where its payload is whole JSON: else the file
    was cut off there. Raises BadInput as `read` does.
    """
    number, rest = 0, b""
    try:
        for chunk in _chunks(path):
            pieces = (rest + chunk).split(b"\n")
            rest = pieces.pop()
            for number, line in enumerate(pieces, number + 1):  # noqa: B020
                yield number, line
            if len(rest) > MAX_LINE:
                raise BadInput(_no_capture(path, number + 1, f"it is longer than {MAX_LINE} bytes"))
    except (EOFError, zlib.error, gzip.BadGzipFile, zstandard.ZstdError) as e:
        raise BadInput(
            f"{path} breaks off or is damaged after line {number} ({e}): fetch or copy the file again"
        ) from e
    if rest:
        if not _is_whole(rest):
            raise BadInput(
                f"{path} breaks off in the middle of line {number + 1}: fetch or copy the file again"
            )
        yield number + 1, rest
    elif number == 0:
        raise BadInput(f"{path} is empty, so it is no capture: fetch or copy the file again")


def parse(line: bytes, path: str | Path, number: int) -> tuple[int, bytes]:
    """(recv_ns, payload) of one message's line. Raises BadInput naming file and line."""
    stamp, space, payload = line.partition(b" ")
    if not (stamp.isdigit() and space and len(stamp) <= 19 and 0 < (recv_ns := int(stamp)) <= _MAX_NS):
        raise BadInput(_no_capture(path, number, "it does not begin with a receipt time in ns and a space"))
    if payload[:4] == B64:
        try:
            payload = b64decode(payload[4:], validate=True)
        except binascii.Error as e:
            raise BadInput(_no_capture(path, number, f"its base64 is broken ({e})")) from e
    return recv_ns, payload


def line_of(recv_ns: int, payload: bytes) -> bytes:
    """The line of one message, with its line feed: what `parse` reads."""
    if b"\n" in payload or payload.startswith((B64, OWN)):
        payload = B64 + binascii.b2a_base64(payload, newline=False)
    return b"%d %b\n" % (recv_ns, payload)


def content_source(path: str | Path) -> int:
    """The source number of the file: 1000 + the first 48 bits of the SHA-256 of its plain content.

    So the same capture is the same source however it is packed or named. Raises BadInput where the
    file can't be read whole.
    """
    digest = hashlib.sha256()
    try:
        for chunk in _chunks(path):
            digest.update(chunk)
    except (EOFError, zlib.error, gzip.BadGzipFile, zstandard.ZstdError) as e:
        raise BadInput(f"{path} breaks off or is damaged ({e}): fetch or copy the file again") from e
    return 1000 + int.from_bytes(digest.digest()[:6], "big")


def check(path: str | Path) -> int:
    """How many messages the file holds, after reading it whole. Raises BadInput as `read` does."""
    return sum(1 for _ in read(path))


def _chunks(path: str | Path) -> Iterator[bytes]:
    """The file's plain content, piece by piece."""
    try:
        with open(path, "rb") as file:
            magic = file.read(4)
            file.seek(0)
            if magic[:2] == b"\x1f\x8b":
                with gzip.GzipFile(fileobj=file) as unpacked:
                    while chunk := unpacked.read(_CHUNK):
                        yield chunk
            elif magic == b"\x28\xb5\x2f\xfd":
                yield from _unzstd(file)
            else:
                while chunk := file.read(_CHUNK):
                    yield chunk
    except gzip.BadGzipFile:
        raise
    except OSError as e:
        raise BadInput(f"{path} can't be read ({e.strerror or e}): check its name and permissions") from e


def _unzstd(file: IO[bytes]) -> Iterator[bytes]:
    """All frames of a zstd file. A stream reader would take a cut frame for the end of the file."""
    frame = None
    while packed := file.read(_CHUNK // 16):
        while packed:
            frame = frame or zstandard.ZstdDecompressor().decompressobj()
            yield frame.decompress(packed)
            packed = frame.unused_data if frame.eof else b""
            frame = None if frame.eof else frame
    if frame is not None:
        raise EOFError("a zstd frame is not whole")


def _is_whole(line: bytes) -> bool:
    payload = line.partition(b" ")[2]
    try:
        return isinstance(msgspec.json.decode(payload), dict | list)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return False


def _no_capture(path: str | Path, number: int, why: str) -> str:
    return (
        f"{path} is no capture: line {number} is wrong, {why} "
        "(each line is `recv_ns payload`, for example `1723161256322000000 {…}`)"
    )

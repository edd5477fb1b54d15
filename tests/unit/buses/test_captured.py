"""Captured files are read whole, however they are packed, or refused with file and line."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from tapedeck.buses import captured
from tapedeck.errors import BadInput

PLAIN = b"".join(b'%d {"n":%d}\n' % (1_723_161_255_000_000_000 + n, n) for n in range(50_000))
PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "plain": lambda content: content,
    "gzip": lambda content: gzip.compress(content, 1),
    "two gzip members": lambda content: gzip.compress(content[:777], 1) + gzip.compress(content[777:], 1),
    "zstd": lambda content: zstandard.compress(content, 1),
    "two zstd frames": lambda c: zstandard.compress(c[:777], 1) + zstandard.compress(c[777:], 1),
    "zstd of unknown size": lambda c: zstandard.ZstdCompressor(write_content_size=False).compress(c),
}


def saved(folder: Path, content: bytes) -> Path:
    path = folder / "market.capture"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("packing", PACKINGS)
def test_every_packing_gives_the_same_messages_and_the_same_source(tmp_path: Path, packing: str) -> None:
    path = saved(tmp_path, PACKINGS[packing](PLAIN))
    found = list(captured.read(path))
    assert len(found) == captured.check(path) == 50_000
    assert found[0] == (1_723_161_255_000_000_000, b'{"n":0}')
    assert found[-1] == (1_723_161_255_000_049_999, b'{"n":49999}')
    expected = 1000 + (int.from_bytes(hashlib.sha256(PLAIN).digest(), "big") >> (256 - 48))
    assert captured.content_source(path) == expected


@pytest.mark.parametrize("packing", [name for name in PACKINGS if name != "plain"])
@pytest.mark.parametrize("share", [0.3, 0.999])
def test_a_cut_file_is_refused_and_says_after_which_line(tmp_path: Path, packing: str, share: float) -> None:
    packed = PACKINGS[packing](PLAIN)
    path = saved(tmp_path, packed[: int(len(packed) * share)])
    with pytest.raises(BadInput, match=r"market\.capture breaks off or is damaged after line \d+"):
        captured.check(path)
    with pytest.raises(BadInput, match=r"market\.capture breaks off or is damaged"):
        captured.content_source(path)


@pytest.mark.parametrize("packing", ["gzip", "zstd"])
def test_a_damaged_file_is_refused(tmp_path: Path, packing: str) -> None:
    packed = bytearray(PACKINGS[packing](PLAIN))
    packed[len(packed) // 2 : len(packed) // 2 + 64] = bytes(64)
    with pytest.raises(BadInput, match=r"damaged|is no capture"):
        captured.check(saved(tmp_path, bytes(packed)))


def test_a_plain_file_cut_within_a_line_is_refused_a_missing_last_feed_is_not(
    tmp_path: Path,
) -> None:
    assert captured.check(saved(tmp_path, PLAIN[:-1])) == 50_000
    with pytest.raises(BadInput, match="in the middle of line 50000"):
        captured.check(saved(tmp_path, PLAIN[:-2]))
    with pytest.raises(BadInput, match="in the middle of line 50001"):
        captured.check(saved(tmp_path, PLAIN + b"17231612550"))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is empty"),
        (b"hello world\n", "line 1 is wrong, it does not begin with a receipt time"),
        (b"5 {}\n\n6 {}\n", "line 2 is wrong"),
        (b"5 {}\n-6 {}\n", "line 2 is wrong"),
        (b"5 {}\n6_0 {}\n", "line 2 is wrong"),
        (b"5 {}\n0 {}\n", "line 2 is wrong"),
        (b"5 {}\n6\n", "line 2 is wrong"),
        (b"5 {}\n9223372036854775808 {}\n", "line 2 is wrong"),
        (b"5 {}\n" + b"9" * 5000 + b" {}\n", "line 2 is wrong"),
        (b"5 b64:!!!\n", "its base64 is broken"),
        (bytes(range(256)) * 40 + b"\n", "line 1 is wrong"),
        (gzip.compress(b"PK\x03\x04 no capture\n", mtime=0), "line 1 is wrong"),
    ],
)
def test_what_is_no_capture_is_refused_with_its_line(tmp_path: Path, content: bytes, why: str) -> None:
    with pytest.raises(BadInput, match=why) as refused:
        captured.check(saved(tmp_path, content))
    assert "market.capture" in str(refused.value)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.gz", tmp_path):
        with pytest.raises(BadInput, match="can't be read"):
            captured.check(path)
        with pytest.raises(BadInput, match="can't be read"):
            captured.content_source(path)


def test_the_tapers_own_lines_are_no_messages_but_are_lines(tmp_path: Path) -> None:
    content = b'!tape {"src":1}\n5 a\n!heartbeat {"recv_ns":6}\n7 b64:IWI=\n'
    path = saved(tmp_path, content)
    assert list(captured.read(path)) == [(5, b"a"), (7, b"!b")]
    assert [number for number, line in captured.lines(path) if line[:1] == captured.OWN] == [1, 3]
    assert b"".join(line + b"\n" for _, line in captured.lines(path)) == content


def test_a_line_without_an_end_is_not_read_into_memory_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(captured, "MAX_LINE", 2**19)
    with pytest.raises(BadInput, match=r"line 2 is wrong, it is longer than 524288 bytes"):
        captured.check(saved(tmp_path, b"5 {}\n" + b"x" * 2**21))


@given(
    st.integers(1, 2**63 - 1), st.binary(max_size=50) | st.sampled_from([b"!x", b"b64:eA==", b"a\nb", b""])
)
def test_any_payload_survives_its_line(recv_ns: int, payload: bytes) -> None:
    line = captured.line_of(recv_ns, payload)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert captured.parse(line[:-1], "a file", 1) == (recv_ns, payload)

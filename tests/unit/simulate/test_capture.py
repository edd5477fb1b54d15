"""A synthetic market written as a captured file is read back as it was, whatever the packing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tapedeck.buses import captured
from tapedeck.errors import BadInput
from tapedeck.simulate import capture, market

START = 1_723_118_400_000_000_000


@pytest.mark.parametrize("name", ["a.capture", "a.gz", "a.zst"])
def test_a_written_capture_is_read_back_and_the_same_messages_give_the_same_file(
    tmp_path: Path, name: str
) -> None:
    messages = [*market.generate("binance_usdm", ["BTCUSDT"], 500, 2, 1, START), (START * 2, b"a\nb")]
    path, again = tmp_path / name, tmp_path / f"again-{name}"
    assert capture.write(path, messages) == len(messages)
    assert list(captured.read(path)) == messages
    assert captured.content_source(path) >= 1000
    capture.write(again, messages)
    assert path.read_bytes() == again.read_bytes()
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted([name, f"again-{name}"])


def test_the_packing_does_not_change_the_source(tmp_path: Path) -> None:
    messages = list(market.generate("binance_spot", ["BTCUSDT"], 500, 1, 1, START))
    sources = set()
    for name in ("a", "a.gz", "a.zst"):
        capture.write(tmp_path / name, messages)
        sources.add(captured.content_source(tmp_path / name))
    assert len(sources) == 1


def test_nothing_is_left_of_a_file_that_could_not_be_written_whole(tmp_path: Path) -> None:
    def failing() -> object:
        yield START, b"{}"
        raise RuntimeError("the market broke")

    with pytest.raises(RuntimeError):
        capture.write(tmp_path / "a.gz", failing())  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="no message came"):
        capture.write(tmp_path / "a.gz", [])
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(BadInput, match="can't be written"):
        capture.write(tmp_path / "absent" / "a.gz", [(START, b"{}")])

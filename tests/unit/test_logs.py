"""What live processes say, for a person and for machines."""

from __future__ import annotations

import json
import re

import pytest

from tapedeck import logs
from tapedeck.settings import Log, Settings


def test_a_person_gets_one_line_with_time_and_name(capsys: pytest.CaptureFixture[str]) -> None:
    for deck in (None, Settings()):
        logs.teller(deck, "taper", "warning", vendor="acme", src=2)("the disk is full: make room")
        said = capsys.readouterr().err
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z taper acme 2: the disk is full: make room\n", said)


def test_a_machine_gets_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    deck = Settings(log=Log(format="json"))
    logs.teller(deck, "writer", vendor="acme")('a "word"\nand a line → more')
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    said = json.loads(err)
    assert said.pop("at").endswith("Z")
    assert said == {
        "level": "info", "role": "writer", "vendor": "acme", "event": 'a "word"\nand a line → more',
    }  # fmt: skip

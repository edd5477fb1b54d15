"""A void of much is typed by how many messages it is, at a terminal; in a pipe it must be said before."""

from __future__ import annotations

import sys
from typing import Any

import click
import pytest

from tapedeck.cli import jobs
from tapedeck.errors import BadInput

WHY = ["it would take out 12,345 messages"]


class Terminal:
    """Standard input or error, whichever."""

    def __init__(self, there: bool) -> None:
        self.there = there

    def isatty(self) -> bool:
        return self.there

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        """Nothing waits."""


def at(monkeypatch: pytest.MonkeyPatch, typed: str, *, terminal: bool = True) -> list[Any]:
    asked: list[Any] = []

    def prompt(text: str, **more: Any) -> str:
        asked.append(text)
        return typed

    monkeypatch.setattr(sys, "stdin", Terminal(terminal))
    monkeypatch.setattr(sys, "stderr", Terminal(terminal))
    monkeypatch.setattr(click, "prompt", prompt)
    return asked


@pytest.mark.parametrize("typed", ["12345", "12,345", " 12345 "])
def test_the_number_approves(monkeypatch: pytest.MonkeyPatch, typed: str) -> None:
    asked = at(monkeypatch, typed)
    assert jobs._approved(12_345, WHY) == 12_345
    assert asked == ["type the number of messages to void (12,345)"]


@pytest.mark.parametrize("typed", ["", "y", "yes", "12344", "123456"])
def test_anything_else_voids_nothing(monkeypatch: pytest.MonkeyPatch, typed: str) -> None:
    at(monkeypatch, typed)
    with pytest.raises(BadInput, match="not the number of messages, so nothing was voided"):
        jobs._approved(12_345, WHY)


def test_in_a_pipe_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = at(monkeypatch, "12345", terminal=False)
    with pytest.raises(BadInput, match=r"12,345 messages: look at it with --plan, then give --approve 12345"):
        jobs._approved(12_345, WHY)
    assert asked == []

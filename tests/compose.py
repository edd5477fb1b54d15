"""docker/compose.yaml and docker/.env.example as Compose and a person read them."""

from __future__ import annotations

import re
from typing import Any

import yaml

from tests.servers import ROOT

DOCKER = ROOT / "docker"
TEXT = (DOCKER / "compose.yaml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, Any] = COMPOSE["services"]
VARIABLE = re.compile(r"\$\{([A-Z_]+)(?::([-?])(.*?))?\}")


def example() -> dict[str, str]:
    """The variables of .env.example and their values."""
    lines = (DOCKER / ".env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def profile(name: str) -> dict[str, str]:
    """.env.example as a person fills it in for a profile, secrets made up."""
    known = {key: value or "made-up" for key, value in example().items()}
    if name == "cluster":
        known |= dict(re.findall(r"^# ([A-Z_]+)=(.*)$", (DOCKER / ".env.example").read_text(), re.MULTILINE))
    return known


def filled(value: Any, known: dict[str, str]) -> Any:
    """A part of the file with its variables put in, as Compose does."""
    if isinstance(value, dict):
        return {key: filled(one, known) for key, one in value.items()}
    if isinstance(value, list):
        return [filled(one, known) for one in value]
    if not isinstance(value, str):
        return value

    def put(found: re.Match[str]) -> str:
        given = known.get(found[1])
        if not given and found[2] == "?":
            raise AssertionError(f"{found[1]} has no value")
        return given or (found[3] if found[2] == "-" else "")

    return VARIABLE.sub(put, value)

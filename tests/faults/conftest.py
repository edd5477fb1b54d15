"""What fault tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.standing import Roads

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A file's tests go by seed, so that a campaign which is cut short has met each of them alike."""
    places = [i for i, item in enumerate(items) if item.path.parent == HERE]
    order = {path: i for i, path in enumerate(dict.fromkeys(items[i].path for i in places))}
    ours = sorted((items[i] for i in places), key=lambda item: (order[item.path], _seed(item)))
    for i, item in zip(places, ours, strict=True):
        items[i] = item


def _seed(item: pytest.Item) -> int:
    call = getattr(item, "callspec", None)
    return int(call.params.get("seed", 0)) if call else 0


@pytest.fixture(scope="module")
def roads(kafka: str, mongo: str) -> Iterator[Roads]:
    """Roads that stay at work for a file's tests; each says goodbye at the end, whole."""
    found = Roads(kafka, mongo)
    yield found
    found.close()

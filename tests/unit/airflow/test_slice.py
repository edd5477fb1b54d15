"""Which slice a run is about."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pendulum
import pytest

from tapedeck.airflow.slice import slice_of
from tapedeck.errors import BadInput
from tapedeck.slices import NS, Slice, parse_slice

START, END = datetime(2024, 8, 8, tzinfo=UTC), datetime(2024, 8, 9, tzinfo=UTC)
DAY = Slice(1_723_075_200 * NS, 1_723_161_600 * NS)
NOTHING: dict[str, Any] = {"start": None, "end": None, "start_exact": None, "end_exact": None}


def test_without_anything_in_the_form_it_is_the_data_interval() -> None:
    assert slice_of(NOTHING, START, END) == slice_of({}, START, END) == DAY


def test_intervals_are_exact_in_any_zone_and_of_any_datetime() -> None:
    zone = timezone(timedelta(hours=2))
    assert slice_of({}, START.astimezone(zone), END.astimezone(zone)) == DAY
    odd = pendulum.datetime(2024, 8, 8, 23, 59, 59, 999_999)
    assert slice_of({}, pendulum.instance(START), odd).end == DAY.end - 1000


def test_the_form_wins_over_the_interval_and_the_exact_fields_over_the_pickers() -> None:
    picked = {**NOTHING, "start": "2024-08-08T10:00:00Z", "end": "2024-08-08T13:00:00+02:00"}
    assert slice_of(picked, START, END) == parse_slice("2024-08-08T10:00:00Z", "2024-08-08T11:00:00Z")
    exact = {**picked, "start_exact": "2024-08-08T10:59:59.123456789Z"}
    assert slice_of(exact, None, None).start == 1_723_114_799_123_456_789


@pytest.mark.parametrize(
    ("params", "interval", "sentence"),
    [
        (NOTHING, (None, None), "this run has no interval of time: give it a start and an end"),
        (NOTHING, (START, START), "only the instant 2024-08-08T00:00:00Z"),
        ({"start": "2024-08-08T00:00:00Z"}, (START, END), "the run has a start but no end"),
        ({"end_exact": "2024-08-08T00:00:00Z"}, (START, END), "the run has an end but no start"),
        ({"start": "2024-08-08T00:00:00", "end": "2024-08-09T00:00:00Z"}, (None, None), "has no zone"),
        (
            {"start": "2024-08-09T00:00:00Z", "end": "2024-08-08T00:00:00Z"},
            (None, None),
            "not after its start",
        ),
        ({"start": "yesterday", "end": "now"}, (None, None), "'yesterday' is no time"),
    ],
)
def test_anything_else_is_one_sentence(
    params: dict[str, Any], interval: tuple[Any, Any], sentence: str
) -> None:
    with pytest.raises(BadInput, match=sentence):
        slice_of(params, *interval)

"""Times as a person writes them: exact to the nanosecond, always with a zone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapedeck.errors import BadInput
from tapedeck.slices import NS, Slice, format_time, make_slice, parse_duration, parse_slice, parse_time

NOW = 1_723_161_256 * NS


@given(st.integers(0, 2**63 - 1))
def test_a_printed_time_reads_back_exactly(ns: int) -> None:
    assert parse_time(format_time(ns)) == ns


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("2024-08-08T23:54:16Z", NOW),
        ("2024-08-08T23:54:16.000000001Z", NOW + 1),
        ("2024-08-09T01:54:16+02:00", NOW),
        ("2024-08-08 19:54:16.5-04:00", NOW + NS // 2),
        ("2024-08-08T23:54Z", NOW - 16 * NS),
        ("5m", NOW - 300 * NS),
        ("250ms", NOW - NS // 4),
        ("now", NOW),
    ],
)
def test_times_are_read_as_meant(text: str, ns: int) -> None:
    assert parse_time(text, NOW) == ns


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("2024-08-08T23:54:16", "has no zone"),
        ("2024-08-08T23:54.5Z", "is no time"),
        ("yesterday", "is no time"),
        ("2024-13-08T00:00:00Z", "is no time"),
        ("1931-01-01T00:00:00Z", "lies outside"),
        ("2024-08-08T23:54:16.0000000001Z", "has no zone|is no time"),
        ("", "is no time"),
    ],
)
def test_anything_else_is_one_sentence_that_shows_the_right_form(text: str, why: str) -> None:
    with pytest.raises(BadInput, match=why) as caught:
        parse_time(text, NOW)
    assert "2024-08-08T23:54:16Z" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "meant"), [("2026-01-02", "2026-01-02T00:00:00Z"), ("2026-01-02 03:04", "2026-01-02T03:04Z")]
)
def test_a_time_without_a_zone_is_shown_as_it_would_be_in_utc(text: str, meant: str) -> None:
    with pytest.raises(BadInput, match=f"has no zone: write it as {meant} if it is UTC"):
        parse_time(text, NOW)


@pytest.mark.parametrize(("start", "end"), [(5, 5), (6, 5)])
def test_an_end_that_is_not_after_the_start_is_refused(start: int, end: int) -> None:
    with pytest.raises(BadInput, match="not after its start"):
        make_slice(start, end)


def test_slices_are_half_open() -> None:
    of = parse_slice("2024-08-08T23:54:16Z", "2024-08-08T23:54:17Z")
    assert of == Slice(NOW, NOW + NS)
    assert of.meets(NOW - 1, NOW + 1)
    assert not of.meets(NOW - 5, NOW)
    assert not of.meets(NOW + NS, NOW + 2 * NS)


@pytest.mark.parametrize("text", ["5", "m", "-5m", "5 m", "1w", "1.5h"])
def test_a_bad_duration_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="is no duration"):
        parse_duration(text)

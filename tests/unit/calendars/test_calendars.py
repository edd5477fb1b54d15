"""When venues are open: holidays, half days, clocks that change, breaks, tables of one's own."""

from __future__ import annotations

import pytest
from msgspec import structs

from tapedeck.calendars.named import calendar_of
from tapedeck.calendars.session import opened
from tapedeck.errors import BadInput
from tapedeck.settings import SessionTable, Settings, Vendor, load
from tapedeck.slices import Slice, format_time, parse_time

DAYS = 86_400 * 10**9


def of(start: str, days: int = 1) -> Slice:
    first = parse_time(f"{start}T00:00:00Z")
    return Slice(first, first + days * DAYS)


def settings(calendar: str, **more: object) -> Settings:
    tables = more.pop("tables", {})
    return Settings(vendors={"v": Vendor(calendar=calendar, **more)}, calendars=tables)  # type: ignore[arg-type]


def hours(deck: Settings, when: Slice, symbol: str = "") -> list[tuple[str, str]]:
    found = opened(calendar_of(deck, "v", symbol).sessions(when), when)
    return [(format_time(a), format_time(b)) for a, b in found]


def test_new_yorks_holidays_half_days_and_summer_time() -> None:
    deck = settings("XNYS")
    assert hours(deck, of("2024-11-28")) == []  # Thanksgiving
    assert hours(deck, of("2024-11-30", 2)) == []  # a weekend
    assert hours(deck, of("2024-11-29")) == [("2024-11-29T14:30:00Z", "2024-11-29T18:00:00Z")]
    assert [one.sort for one in calendar_of(deck, "v").sessions(of("2024-11-27", 3))] == ["regular", "short"]
    assert hours(deck, of("2024-03-08")) == [("2024-03-08T14:30:00Z", "2024-03-08T21:00:00Z")]
    assert hours(deck, of("2024-03-11")) == [("2024-03-11T13:30:00Z", "2024-03-11T20:00:00Z")]
    assert hours(deck, of("2025-01-09")) == []  # mourning, announced ten days before


def test_a_break_at_noon_is_closed() -> None:
    assert len(hours(settings("XHKG"), of("2024-08-08"))) == 2


def test_round_the_clock_knows_weekends_as_days_of_another_sort() -> None:
    found = calendar_of(settings("24x7"), "v").sessions(of("2024-08-09", 3))
    assert [one.sort for one in found] == ["regular", "weekend", "weekend"]
    assert hours(settings("24x7"), of("2024-08-09", 3)) == [("2024-08-09T00:00:00Z", "2024-08-12T00:00:00Z")]
    assert hours(settings("24x5"), of("2024-08-09", 3)) == [("2024-08-09T00:00:00Z", "2024-08-10T00:00:00Z")]


def test_a_table_of_ones_own_keeps_local_times_over_a_change_of_clocks() -> None:
    table = SessionTable(
        zone="America/New_York",
        sessions={"sun": ["17:00-24:00"], "mon": ["00:00-24:00"], "fri": ["00:00-17:00"]},
        days={"2024-12-24": ["00:00-12:00"], "2024-03-11": []},
    )
    deck = settings("fx", tables={"fx": table})
    assert hours(deck, of("2024-08-04", 2)) == [("2024-08-04T21:00:00Z", "2024-08-06T00:00:00Z")]
    assert hours(deck, of("2024-11-03")) == [("2024-11-03T22:00:00Z", "2024-11-04T00:00:00Z")]  # winter
    assert hours(deck, of("2024-12-24")) == [("2024-12-24T00:00:00Z", "2024-12-24T17:00:00Z")]
    assert hours(deck, of("2024-03-11")) == [("2024-03-11T00:00:00Z", "2024-03-11T04:00:00Z")]


def test_a_table_over_an_exchange_closes_a_day_and_opens_another() -> None:
    table = SessionTable(base="XNYS", days={"2024-11-27": [], "2024-11-28": ["09:30-10:00"]})
    deck = settings("own", tables={"own": table})
    assert hours(deck, of("2024-11-27", 3)) == [
        ("2024-11-28T14:30:00Z", "2024-11-28T15:00:00Z"), ("2024-11-29T14:30:00Z", "2024-11-29T18:00:00Z"),
    ]  # fmt: skip


def test_symbols_of_one_vendor_trade_at_different_venues() -> None:
    deck = settings("24x5", calendars={"*.L": "XLON", "VOD.L": "24x7"})
    day = of("2024-12-25")
    assert [bool(hours(deck, day, s)) for s in ("EUR=", "BARC.L", "VOD.L")] == [True, False, True]


def test_a_delisted_symbol_is_open_until_it_ended_and_its_venue_goes_on() -> None:
    deck = settings("24x7", delisted={"LUNA": "2022-05-13T00:40:00Z"})
    day = of("2022-05-12", 2)
    assert hours(deck, day, "LUNA") == [("2022-05-12T00:00:00Z", "2022-05-13T00:40:00Z")]
    assert hours(deck, of("2022-05-13"), "LUNA") == [("2022-05-13T00:00:00Z", "2022-05-13T00:40:00Z")]
    after = Slice(parse_time("2022-05-13T00:40:00Z"), day.end)
    assert hours(deck, after, "LUNA") == []
    assert hours(deck, day) == hours(deck, day, "BTC") == [("2022-05-12T00:00:00Z", "2022-05-14T00:00:00Z")]


def test_a_calendar_that_nobody_knows_is_one_sentence() -> None:
    with pytest.raises(BadInput, match=r"names no calendar 'XNYT'.*did you mean 'XNY"):
        calendar_of(settings("XNYT"), "v")
    loop = {"a": SessionTable(base="b"), "b": SessionTable()}
    with pytest.raises(BadInput, match="a table too"):
        calendar_of(settings("a", tables=loop), "v")
    with pytest.raises(BadInput, match="does not reach"):
        calendar_of(settings("XSHG"), "v").sessions(Slice(0, DAYS))


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ('zone = "Mars/Phobos"', "no time zone"),
        ('sessions = {mo = ["09:00-10:00"]}', "no weekday 'mo'"),
        ('sessions = {mon = ["9-10"]}', "09:30-12:00"),
        ('sessions = {mon = ["10:00-09:00"]}', "09:30-12:00"),
        ('sessions = {mon = ["09:00-24:30"]}', "24:00"),
        ('days = {"2024-02-30" = []}', "no date '2024-02-30'"),
        ('base = "XNYS"\nsessions = {mon = ["09:00-10:00"]}', "no base"),
        ('zonee = "UTC"', "no setting 'calendars.x.zonee'"),
    ],
)
def test_a_wrong_table_is_one_sentence(tmp_path, table: str, says: str) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "tapedeck.toml"
    path.write_text(f"[calendars.x]\n{table}\n")
    with pytest.raises(BadInput, match=says):
        load({"TAPEDECK_SETTINGS": str(path)}, tmp_path)


def test_an_end_of_trading_without_a_zone_is_one_sentence(tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "tapedeck.toml"
    path.write_text('[vendors.v]\ndelisted = {LUNA = "2022-05-13T00:40:00"}\n')
    with pytest.raises(BadInput, match=r"vendors\.v\.delisted of 'LUNA'.*has no zone"):
        load({"TAPEDECK_SETTINGS": str(path)}, tmp_path)


def test_the_settings_defaults_know_their_calendars() -> None:
    deck = load({}, __import__("pathlib").Path("/"))
    for name in deck.vendors:
        calendar_of(deck, name)
    assert structs.asdict(deck)["calendars"] == {}

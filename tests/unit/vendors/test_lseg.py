"""LSEG Real-Time: sparse fields, states and chatter, from messages as a distribution server sends them."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from tapedeck import vendors
from tapedeck.errors import BadInput
from tapedeck.message import Fields, Status
from tapedeck.vendors import Chatter, Refusal

RECV = 1_723_161_254_087_896_568
lseg = vendors.get("lseg")
KEY = {"Name": "TRI.N", "Service": "ELEKTRON_DD"}
REFRESH: dict[str, Any] = {
    "Fields": {
        "52WK_HIGH": 48.6, "52W_HDAT": "2017-10-17", "52W_HIND": None, "ACVOL_1": 149471, "ASK": 44.34,
        "CURRENCY": "USD", "NETCHNG_1": -0.27, "PRCTCK_1": "⇧", "QUOTIM": "19:01:55", "QUOTIM_MS": 68515583,
        "TRDPRC_1": 44.34, "IMP_VOLT": "NaN",
    },
    "ID": 2, "Key": KEY, "PermData": "AwO9ZWLA", "Qos": {"Rate": "TickByTick", "Timeliness": "Realtime"},
    "SeqNumber": 58352, "State": {"Data": "Ok", "Stream": "Open", "Text": "All is well"}, "Type": "Refresh",
}  # fmt: skip
UPDATE: dict[str, Any] = {
    "DoNotConflate": True, "Fields": {"ASK": 44.34, "ASKSIZE": 4, "ASK_COND_N": "R", "BID": 44.33},
    "ID": 2, "Key": KEY, "SeqNumber": 58368, "Type": "Update", "UpdateType": "Quote",
}  # fmt: skip
LOGIN: dict[str, Any] = {
    "Domain": "Login", "Elements": {"MaxMsgSize": 65535, "PingTimeout": 30}, "ID": 1, "Key": {"Name": "root"},
    "State": {"Data": "Ok", "Stream": "Open", "Text": "Login accepted by host ads1."}, "Type": "Refresh",
}  # fmt: skip
REFUSED: dict[str, Any] = {
    "ID": 1, "Type": "Status", "Domain": "Login", "Key": {"Name": "root"},
    "State": {
        "Stream": "Closed", "Data": "Suspect", "Code": "UsageError",
        "Text": "Login rejected. Already pending login.",
    },
}  # fmt: skip


def say(*parts: Any, symbol: str | None = None) -> list[Any]:
    return list(lseg.normalise(json.dumps(parts).encode(), RECV, 9, symbol))


def test_an_update_is_the_numbers_that_it_says_and_its_text_is_counted_by_name() -> None:
    assert say(UPDATE) == [
        Fields("TRI.N", 0, RECV, 58368, 0, 9, {"ASK": 44.34, "ASKSIZE": 4.0, "BID": 44.33}),
        Chatter("text ASK_COND_N"),
    ]


def test_a_refresh_has_no_seq_of_its_own_and_names_that_begin_with_a_digit_get_a_letter() -> None:
    fields, *rest = say(REFRESH)
    assert fields == Fields(
        "TRI.N", 0, RECV, 0, 0, 9,
        {
            "F52WK_HIGH": 48.6, "ACVOL_1": 149471.0, "ASK": 44.34, "NETCHNG_1": -0.27,
            "QUOTIM_MS": 68515583.0, "TRDPRC_1": 44.34,
        },
    )  # fmt: skip
    assert Counter(one.name for one in rest) == Counter(
        [
            "text 52W_HDAT", "blank 52W_HIND", "text CURRENCY", "text PRCTCK_1", "text QUOTIM",
            "text IMP_VOLT",
        ]
    )  # fmt: skip


def test_an_array_gives_each_message_its_stamp_and_a_broken_one_spoils_no_other() -> None:
    broken = UPDATE | {"SeqNumber": -1}
    last = UPDATE | {"Key": {"Name": "IBM.N"}, "Fields": {"BID": 1}}
    first, _, refused, ping, other = say(UPDATE, broken, {"Type": "Ping"}, last)
    assert ping == Chatter("Ping")
    assert first.ts_recv == RECV
    assert refused == Refusal("payload is not as documented: Expected `int` >= 0 - at `$.SeqNumber`")
    assert other == Fields("IBM.N", 0, RECV + 2, 58368, 0, 9, {"BID": 1.0})


def test_a_message_may_come_without_an_array() -> None:
    assert lseg.normalise(json.dumps(UPDATE).encode(), RECV, 9) == say(UPDATE)


def test_a_status_is_a_status_and_so_is_a_state_that_is_not_well() -> None:
    closed = {
        "ID": 5, "Type": "Status", "Key": {"Name": "NONE.X"},
        "State": {
            "Stream": "Closed", "Data": "Suspect", "Code": "NotFound",
            "Text": "**The record could not be found",
        },
    }  # fmt: skip
    text = "Closed Suspect NotFound: **The record could not be found"
    assert say(closed) == [Status("NONE.X", 0, RECV, 0, 0, 9, 0, text)]
    text = "Redirected Suspect: Stream redirect for item: TEST.BK"
    state = {"Stream": "Redirected", "Data": "Suspect", "Text": "Stream redirect for item: TEST.BK"}
    said = {"ID": 5, "Type": "Status", "Key": {"Service": "ELEKTRON_DD", "Name": "TEST1.BK"}, "State": state}
    assert say(said) == [Status("TEST1.BK", 0, RECV, 0, 0, 9, 0, text)], "it names the new one"
    stale = UPDATE | {"Type": "Refresh", "State": {"Stream": "Open", "Data": "Suspect", "Text": "line down"}}
    fields, status, counted = say(stale)
    assert (fields.seq, fields.ts_recv) == (0, RECV)
    assert status == Status("TRI.N", 0, RECV + 1, 0, 0, 9, 0, "Open Suspect: line down")
    assert counted == Chatter("text ASK_COND_N")


@pytest.mark.parametrize(
    ("said", "names"),
    [
        ({"Type": "Ping"}, ["Ping"]),
        (LOGIN, ["Login Refresh"]),
        (LOGIN | {"Domain": 1}, ["Login Refresh"]),
        (
            {"ID": 1, "Type": "Status", "Domain": "Login", "State": {"Stream": "Open", "Data": "Suspect"}},
            ["Login Status"],
        ),
        (
            {"ID": 2, "Type": "Status", "State": {"Data": "Ok", "Stream": "Closed", "Text": "3 items"}},
            ["Status of a request"],
        ),
        (UPDATE | {"Fields": {}}, ["no fields"]),
        (UPDATE | {"Fields": {"X": "y", "": 1, "a-b": 2, "Z": [1], "B": True}}, [
            "text X", "unnameable ", "unnameable a-b", "container Z", "container B",
        ]),
    ],
)  # fmt: skip
def test_what_is_no_market_data_is_counted(said: dict[str, Any], names: list[str]) -> None:
    assert say(said) == [Chatter(name) for name in names]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"ID": 0, "Type": "Error", "Text": "JSON Parsing Error"}, "answered with an error"),
        (REFUSED, "the venue refused the login"),
        (UPDATE | {"Type": "Generic"}, "no such type"),
        (UPDATE | {"Domain": "MarketByPrice"}, "no such domain"),
        (UPDATE | {"Key": None}, "names no symbol"),
        (UPDATE | {"Key": {"Name": "*"}}, "means the whole feed"),
        (UPDATE | {"Key": {"Name": "x" * 65}}, "symbol is not 1 to 64"),
        (UPDATE | {"Fields": {"52W": 1.0, "F52W": 2.0}}, "two fields would have one name"),
        (5, "Expected `object`, got `int`"),
    ],
)
def test_is_refused(said: Any, why: str) -> None:
    (refused,) = say(said)
    assert isinstance(refused, Refusal)
    assert why in refused.reason


def test_a_number_too_large_for_a_double_is_refused() -> None:
    (refused,) = lseg.normalise(b'[{"Type":"Update","Key":{"Name":"A"},"Fields":{"BID":1e999}}]', RECV, 9)
    assert refused == Refusal("payload is not as documented: Number out of range - at `$.Fields[...]`")


def test_a_message_without_its_key_is_of_the_symbol_that_a_loader_names() -> None:
    fields, _ = say(UPDATE | {"Key": None}, symbol="IBM.N")
    assert fields.symbol == "IBM.N"
    fields, _ = say(UPDATE, symbol="IBM.N")
    assert fields.symbol == "TRI.N"


def test_names_are_counted_each_by_itself_only_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tapedeck.vendors.lseg.MOST_NAMES", 0)
    (other,) = say(UPDATE | {"Fields": {"NEVER_SEEN_BEFORE": "text"}})
    assert other == Chatter("text of other names")


def test_it_logs_in_as_the_user_of_the_url_then_asks_for_its_items_and_answers_pings() -> None:
    with pytest.raises(BadInput, match="lseg has no public address"):
        lseg.websocket_url(["EUR="])
    with pytest.raises(BadInput, match="no symbols are set for lseg"):
        lseg.websocket_url([], "ws://ads:15000")
    url = lseg.websocket_url(["EUR="], "ws://trader@ads:15000")
    assert url == "ws://trader:@ads:15000/WebSocket"
    assert lseg.websocket_url(["EUR="], "ws://ads:15000/") == "ws://ads:15000/WebSocket"
    assert lseg.websocket_subprotocol == "tr_json2"
    (login,) = (json.loads(text) for text in lseg.websocket_opening(["EUR="], url))
    assert (login["ID"], login["Domain"], login["Key"]["Name"]) == (1, "Login", "trader")
    assert lseg.websocket_reply(b'[{"Type":"Ping"}]', []) == ['{"Type":"Pong"}']
    symbols = [f"S{n}" for n in range(2500)]
    asked = [json.loads(t) for t in lseg.websocket_reply(json.dumps([LOGIN]).encode(), symbols)]
    assert [one["ID"] for one in asked] == [2, 1003, 2004]
    assert [name for one in asked for name in one["Key"]["Name"]] == symbols
    for quiet in ([LOGIN], [UPDATE], [{"Type": "Ping"}], ["Login"], ['"Login"', 5]):
        assert lseg.websocket_refusal(json.dumps(quiet).encode()) == ""
    assert lseg.websocket_refusal(b'["Login"') == ""
    assert lseg.websocket_refusal(json.dumps([UPDATE, REFUSED]).encode()) == "the venue refused the login"
    refused = LOGIN | {"State": {"Data": "Suspect", "Stream": "Closed", "Text": "denied"}}
    for quiet in (json.dumps([refused]).encode(), json.dumps([UPDATE]).encode(), b'"Ping"', b'["Login"]'):
        assert lseg.websocket_reply(quiet, symbols) == []

"""The compiled reader of tape lines against the vendor's own, which is the contract: whatever it is given."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tapedeck import vendors
from tapedeck.buses.captured import line_of
from tapedeck.partitions import partition_of
from tapedeck.simulate import market
from tapedeck.tape.canonical import Canonical
from tapedeck.tape.lines import Lines, Outgoing
from tapedeck.tape.position import Lane
from tapedeck.tape.segment import Place, Segment

SEGMENT = Segment(1, 0)
PARTITIONS = 5
FIRST = 1_723_161_255_088_176_367
LIMITS = (600, 10**6)
FOREVER = 2**62
MARKETS = ("binance_usdm", "binance_coinm", "binance_spot")

TRADE = (
    b'{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161256322,"T":1723161256321,"s":"BTCUSDT",'
    b'"t":5266583935,"p":"61800.30","q":"0.006","X":"MARKET","m":true}}'
)
TICKER = (
    b'{"stream":"btcusdt@bookTicker","data":{"e":"bookTicker","u":5123107839020,"s":"BTCUSDT",'
    b'"b":"61800.20","B":"2.507","a":"61800.30","A":"2.510","T":1723161256313,"E":1723161256314}}'
)
DEPTH = (
    b'{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1723161256299,"T":1723161256298,'
    b'"s":"BTCUSDT","U":5123107832006,"u":5123107837557,"pu":5123107831937,'
    b'"b":[["58710.20","0.014"],["61510.90","0.000"]],"a":[["61810.10","1.5"]]}}'
)


def said(lines: Lines, data: bytes, canonical: Canonical | None) -> tuple[Outgoing, list[int], int, object]:
    """The records of a chunk, what was counted, and the stamp behind it."""
    whole, at = Outgoing(), 0

    def take() -> None:
        out = lines.taken()
        for mine, more in (
            (whole.lanes, out.lanes), (whole.values, out.values),
            (whole.keys, out.keys), (whole.times_ms, out.times_ms),
        ):  # fmt: skip
            mine.extend(more)  # type: ignore[arg-type]

    while at < len(data):
        if canonical is not None:
            at, batch = canonical.read(data, at, FOREVER)
            whole.lanes += batch.lanes.tolist()
            whole.values += list(batch.values)
            whole.keys += list(batch.keys)
            whole.times_ms += batch.times_ms.tolist()
        if at < len(data):
            end = data.index(b"\n", at)
            stamp, _, payload = data[at:end].partition(b" ")
            lines.message(int(stamp), payload)
            take()
            at = end + 1
    return whole, lines.sent, lines.stamp, (lines.counts, lines.refused)


def lines_of(vendor: str, mine: Sequence[bool] | None = None) -> Lines:
    made = Lines(vendors.get(vendor), 7, [Lane("", 0, 0)] * (PARTITIONS + 1), LIMITS, 0, mine)
    made.begin(1, 1)
    made.serve_from(Place(SEGMENT, 0))
    return made


def compiled(vendor: str, lines: Lines) -> Canonical:
    reader = vendors.get(vendor).compiled
    assert reader is not None
    return Canonical(reader, lines, 7, LIMITS[0])


def tape(payloads: Sequence[bytes]) -> bytes:
    return b"".join(line_of(FIRST + 1000 * i, payload) for i, payload in enumerate(payloads))


GOOD_NUMBER = st.one_of(
    st.builds("{}.{:03d}".format, st.integers(0, 10**7), st.integers(0, 999)),
    st.builds("{}.{:08d}".format, st.integers(0, 10**5), st.integers(0, 10**8 - 1)),
    st.sampled_from(["0", "0.0", "0.1", "0.30000000000000004", "99999999.99999999", "9007199254740993"]),
)
GOOD_INTEGER = st.one_of(
    st.integers(0, 2**43), st.sampled_from([0, 1, 127, 128, 255, 256, 65535, 65536, 2**32 - 1, 2**32])
)
GOOD_SYMBOL = st.sampled_from(["BTCUSDT", "ETHUSDT", "A", "1000PEPEUSDT", "BTCUSD_PERP", "B" * 31, "B" * 64])
NUMBER = st.one_of(
    st.from_regex(r"\A[0-9]{1,20}(\.[0-9]{1,25})?\Z"),
    st.sampled_from(["-0.0", "1.", ".5", "00.5", "1e5", "nan", "inf", "", " 1", "123456789012345678.5"]),
    st.sampled_from(["1_0", "1" * 400, "-3.5", "+1", "0" * 20, "1.7e308", "1.8e308"]),
)
INTEGER = st.one_of(
    st.integers(0, 2**70),
    st.sampled_from(["-1", "01", "1.0", "1e3", '"5"', "null", "true", "9223372036854", "9223372036855"]),
)
SYMBOL = st.one_of(
    st.sampled_from(["*", "", "B" * 65, "BtcUsdt", "币安人生USDT", "a b", "A@B", "İ"]),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=6),
)


def joined(levels: list[tuple[str, str]]) -> str:
    return "[" + ",".join(f'["{p}","{q}"]' for p, q in levels) + "]"


@st.composite
def venue(draw: st.DrawFn, rarely: bool = False) -> bytes:
    """A payload of the venue's own form; where `rarely`, with values and fields that it should not have."""

    def odd() -> bool:
        return rarely and draw(st.integers(0, 4)) == 0

    def number() -> str:
        return draw(NUMBER if odd() else GOOD_NUMBER)

    def integer() -> object:
        return draw(INTEGER if odd() else GOOD_INTEGER)

    def levels() -> str:
        return joined([(number(), number()) for _ in range(draw(st.integers(0, 20)))])

    symbol = draw(SYMBOL if odd() else GOOD_SYMBOL)
    kind = draw(st.sampled_from(["trade", "bookTicker", "depth", "depth@100ms"]))
    kind = draw(st.sampled_from(["depth@x", "depth@ms", "aggTrade"])) if odd() else kind
    event = {"trade": "trade", "bookTicker": "bookTicker"}.get(kind, "depthUpdate")
    fields = [("e", f'"{"other" if odd() else event}"'), ("E", integer()), ("s", f'"{symbol}"')]
    if event == "trade":
        fields += [("t", integer()), ("p", f'"{number()}"'), ("q", f'"{number()}"'), ("X", '"MARKET"')]
        fields += [("m", draw(st.sampled_from(["1", '"true"', "null"] if odd() else ["true", "false"])))]
    elif event == "bookTicker":
        fields += [("u", integer()), *((name, f'"{number()}"') for name in "bBaA")]
    else:
        fields += [("U", integer()), ("u", integer()), ("pu", integer()), ("b", levels()), ("a", levels())]
    fields.append((draw(st.sampled_from(["T", "ps", "st"])), integer()))
    if odd():
        fields.append((draw(st.sampled_from(["T", "e", "s", "t", "pu", "x\\u0041"])), integer()))
    if odd():
        fields = draw(st.permutations(fields))
    if odd():
        del fields[draw(st.integers(0, len(fields) - 1))]
    data = ",".join(f'"{name}":{value}' for name, value in fields)
    return f'{{"stream":"{symbol if odd() else symbol.lower()}@{kind}","data":{{{data}}}}}'.encode()


PAYLOAD = st.one_of(venue(), venue(rarely=True))


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A payload with a byte changed, a piece cut out or something put in."""
    value = bytearray(draw(st.one_of(venue(), st.sampled_from([TRADE, TICKER, DEPTH]))))
    at = draw(st.integers(0, len(value)))
    how = draw(st.sampled_from(("change", "cut", "put", "end")))
    if how == "change" and at < len(value):
        value[at] = draw(st.sampled_from(list(b'"{}[],:\\ 0123eE.-\n\x00\xff')))
    elif how == "cut":
        del value[at : at + draw(st.integers(1, 9))]
    elif how == "put":
        value[at:at] = draw(st.binary(max_size=9))
    else:
        del value[at:]
    return bytes(value)


@pytest.mark.parametrize("vendor", MARKETS)
@settings(max_examples=40)
@given(payloads=st.lists(st.one_of(PAYLOAD, damaged()), max_size=8))
@example(payloads=[one[:n] for one in (TRADE, TICKER, DEPTH) for n in range(len(one))])
@example(
    payloads=[
        TRADE,
        TRADE.replace(b'"BTCUSDT"', b'"BtcUSDT"'),
        TRADE.replace(b'"t":', b'"t":5,"t":'),
        DEPTH + b"}",
    ]
)
@example(
    payloads=[
        TICKER.replace(b'"E":', b'"E": '),
        b"",
        b" ",
        b"!x",
        b"b64:x",
        TRADE.replace(b"6180", b"0" * 30),
    ]
)
def test_what_it_reads_is_what_the_vendors_own_reader_says_and_nothing_else(
    vendor: str, payloads: list[bytes]
) -> None:
    data = tape(payloads)
    fast = lines_of(vendor)
    assert said(fast, data, compiled(vendor, fast)) == said(lines_of(vendor), data, None)


def test_usual_payloads_are_read_by_it_and_not_left() -> None:
    for vendor in ("binance_usdm", "binance_spot"):
        made = market.generate(vendor, ["BTCUSDT", "ETHUSDT"], 1000.0, None, 1, 1_700_000_000 * 10**9)
        data = tape([payload for (_, payload), _ in zip(made, range(2000), strict=False)])
        lines = lines_of(vendor)
        end, batch = compiled(vendor, lines).read(data, 0, FOREVER)
        assert (end, len(batch.lanes), sum(lines.sent)) == (len(data), 2000, 2000)


def test_it_stops_at_a_line_stamped_past_the_limit_and_at_a_value_that_is_too_long() -> None:
    long = DEPTH.replace(b'"b":[', b'"b":[' + b'["1","2"],' * 40)
    data = tape([TRADE, long, TICKER])
    lines = lines_of("binance_usdm")
    reader = compiled("binance_usdm", lines)
    end, batch = reader.read(data, 0, FOREVER)
    assert (end, len(batch.lanes), lines.stamp) == (data.index(b"\n") + 1, 1, FIRST)
    last = data.rindex(b"\n", 0, -1) + 1
    assert reader.read(data, last, FIRST + 1999)[0] == last
    assert reader.read(data, last, FIRST + 2000)[0] == len(data)


@given(st.lists(st.text("ABCDEFGHIJ0_", min_size=1, max_size=12), min_size=1, max_size=30))
def test_each_record_goes_to_the_lane_that_any_kafka_client_reckons(symbols: list[str]) -> None:
    payloads = [
        TRADE.replace(b"BTCUSDT", s.encode()).replace(b"btcusdt", s.lower().encode()) for s in symbols
    ]
    lines = lines_of("binance_usdm")
    _, batch = compiled("binance_usdm", lines).read(tape(payloads), 0, FOREVER)
    assert batch.lanes.tolist() == [partition_of(s, PARTITIONS) for s in symbols]


@pytest.mark.parametrize("fast", [True, False])
def test_publishers_that_share_the_lanes_say_together_what_one_says_alone(fast: bool) -> None:
    symbols = [f"SYM{i}USDT" for i in range(12)]
    made = market.generate("binance_usdm", symbols, 1000.0, None, 3, 1_700_000_000 * 10**9)
    payloads = [payload for (_, payload), _ in zip(made, range(1500), strict=False)]
    random.Random(4).shuffle(payloads)
    payloads[::100] = [b"rubbish"] * 15
    payloads[7::100] = [b'{"result":null,"id":1}'] * 15
    payloads[50::200] = [DEPTH.replace(b'"b":[', b'"b":[' + b'["1","2"],' * 40)] * 8
    data = tape(payloads)
    one, counted = lines_of("binance_usdm"), Counter[str]()
    alone = said(one, data, None)[0]
    together: dict[int, list[tuple[bytes, bytes, int]]] = {lane: [] for lane in range(PARTITIONS + 1)}
    for i in range(2):
        lines = lines_of("binance_usdm", [p % 2 == i for p in range(PARTITIONS)] + [i == 0])
        out = said(lines, data, compiled("binance_usdm", lines) if fast else None)[0]
        counted += lines.counts
        assert all((lane % 2 if lane < PARTITIONS else 0) == i for lane in out.lanes)
        for lane, *record in zip(out.lanes, out.values, out.keys, out.times_ms, strict=True):
            together[lane].append(tuple(record))  # type: ignore[arg-type]
    for lane in range(PARTITIONS + 1):
        mine = zip(alone.lanes, alone.values, alone.keys, alone.times_ms, strict=True)
        assert together[lane] == [tuple(record) for at, *record in mine if at == lane]
    assert len(together[PARTITIONS]) == 23
    assert (counted, counted["chatter answer"]) == (one.counts, 15)

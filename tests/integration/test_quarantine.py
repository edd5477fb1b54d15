"""What is no message, tried again with code that knows more: each message once, under its own name."""

from __future__ import annotations

import json

import pytest

from tapedeck import codec, vendors
from tapedeck import message as m
from tapedeck.cli.main import run
from tapedeck.jobs.redrive import Redriven, redrive
from tapedeck.log import client, meta, quarantine
from tapedeck.log.quarantine import Entry
from tapedeck.log.timeline import timeline
from tapedeck.partitions import partition_of
from tapedeck.settings import Settings
from tapedeck.slices import NS, Slice
from tapedeck.store import undecodable
from tapedeck.store.rebuild import rebuild
from tapedeck.tape.sender import Sender
from tapedeck.vendors import Chatter, Normalised, Refusal, Vendor
from tests.published import HOUR, T0, VENDOR, Published, environment, trade

OF = Slice(T0, T0 + HOUR)


class Words(Vendor):
    """A vendor whose payloads are words: numbers are trades, `x` is one too for those who know."""

    name = VENDOR

    def __init__(self, knows: bool) -> None:
        self.knows = knows

    def normalise(self, payload: bytes, recv_ns: int, src: int, symbol: str | None = None) -> Normalised:
        said: Normalised = []
        k = 0
        for word in payload.split():
            if word == b"hello":
                said.append(Chatter("hello"))
                continue
            if word.isdigit() or (word == b"x" and self.knows):
                seq = 99 + (recv_ns - T0) // NS if word == b"x" else int(word)
                said.append(trade(recv_ns + k, seq, src=src))
            else:
                said.append(Refusal("no number"))
            k += 1
        return said


def refuse(log: Published, *entries: Entry) -> None:
    producer = client.producer(log.settings)
    pin = log.topics.quarantine
    for entry in entries:
        producer.produce(
            pin.name, quarantine.encode(entry, 10**6), key=quarantine.key_of(entry.src),
            partition=quarantine.lane_of(pin, entry.src), timestamp=entry.timestamp_ms,
        )  # fmt: skip
    assert producer.flush(20) == 0


def taped(log: Published, payload: bytes, at: int, src: int = 1) -> None:
    """What a publisher of old code made of a payload."""
    k = 0
    for one in Words(knows=False).normalise(payload, at, src):
        if isinstance(one, Refusal):
            refuse(log, Entry(payload, src, at, k, one.reason))
        elif not isinstance(one, Chatter):
            log.publish(one)
        k += not isinstance(one, Chatter)


def knowing(monkeypatch: pytest.MonkeyPatch, knows: bool) -> None:
    monkeypatch.setattr(vendors, "get", lambda name: Words(knows))


def held(settings: Settings) -> list[tuple[int, int, int]]:
    return [(one.ts_recv - T0, one.seq, one.src) for one in timeline(VENDOR, settings).between(T0, T0 + HOUR)]


def test_what_was_refused_is_published_once_under_its_own_name(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Published(settings)
    taped(log, b"hello 1 x 2", T0)
    taped(log, b"x", T0 + NS)
    taped(log, b"y 5", T0 + 2 * NS)
    taped(log, b"x 7", T0 + 3 * NS, src=1007)
    refuse(log, Entry(b"torn", 1, T0 + NS, -5, "the tape's line is damaged"))
    knowing(monkeypatch, False)
    assert redrive(settings, VENDOR) == Redriven(refused=5)
    assert meta.read(settings).extents == ()
    knowing(monkeypatch, True)
    assert redrive(settings, VENDOR) == Redriven(published=3, redeemed=3, refused=2)
    whole = [
        (0, 1, 1), (1, 99, 1), (2, 2, 1), (NS, 100, 1), (2 * NS + 1, 5, 1), (3 * NS, 102, 1007),
        (3 * NS + 1, 7, 1007),
    ]  # fmt: skip
    assert held(settings) == whole
    count = timeline(VENDOR, settings).count(T0, T0 + HOUR)
    assert (count.messages, count.duplicates) == (7, 0)
    assert redrive(settings, VENDOR) == Redriven(refused=2)
    assert held(settings) == whole
    assert {entry.payload for entry in quarantine.standing(settings, VENDOR)} == {b"y 5", b"torn"}


def test_a_redrive_that_was_killed_is_run_again_and_doubles_nothing(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Published(settings)
    for i in range(20):
        taped(log, b"1 x", T0 + i * NS)
    knowing(monkeypatch, True)
    for method in ("finish", "refuse"):  # with the extent open, and with nothing redeemed

        def killed(self: Sender, *more: object, method: str = method) -> None:
            if method == "finish":
                self.drain()
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(Sender, method, killed)
            with pytest.raises(KeyboardInterrupt):
                redrive(settings, VENDOR)
    assert redrive(settings, VENDOR) == Redriven(redeemed=20)
    count = timeline(VENDOR, settings).count(T0, T0 + HOUR)
    assert (count.messages, count.duplicates) == (40, 0)
    assert all(extent.next is not None for extent in meta.read(settings).extents)


def test_what_the_log_holds_and_todays_code_decodes_is_rebuilt_and_marked(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Published(settings)
    log.publish(*(m.Fields("BTCUSDT", 0, T0 + i * NS, 0, 0, 1, {"mark": float(i)}) for i in range(10)))
    log.garbage(T0 + 3 * NS + 1)
    with monkeypatch.context() as old:
        old.setattr(codec, "breach", lambda one: "too new" if one.fields["mark"] in (4.0, 7.0) else None)
        assert rebuild(settings, VENDOR, OF).messages == 8
    assert undecodable.count(settings, VENDOR, OF) == 3
    done = redrive(settings, VENDOR)
    assert done == Redriven(decoded=2, undecodable=1, windows=1)
    again = rebuild(settings, VENDOR, OF)
    assert (again.messages, again.written) == (10, 0)
    assert undecodable.count(settings, VENDOR, OF) == 1
    assert redrive(settings, VENDOR) == Redriven(undecodable=1)
    log.cut(11)
    assert redrive(settings, VENDOR) == Redriven(undecodable=1)


def test_both_places_are_listed_by_reason_with_samples(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in environment(settings).items():
        monkeypatch.setenv(name, value)
    log = Published(settings)
    taped(log, b"x", T0)
    taped(log, b"1 y", T0 + NS)
    log.garbage(T0 + 2 * NS)
    rebuild(settings, VENDOR, OF)
    knowing(monkeypatch, True)
    capsys.readouterr()
    assert run(["quarantine", VENDOR]) == 0
    out = capsys.readouterr().out
    assert "2 refused by a publisher or loader" in out
    assert "first by 1 at" in out
    place = f"{log.live.name}[{partition_of('BTCUSDT', log.live.partitions)}] at offset 1"
    assert "1 records of the log that can't be decoded" in out
    assert place in out
    assert run(["quarantine", VENDOR, "--redrive", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["quarantined"], told["undecodable"]) == (1, 1)
    assert told["redriven"]["redeemed"] == 1
    assert told["reasons"][0] | {"sample": "1 y", "count": 1} == told["reasons"][0]

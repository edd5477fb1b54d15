"""Tape lines to records: what a line says, for which lane, in the tape's order.

Lanes are the live topic's partitions in order, then the quarantine topic. Everything here is a pure function
of the tape from a life's first line on, so that a publisher that begins again says the same again.
"""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as Base64Error
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from tapedeck.errors import Mismatch
from tapedeck.log import quarantine
from tapedeck.message import CONNECTED, DISCONNECTED, KIND_OF, WHOLE_FEED, Heartbeat, Status
from tapedeck.partitions import partition_of
from tapedeck.tape.position import Lane
from tapedeck.tape.segment import Place, own_of
from tapedeck.vendors import Chatter, Normalised, Refusal, Vendor

MS = 1_000_000
MOST_ROUTES = 1_000_000
EVERYWHERE = -1
ELSEWHERE = -3
NOWHERE = (-2, b"")
TOO_LONG = "the message is longer than the topic's max.message.bytes"

_encode = msgspec.msgpack.Encoder().encode  # `message.encode`, a call shorter


@dataclass(slots=True)
class Outgoing:
    """Records in order: the lane, value, key and CreateTime (ms) of each."""

    lanes: list[int] = field(default_factory=list)
    values: list[bytes] = field(default_factory=list)
    keys: list[bytes] = field(default_factory=list)
    times_ms: list[int] = field(default_factory=list)

    def add(self, lane: int, value: bytes, key: bytes, time_ms: int) -> None:
        """One more."""
        self.lanes.append(lane)
        self.values.append(value)
        self.keys.append(key)
        self.times_ms.append(time_ms)


def normalised(
    vendor: Vendor, payload: bytes, recv_ns: int, src: int, symbol: str | None = None
) -> Normalised:
    """What a payload says. A fault in the vendor's code is a refusal: neither a stop nor silent."""
    try:
        return vendor.normalise(payload, recv_ns, src, symbol)
    except Exception as e:
        return [fault(e)]


def fault(error: Exception) -> Refusal:
    """The refusal that a fault in a vendor's code is."""
    return Refusal(f"the normaliser failed: {type(error).__name__}")


class Lines:
    """Reads a tape's lines and lays out the records that they say, until they are `taken`.

    A lane is passed over until the place that it has already been served up to (`served`); one that is not
    `mine` for ever, since another publisher of this tape serves it.
    """

    def __init__(
        self,
        vendor: Vendor,
        src: int,
        served: Sequence[Lane],
        limits: tuple[int, int],
        stamp: int = 0,
        mine: Sequence[bool] | None = None,
    ) -> None:
        """`limits`: the most bytes of a value in the live and in the quarantine topic; `stamp`: the receipt
        time of the last line before the first that is read here, 0 where that is the tape's first; `mine`:
        by lane, None for all."""
        self.mine = list(mine) if mine is not None else [True] * len(served)
        self._vendor, self._src = vendor, src
        self._out = Outgoing()
        self._served = list(served)
        self._partitions = self.quarantine = len(served) - 1
        self._home = partition_of(WHOLE_FEED, self._partitions)
        self._limit, self._quarantine_limit = limits
        self._routes: dict[str, tuple[int, bytes]] = {}
        self._key = quarantine.key_of(src)
        self._passed = [True] * len(served)
        self.catching_up = True
        """Whether some lane is still being passed over."""
        self.life = 0
        self.since = 0
        """Since when this life is in the topic: its heartbeats say so, and count from there."""
        self.stamp = stamp
        """Receipt time of the last line."""
        self.sent = [0] * len(served)
        """Distinct messages yielded for each lane in this life; of the quarantine, entries."""
        self.counts: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        """By reason, the payloads that went into quarantine."""

    def begin(self, life: int, since: int) -> None:
        """The lines from here on are of this life, which is in this topic since that stamp."""
        self.life, self.since = life, since
        self.sent = [0] * len(self._served)

    def serve_from(self, place: Place) -> None:
        """Take up the lanes that were served up to this place."""
        for lane, served in enumerate(self._served):
            if self._passed[lane] and self.mine[lane] and place >= served.place:
                self._passed[lane] = False
                same = served.place.segment.life == self.life
                self.sent[lane] = served.sent if same else 0
        self.catching_up = any(p and m for p, m in zip(self._passed, self.mine, strict=True))

    def taken(self) -> Outgoing:
        """The records laid out since the last time."""
        out, self._out = self._out, Outgoing()
        return out

    def ordinary(self, lines: Sequence[bytes], first: int, limit: int) -> int:
        """The hot path: the bus's lines from `first` on, as long as there is nothing particular about them.

        Gives the first line that must be looked at by itself: one of the taper's own or damaged, in base64,
        or stamped past `limit` (UTC ns); all of them while some lane is passed over.
        """
        if self.catching_up:
            return first
        normalise, src, routes, longest = self._vendor.normalise, self._src, self._routes, self._limit
        refuses = self.mine[self.quarantine]
        out, sent = self._out, self.sent
        lane_out, value_out, key_out, time_out = (
            out.lanes.append, out.values.append, out.keys.append, out.times_ms.append
        )  # fmt: skip
        i, stamp = first, self.stamp
        for i in range(first, len(lines)):
            head, _, payload = lines[i].partition(b" ")
            if not head.isdigit() or len(head) >= 20 or payload[:4] == b"b64:":
                break
            recv_ns = int(head)
            if recv_ns > limit:
                break
            stamp = recv_ns
            try:
                said = normalise(payload, recv_ns, src)
            except Exception as e:
                said = [fault(e)]
            if len(said) == 1 and (one := said[0]).__class__ in KIND_OF:
                lane, key = routes.get(one.symbol, NOWHERE)  # type: ignore[union-attr]
                if lane == ELSEWHERE and not refuses:
                    continue
                value = _encode(one)
                if lane == ELSEWHERE and len(value) <= longest:
                    continue
                if lane >= 0 and len(value) <= longest:
                    lane_out(lane)
                    value_out(value)
                    key_out(key)
                    time_out(recv_ns // MS)
                    sent[lane] += 1
                    continue
            self._say(said, payload, recv_ns)
        else:
            i = len(lines)
        self.stamp = stamp
        return i

    def message(self, recv_ns: int, payload: bytes) -> None:
        """One line of the bus, `payload` as it stands on the tape."""
        self.stamp = recv_ns
        if payload[:4] == b"b64:":
            try:
                payload = b64decode(payload[4:], validate=True)
            except Base64Error:
                self._refuse(payload, recv_ns, 0, "the tape's base64 is damaged")
                return
        self._say(normalised(self._vendor, payload, recv_ns, self._src), payload, recv_ns)

    def _say(self, said: Normalised, payload: bytes, recv_ns: int) -> None:
        ts_recv = recv_ns
        for one in said:
            if isinstance(one, Refusal):
                self._refuse(payload, recv_ns, ts_recv - recv_ns, one.reason)
            elif isinstance(one, Chatter):
                self._count(f"chatter {one.name}")
                continue
            else:
                lane, key = self._routes.get(one.symbol) or self._new_route(one.symbol)
                value = _encode(one)
                if len(value) > self._limit:
                    self._refuse(payload, recv_ns, ts_recv - recv_ns, TOO_LONG)
                elif lane == EVERYWHERE:
                    self._everywhere(value, ts_recv)
                elif lane != ELSEWHERE and not self._passed[lane]:
                    self._out.add(lane, value, key, ts_recv // MS)
                    self.sent[lane] += 1
            ts_recv += 1

    def own(self, line: bytes, offset: int) -> bool:
        """One line of the taper's own, at that offset of its segment; gives whether it closes the life.

        Raises Mismatch where the tape is another collector's.
        """
        try:
            word, table = own_of(line)
            recv_ns = int(table["recv_ns"])
        except (msgspec.DecodeError, KeyError, TypeError, ValueError):
            self.damaged(line, offset)
            return False
        self.stamp = recv_ns
        if word == "heartbeat":
            closing = bool(table.get("closing"))
            self.beat(recv_ns, closing, bool(table.get("connected", True)))
            return closing
        if word in ("connect", "disconnect"):
            code = CONNECTED if word == "connect" else DISCONNECTED
            why = str(table.get("why", ""))[:500]
            self._everywhere(_encode(Status(WHOLE_FEED, 0, recv_ns, 0, 0, self._src, code, why)), recv_ns)
        elif word == "tape":
            self._check_owner(table)
        else:
            self._count(f"unknown !{word[:40]}")
        return False

    def damaged(self, line: bytes, offset: int) -> None:
        """A line that is none, at that offset of its segment: kept in quarantine beside the line before it.

        The names of two such lines differ, and a line's is the same in every run: the last receipt time
        before it, less its place. (No k is below 0 otherwise.)
        """
        self._refuse(line, max(self.stamp, self.life), -offset - 1, "the tape's line is damaged")

    def _everywhere(self, value: bytes, ts_recv: int) -> None:
        """A "*" record: every partition has a copy; the one in murmur2("*") is the message."""
        for lane in range(self._partitions):
            if not self._passed[lane]:
                self._out.add(lane, value, b"*", ts_recv // MS)
        if not self._passed[self._home]:
            self.sent[self._home] += 1

    def beat(self, recv_ns: int, closing: bool, connected: bool) -> None:
        """A heartbeat into every partition. Before the life moved here it beat elsewhere, and not here."""
        if recv_ns < self.since:
            return
        if recv_ns == self.since != self.life:
            self.sent[: self._partitions] = [0] * self._partitions
        for lane in range(self._partitions):
            if not self._passed[lane]:
                beat = Heartbeat(
                    WHOLE_FEED,
                    0,
                    recv_ns,
                    0,
                    0,
                    self._src,
                    self.since,
                    self.sent[lane],
                    int(closing),
                    int(connected),
                )
                self._out.add(lane, _encode(beat), b"*", recv_ns // MS)

    def _refuse(self, payload: bytes, recv_ns: int, k: int, reason: str) -> None:
        if not self._passed[self.quarantine]:
            entry = quarantine.Entry(payload, self._src, recv_ns, k, reason)
            value = quarantine.encode(entry, self._quarantine_limit)
            self._out.add(self.quarantine, value, self._key, entry.timestamp_ms)
            self.sent[self.quarantine] += 1
            self.counts["refused"] += 1
            self.refused[reason] += 1

    def _count(self, what: str) -> None:
        """Once a tape: of the publishers that share one, who serves the quarantine counts."""
        if self.mine[self.quarantine]:
            self.counts[what] += 1

    def _new_route(self, symbol: str) -> tuple[int, bytes]:
        if len(self._routes) >= MOST_ROUTES:
            self._routes.clear()
        lane = EVERYWHERE if symbol == WHOLE_FEED else partition_of(symbol, self._partitions)
        lane = lane if lane == EVERYWHERE or self.mine[lane] else ELSEWHERE
        route = self._routes[symbol] = lane, symbol.encode()
        return route

    def _check_owner(self, table: dict[str, Any]) -> None:
        owner = table.get("vendor"), table.get("src")
        if owner != (self._vendor.name, self._src):
            raise Mismatch(
                f"this tape was recorded by collector {owner[1]} of {owner[0]}, not by {self._src} of "
                f"{self._vendor.name}: move its folder back to where that collector keeps its tape"
            )

"""The ledger of a simulation: one JSON line a fault, then one line of totals."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec

from tapedeck.errors import BadInput
from tapedeck.message import KIND_OF
from tapedeck.simulate.faults import Deed
from tapedeck.vendors import Chatter, Refusal, Vendor

_line = msgspec.json.Encoder()


class Ledger:
    """Exactly what was done, whole on the disk or not there.

    It is written to `<path>.partial` as it goes, and becomes `path` when it is closed. A fault's line
    has `fault, index, recv_ns, stream, symbol, kind, seq, prev` (and `behind` or `seconds`), the last
    line `totals` and, for each stream in alphabetical order, what was sent and done. It holds no times
    of its own, so equal simulations have equal ledgers.
    """

    def __init__(self, path: str | Path | None, vendor: Vendor) -> None:
        """Begin it. No path: only counts are kept. Raises BadInput where the file can't be written."""
        self._vendor = vendor
        self._path = Path(path) if path else None
        self.sent: Counter[str] = Counter()
        """Messages handed to the bus by stream, copies included. The player counts here."""
        self._faults: dict[str, Counter[str]] = {}
        self._names: dict[str, tuple[str, str]] = {}
        self._file = None
        if self._path:
            try:
                self._file = open(self._partial, "wb")  # noqa: SIM115
            except OSError as e:
                raise BadInput(
                    f"the ledger {self._path} can't be written ({e.strerror}): "
                    "name a file in a folder that can"
                ) from e

    def tell(self, deed: Deed) -> None:
        """Enter one fault."""
        stream = self._vendor.stream_of(deed.payload)
        self._faults.setdefault(stream, Counter())[deed.fault] += 1
        if self._file is None:
            return
        line: dict[str, Any] = {
            "fault": deed.fault, "index": deed.index, "recv_ns": deed.recv_ns, "stream": stream,
            **self._ids(deed.payload),
        }  # fmt: skip
        if deed.fault == "reorder":
            line["behind"] = deed.behind
        if deed.seconds is not None:
            line["seconds"] = deed.seconds
        self._file.write(_line.encode(line) + b"\n")

    def know(self, stream: str, payload: bytes) -> None:
        """Learn symbol and kind of a stream from its first payload."""
        ids = self._ids(payload)
        self._names[stream] = (ids["symbol"], ids["kind"])

    def totals(self) -> dict[str, Any]:
        """Totals over all streams, and for each stream; `played` = sent + drop − dup."""
        streams = [self._of_stream(stream) for stream in sorted({*self.sent, *self._faults})]
        whole = {
            key: sum(stream[key] for stream in streams)
            for key in ("played", "sent", "drop", "dup", "reorder", "stall")
        }
        return {"totals": whole, "streams": streams}

    def close(self, *, complete: bool) -> None:
        """Write the totals and make the file durable. `complete` says whether all was played."""
        if self._file is None or self._path is None:
            return
        self._file.write(_line.encode({**self.totals(), "complete": complete}) + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._file = None
        os.replace(self._partial, self._path)
        folder = os.open(self._path.absolute().parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def discard(self) -> None:
        """Leave no trace: nothing was played."""
        if self._file is not None:
            self._file.close()
            self._file = None
            self._partial.unlink(missing_ok=True)

    @property
    def _partial(self) -> Path:
        return Path(f"{self._path}.partial")

    def _of_stream(self, stream: str) -> dict[str, Any]:
        symbol, kind = self._names.get(stream, ("", ""))
        done = self._faults.get(stream, Counter())
        sent = self.sent[stream]
        return {
            "stream": stream, "symbol": symbol, "kind": kind,
            "played": sent + done["drop"] - done["dup"], "sent": sent,
            **{fault: done[fault] for fault in ("drop", "dup", "reorder", "stall")},
        }  # fmt: skip

    def _ids(self, payload: bytes) -> dict[str, Any]:
        """What the vendor says of a payload; of one that it refuses, kind "refused" and no symbol."""
        said = next(iter(self._vendor.normalise(payload, 1, 1)), Chatter("empty"))
        if isinstance(said, Refusal | Chatter):
            kind = "refused" if isinstance(said, Refusal) else "chatter"
            return {"symbol": "", "kind": kind, "seq": 0, "prev": 0}
        return {"symbol": said.symbol, "kind": KIND_OF[type(said)], "seq": said.seq, "prev": said.prev}

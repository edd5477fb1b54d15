"""Raw tapes of another collector or site, and captured files, as history: each segment is a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from tapedeck import vendors
from tapedeck.buses import captured
from tapedeck.errors import Unavailable
from tapedeck.jobs.history.source import Answer, Found, Given, Want
from tapedeck.message import Message
from tapedeck.settings import Settings
from tapedeck.slices import Slice, parse_duration
from tapedeck.tape import capture
from tapedeck.tape.capture import Capture
from tapedeck.tape.load import load
from tapedeck.vendors.vendor import Chatter, Refusal

ENDINGS = (".zst", ".gz")
"""A plain segment may still be written to, and its source number is its content's."""


class Taped:
    """One closed segment or captured file.

    What has a sequence is published whole, since copies are told apart by it: so what no chain misses, a
    quote for example, is mended too. What has none is published where it is wanted only.
    """

    def __init__(self, vendor: str, file: Capture, span: Slice) -> None:
        self._vendor = vendor
        self._file, self._span, self.name, self.src = file, span, file.path.name, file.src

    def messages(self, of: Slice) -> Iterator[Message]:
        """See `File.messages`."""
        for _, _, said in capture.walk(self._file, vendors.get(self._vendor)):
            yield from (
                m for m in said
                if not isinstance(m, Refusal | Chatter) and of.start <= m.ts_recv < of.end
            )  # fmt: skip

    def publish(self, settings: Settings, vendor: str, wants: Sequence[Want]) -> Given:
        """See `File.publish`."""

        def wanted(message: Message) -> bool:
            at = message.ts_recv
            return message.seq != 0 or any(w.slice.start <= at < w.slice.end for w in wants)

        done = load(settings, vendor, self._file, wanted=wanted)
        return Given(sum(done.messages.values()), done.present, self._span)


class Tapes:
    """A folder of them, and its folders."""

    def __init__(self, settings: Settings, vendor: str, at: str) -> None:
        self._folder, self._vendor = Path(at).expanduser().absolute(), vendor
        self._margin = parse_duration(settings.vendor(vendor).margin)
        self._index = settings.state / "history" / vendor
        self.name = f"tape {self._folder}"

    def find(self, wants: Sequence[Want], symbols: Sequence[str]) -> Answer:
        """See `Source.find`."""
        if not self._folder.is_dir():
            raise Unavailable(f"the tape {self._folder} is not there: mount it, or correct `at`")
        found = []
        for path in sorted(p for p in self._folder.rglob("*") if p.suffix in ENDINGS and p.is_file()):
            span = self._span(path)
            some = [w for w in wants if w.slice.widen(self._margin).meets(span.start, span.end)]
            if some:
                checked = capture.check(path, vendors.get(self._vendor))
                found.append(Found(Taped(self._vendor, checked, span), tuple(some)))
        return Answer(tuple(found))

    def _span(self, path: Path) -> Slice:
        """When it was recorded, kept beside its size and age so that it is read once."""
        state = path.stat()
        place = self._index / f"{path.name}.{state.st_size}.{state.st_mtime_ns}.span"
        if place.exists():
            return msgspec.json.decode(place.read_bytes(), type=Slice)
        first, last = 0, 0
        for recv_ns, _ in captured.read(path):
            first, last = first or recv_ns, max(last, recv_ns)
        span = Slice(first, last + 1)
        place.parent.mkdir(parents=True, exist_ok=True)
        hidden = place.with_suffix(".tmp")
        hidden.write_bytes(msgspec.json.encode(span))
        hidden.replace(place)
        return span

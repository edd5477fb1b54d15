"""Venues that send one JSON object a payload, with a field that says what it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, get_args

import msgspec

from tapedeck.vendors.decoding import BROKEN, ERROR, sound, why
from tapedeck.vendors.vendor import Chatter, Normalised, Refusal, Vendor, some


class Top(Protocol):
    """What a payload says of itself, as a venue's own struct reads it."""

    product_id: str
    """Empty where it names none."""

    @property
    def word(self) -> str:
        """The venue's word for what it is."""


class TaggedVendor(Vendor):
    """A venue of tagged objects as a `Vendor`. A payload says one thing, so k is always 0.

    `types` is the union of what is read, tagged structs with `message(recv_ns, src)`; of the rest, words
    in `chatter` are counted and all else is refused.
    """

    def __init__(
        self, name: str, types: Any, top: type[Top], chatter: set[str], url: str, example: str
    ) -> None:
        self.name = name
        self._decode = msgspec.json.Decoder(types, strict=False).decode
        self._top: Callable[[bytes], Top] = msgspec.json.Decoder(top).decode
        self._read = {str(part.__struct_config__.tag) for part in get_args(types)}
        self._chatter, self._url, self._example = chatter, url, example

    def normalise(self, payload: bytes, recv_ns: int, src: int, symbol: str | None = None) -> Normalised:
        """See `Vendor.normalise`."""
        try:
            return [sound(self._decode(payload).message(recv_ns, src))]
        except BROKEN as e:
            return [self._told(payload, e)]

    def stream_of(self, payload: bytes) -> str:
        """See `Vendor.stream_of`: the venue's word and the product."""
        try:
            top = self._top(payload)
        except BROKEN:
            return ""
        return f"{top.word} {top.product_id}".strip()

    def websocket_url(self, symbols: Sequence[str], host: str = "") -> str:
        """See `Vendor.websocket_url`."""
        some(symbols, self.name, self._example)
        scheme, _, rest = self._url.partition("://")
        server, slash, path = rest.partition("/")
        return f"{host.rstrip('/') or f'{scheme}://{server}'}{slash}{path}"

    def _told(self, payload: bytes, error: Exception) -> Chatter | Refusal:
        """What a payload is that could not be read as a message."""
        try:
            word = self._top(payload).word
        except BROKEN as e:
            return Refusal(why(e))
        if word in self._chatter:
            return Chatter(word)
        if word in ("error", "alert") or word.endswith("_failed"):
            return Refusal(ERROR)
        if word in self._read:
            return Refusal(why(error))
        return Refusal(f"payload is none of those that are read: {', '.join(sorted(self._read))}")

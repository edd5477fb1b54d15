"""Buses: what a vendor's raw messages arrive on. They have no history."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import parse_qsl, urlsplit

from tapedeck.buses.bus import QUEUE, Bus, Change, Image, Venue
from tapedeck.errors import BadInput
from tapedeck.settings import shown_address

__all__ = ["QUEUE", "Bus", "Change", "Image", "Venue", "check", "nats_url", "open", "zeromq_endpoint"]

_FORMS = (
    "write it as zmq:tcp://host:port, websocket (the venue itself), websocket:wss://host or "
    "nats:nats://host:port/subject"
)
_TOKEN = re.compile(r"[^\s.*>]+|\*")


def open(
    address: str, vendor: Venue, symbols: Sequence[str], silence: float = 60.0, queue: int = QUEUE
) -> Bus:
    """Subscribe to the bus at that address (`bus` in a vendor's settings).

    `zmq:tcp://host:port` hears all that is published there. `websocket` asks the venue itself for these
    symbols; `websocket:wss://host` asks another host, and one with a path is used as it stands.
    `nats:nats://host:port/subject` hears a subject, wildcards included. A WebSocket that brings nothing for
    `silence` seconds is connected again. At most `queue` payloads wait in memory. It need not be up yet.
    Raises BadInput for any other form, or for no symbols where they are needed.
    """
    where = check(address, vendor, symbols)
    if address.startswith("zmq:"):
        from tapedeck.buses.zeromq import ZeromqBus

        return ZeromqBus(where, queue)
    if address.startswith("nats:"):
        from tapedeck.buses.nats import NatsBus

        return NatsBus(where, queue=queue)
    from tapedeck.buses.websocket import WebsocketBus

    return WebsocketBus(where, vendor, symbols, silence=silence, queue=queue)


def check(address: str, vendor: Venue, symbols: Sequence[str]) -> str:
    """The endpoint or URL that `open` would connect to. Connects to nothing, and raises as `open` does."""
    scheme, _, rest = address.partition(":")
    if scheme == "zmq":
        return zeromq_endpoint(address)
    if scheme == "websocket":
        return _websocket_url(address, rest, vendor, symbols)
    if scheme == "nats":
        return nats_url(address)
    raise BadInput(f"the bus of {vendor.name} has no known address, {shown_address(address)!r}: {_FORMS}")


def zeromq_endpoint(address: str) -> str:
    """`tcp://host:port` of a `zmq:` address. Raises BadInput for any other."""
    scheme, _, endpoint = address.partition(":")
    try:
        parts = urlsplit(endpoint)
        whole = scheme == "zmq" and parts.scheme == "tcp" and parts.hostname and parts.port is not None
    except ValueError:
        whole = False
    if not whole or parts.path or parts.query or parts.username is not None:
        raise BadInput(
            f"{shown_address(address)!r} is no address of a ZeroMQ bus: write it as zmq:tcp://host:port"
        )
    return endpoint


def nats_url(address: str) -> str:
    """`nats://host:port/subject` of a `nats:` address. Raises BadInput for any other."""
    scheme, _, url = address.partition(":")
    try:
        parts = urlsplit(url)
        whole = scheme == "nats" and parts.scheme in ("nats", "tls") and parts.hostname and parts.port
    except ValueError:
        whole = False
    tokens = parts.path.removeprefix("/").split(".") if whole else [""]
    rest = tokens[:-1] if tokens[-1] == ">" else tokens
    known = not whole or not parts.query or [name for name, _ in parse_qsl(parts.query)] == ["credentials"]
    if not whole or not known or parts.fragment or not all(_TOKEN.fullmatch(token) for token in rest):
        raise BadInput(
            f"{shown_address(address)!r} is no address of a NATS bus: write it as "
            "nats:nats://host:port/subject, for example nats:nats://127.0.0.1:4222/ticks.>, with "
            "?credentials=/path/of/user.creds behind it "
            f"where the server wants that; see also: {_FORMS}"
        )
    return url


def _websocket_url(address: str, url: str, vendor: Venue, symbols: Sequence[str]) -> str:
    if not url and ":" not in address:
        return vendor.websocket_url(symbols)
    try:
        parts = urlsplit(url)
        whole = parts.scheme in ("ws", "wss") and parts.hostname and (parts.port is None or parts.port)
    except ValueError:
        whole = None
    if not whole:
        raise BadInput(f"{shown_address(address)!r} is no address of a websocket: {_FORMS}")
    return url if parts.path.strip("/") else vendor.websocket_url(symbols, f"{parts.scheme}://{parts.netloc}")

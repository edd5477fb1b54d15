"""What of a setting is secret, what is shown in its place, and the files that secrets are read from."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from tapedeck.errors import BadInput

MASK = "********"
FILE = "file:"
"""A secret may stand in a file of its own: `"file:/run/secrets/kafka"`."""
_WORDS = (
    "password", "passwd", "secret", "token", "webhook", "jaas", "private.key", "passphrase", "key.pem",
    "keystore.key", "oauthbearer.config", "authmechanismproperties", "signature",
)  # fmt: skip
"""Where a name has one of these, its value is secret."""
_NONE = ("token.endpoint",)
_ADDRESSES = ("uri", "bus", "at", "address")
"""Last words of names whose value is an address that may carry a user, a password or a token."""
_PLACE = re.compile(r"[^:]*(:\d*)?(,[^:,]*(:\d*)?)*|\[.*")
"""`host`, `host:port`, several of them, an address of IPv6: nobody's name and password."""
_IN_A_QUERY = re.compile(r"([?&;])([^=&;]+)=([^&;]*)")


def is_secret(name: str) -> bool:
    """Whether all of a setting's value is secret, by its dotted name."""
    name = name.lower()
    return any(word in name for word in _WORDS) and not any(word in name for word in _NONE)


def may_be_a_file(name: str) -> bool:
    """Whether a setting, by its dotted name, is or may carry a secret, and so may name a file that has it."""
    return is_secret(name) or name.rpartition(".")[2] in ("uri", "bus")


def shown(name: str, value: Any) -> Any:
    """The setting's value as anybody may see it."""
    if isinstance(value, dict):
        return {key: shown(f"{name}.{key}", inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shown(name, inner) for inner in value]
    if not value or not isinstance(value, str):
        return value
    if is_secret(name):
        return MASK
    return shown_address(value) if name.rpartition(".")[2] in _ADDRESSES else value


def shown_address(address: str) -> str:
    """The address without the user, password or token that it may carry."""
    head, mark, rest = address.rpartition("://")
    place = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if "@" not in place and _PLACE.fullmatch(place) is None:
        place = rest  # who is written with a slash that nobody has encoded
    if "@" in place:
        rest = f"{MASK}@{place.rpartition('@')[2]}{rest[len(place) :]}"
    return f"{head}{mark}{_IN_A_QUERY.sub(_shown_in_a_query, rest)}"


def _shown_in_a_query(found: re.Match[str]) -> str:
    before, name, value = found.groups()
    return f"{before}{name}={MASK if is_secret(unquote(name)) else value}"


def read_file(name: str, value: str, source: str) -> str:
    """What the file holds that a setting's `file:…` names, without its last line feed. Raises BadInput."""
    path = Path(value.removeprefix(FILE)).expanduser()
    try:
        text = path.read_text("utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as e:
        why = e.strerror if isinstance(e, OSError) else "it is no text"
        raise BadInput(
            f"the setting {name} names the file {path}, which can't be read ({why}), in {source}: correct it"
        ) from e
    if not text:
        raise BadInput(f"the setting {name} names the file {path}, which is empty, in {source}: fill it")
    return text

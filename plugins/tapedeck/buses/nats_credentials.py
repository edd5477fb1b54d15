"""A NATS user's credentials, as NATS's tools write them: a `.creds` file with a JWT and the seed of the key
that signs for it, or the seed alone, of a user whom the server knows by key.

https://docs.nats.io/using-nats/developer/connecting/creds and …/connecting/nkey. The seed is base32 of two
bytes that say what it is, 32 bytes of an Ed25519 key and a checksum; the server's nonce is signed with it. It
is read again for each connection, so that renewed credentials need no restart.
"""

from __future__ import annotations

import base64
import binascii
import re
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Struct

from tapedeck.errors import BadInput

_BLOCK = re.compile(r"-{3,}BEGIN ([A-Z ]+)-{3,}\s+(\S+)\s+-{3,}END \1-{3,}")
_JWT, _SEED = "NATS USER JWT", "USER NKEY SEED"
_USER_SEED = 18 << 3, 20 << 3
"""What a seed's two first bytes say: `S`, and `U` for a user (its five bits lie across both)."""
_SEED_BYTES = 36


class Credentials(Struct, frozen=True):
    """Who the user is (no JWT: its key), and what signs for it."""

    jwt: bytes
    seed: bytes

    def __repr__(self) -> str:
        return "Credentials(…)"

    def sign(self, nonce: str) -> bytes:
        """The server's nonce, signed, in base64."""
        return base64.b64encode(self._key().sign(nonce.encode()))

    @property
    def nkey(self) -> str:
        """The key that the server knows the user by: base32 of what it is, itself and a checksum."""
        raw = bytes([_USER_SEED[1]]) + self._key().public_key().public_bytes_raw()
        return base64.b32encode(raw + binascii.crc_hqx(raw, 0).to_bytes(2, "little")).decode().rstrip("=")

    def _key(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.seed)


def read(path: str | Path) -> Credentials:
    """The credentials in a file. Raises BadInput, which never quotes it, where it holds none."""
    try:
        text = Path(path).read_text("ascii")
        blocks = dict(_BLOCK.findall(text)) or {_JWT: "", _SEED: text.strip()}
    except OSError as e:
        raise BadInput(f"the NATS credentials {path} can't be read ({e.strerror}): check the path") from e
    except UnicodeDecodeError:
        blocks = {}
    try:
        raw = base64.b32decode(blocks[_SEED] + "=" * (-len(blocks[_SEED]) % 8))
        if len(raw) != _SEED_BYTES or raw[0] & 0xF8 != _USER_SEED[0] or _kind(raw) != _USER_SEED[1]:
            raise ValueError
        return Credentials(blocks[_JWT].encode(), raw[2:34])
    except (KeyError, ValueError, binascii.Error):
        raise BadInput(
            f"the NATS credentials {path} are no .creds file of a user (a JWT, then a seed that begins with "
            "SU): give the one that `nsc generate creds` writes, or the seed alone, as `nk -gen user` does"
        ) from None


def _kind(raw: bytes) -> int:
    return (raw[0] & 7) << 5 | raw[1] >> 3

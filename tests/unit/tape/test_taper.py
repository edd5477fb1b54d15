"""The taper's order: a payload stands on the tape behind the connection that it came over."""

from __future__ import annotations

from pathlib import Path

from tapedeck.buses.listener import Listener
from tapedeck.settings import Settings, Vendor
from tapedeck.tape.follow import Follower
from tapedeck.tape.taper import tape

VENDOR = "binance_usdm"


class Heard(Listener):
    """A bus that has heard all that it will hear."""

    def __init__(self) -> None:
        super().__init__("ws://127.0.0.1:1", "websocket", 1.0, 1.0)
        for n in (1, 2):
            self._connected()
            self._put(b'{"n":%d}' % n)
            self._lost("gone")
        self._connected()

    def _hear(self) -> None:
        """Nothing more."""

    def _let_go(self) -> None:
        """Nothing to let go of."""


def test_what_comes_over_the_next_connection_is_behind_the_loss_of_the_one_before(tmp_path: Path) -> None:
    deck = Settings(state_dir=str(tmp_path), vendors={VENDOR: Vendor()})
    tape(deck, VENDOR, 1, Heard(), lambda: True, lambda said: None)
    follower = Follower(deck.tape_dir(VENDOR, 1))
    chunk = follower.read()
    follower.close()
    assert chunk is not None
    words = [line.split(b" ")[0 if line[:1] == b"!" else 1] for line in chunk.data.split(b"\n")[:-1]]
    connected, lost = b"!connect", b"!disconnect"
    assert [word for word in words if word not in (b"!tape", b"!heartbeat")] == [
        connected, b'{"n":1}', lost, connected, b'{"n":2}', lost, connected,
    ]  # fmt: skip
    assert words[-1] == b"!heartbeat"

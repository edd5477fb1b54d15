"""A small TCP proxy on the wire before a server: it cuts connections, loses replies, or is away for a while.

`Proxy.kafka` is for a broker that tells its clients its own address: every reply is changed to name the proxy
instead (the same number of bytes), so that clients never go around it. `brokers` and `members` do so for all
nodes of a cluster. A client of `Proxy` before one mongod must be told `directConnection=true` to stay on it.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

HOST = "127.0.0.1"
_BLOCK = 2**16
_RESET = struct.pack("ii", 1, 0)  # closing sends a reset, whatever is under way

Change = Callable[[bytes], bytes]
Rest = Callable[[bytes], int]
"""Given the four bytes with which a reply begins, how many follow them."""


class Proxy:
    """A proxy at work during the block. All its methods may be called from any thread."""

    def __init__(
        self, target: str, *, change: Callable[[int], Change] | None = None,
        rest: Rest = lambda head: int.from_bytes(head, "big"),
    ) -> None:  # fmt: skip
        """`target` is `HOST:PORT`. `change`: given the proxy's port, how each framed reply is changed; the
        frame is Kafka's where `rest` does not say another."""
        self._rest = rest
        host, _, port = target.rpartition(":")
        self._target = host, int(port)
        self._listener = socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]
        self._change = change(self.port) if change else None
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._away = self._losing = False
        self.lost = 0
        """Bytes of replies that never reached their client."""
        self.connections = 0
        """How many connections were served."""

    @classmethod
    def kafka(cls, bootstrap: str) -> Proxy:
        """A proxy before the broker at `HOST:PORT`, whose every reply names the proxy as that broker."""
        host, _, port = bootstrap.rpartition(":")

        def change(own: int) -> Change:
            old, new = (host.encode() + p.to_bytes(4, "big") for p in (int(port), own))
            return lambda reply: reply.replace(old, new)

        return cls(bootstrap, change=change)

    def __enter__(self) -> Proxy:
        self._begin(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        for thread in list(self._threads):
            thread.join(30)
        self._listener.close()

    @property
    def address(self) -> str:
        """Where clients connect, `HOST:PORT`."""
        return f"{HOST}:{self.port}"

    def cut(self) -> None:
        """End every connection as it is, whatever is under way; new ones are whole again."""
        with self._lock:
            self._losing = False
            for one in self._open:
                with suppress(OSError):
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                    one.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads; it closes

    def leave(self) -> None:
        """Cut, and end every new connection at once, until `come_back`."""
        self._away = True
        self.cut()

    def come_back(self) -> None:
        """Serve again."""
        self._away = False

    def lose_replies(self) -> None:
        """Requests reach the server and are carried out, but no reply comes back any more, until `cut`."""
        self._losing = True

    def _begin(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                here, _ = self._listener.accept()
            except OSError:
                return
            self._begin(lambda here=here: self._serve(here))  # type: ignore[misc]

    def _serve(self, here: socket.socket) -> None:
        """One connection: requests in this thread, replies in another."""
        with here, suppress(OSError), socket.create_connection(self._target, 30) as there:
            there.settimeout(None)
            pair = {here, there}
            with self._lock:
                if self._away:
                    return
                self._open |= pair
                self.connections += 1
            replies = threading.Thread(target=self._replies, args=(there, here), daemon=True)
            replies.start()
            try:
                while block := here.recv(_BLOCK):
                    there.sendall(block)
            finally:
                for end in pair:
                    with suppress(OSError):
                        end.shutdown(socket.SHUT_RDWR)
                replies.join(30)
                with self._lock:
                    self._open -= pair

    def _replies(self, there: socket.socket, here: socket.socket) -> None:
        with suppress(OSError):
            while reply := (self._frame(there) if self._change else there.recv(_BLOCK)):
                if self._losing:
                    self.lost += len(reply)
                else:
                    here.sendall(reply)
        with suppress(OSError):
            here.shutdown(socket.SHUT_RDWR)

    def _frame(self, there: socket.socket) -> bytes:
        """One reply, its length before it; nothing where the connection has ended."""
        assert self._change is not None
        head = _exactly(there, 4)
        return head and head + self._change(_exactly(there, self._rest(head)))


def brokers(bootstrap: str) -> list[Proxy]:
    """A proxy before each of `HOST:PORT[,HOST:PORT…]`, whose replies name the proxies in place of these."""

    def place(address: str) -> bytes:
        host, _, port = address.rpartition(":")
        return host.encode() + int(port).to_bytes(4, "big")

    return _before(bootstrap.split(","), place, lambda head: int.from_bytes(head, "big"))


def members(uri: str) -> list[Proxy]:
    """A proxy before each member of a replica set, `mongodb://HOST:PORT[,HOST:PORT…]/…`, likewise. All ports
    must have as many digits as the system's own for clients, five."""
    hosts = uri.removeprefix("mongodb://").partition("/")[0].split(",")
    return _before(hosts, str.encode, lambda head: int.from_bytes(head, "little") - 4)


def _before(targets: Sequence[str], place: Callable[[str], bytes], rest: Rest) -> list[Proxy]:
    names: list[tuple[bytes, bytes]] = []

    def change(reply: bytes) -> bytes:
        for old, new in names:
            reply = reply.replace(old, new)
        return reply

    made = [Proxy(target, change=lambda _: change, rest=rest) for target in targets]
    names += [(place(target), place(proxy.address)) for target, proxy in zip(targets, made, strict=True)]
    assert all(len(old) == len(new) for old, new in names)
    return made


def addresses(proxies: Iterable[Proxy]) -> str:
    """Where clients connect, `HOST:PORT,HOST:PORT…`."""
    return ",".join(proxy.address for proxy in proxies)


def _exactly(there: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count:
        block = there.recv(count - len(found))
        if not block:
            return b""
        found += block
    return found

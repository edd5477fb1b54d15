"""`/healthz`, `/readyz` and `/metrics` of a live process, over HTTP, on loopback unless settings say more.

A thread serves them from what the processes last said of themselves, so no loop waits for a scrape. A
collector's halves say it in small files, which the process that looks after them reads.

- `/healthz`: 200 while every loop has turned within `metrics.stalled`. Whoever restarts processes asks this.
- `/readyz`: 200 while nothing holds any of them either (no bus, no Kafka, a clock ahead, another writer).
- `/metrics`: `tapedeck.metrics` in Prometheus's text format.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from types import TracebackType

import msgspec

from tapedeck import metrics
from tapedeck.errors import Unavailable
from tapedeck.metrics import Snapshot, Values
from tapedeck.settings import Settings
from tapedeck.slices import NS, parse_duration

SEARCHED = 200
"""So many ports from `metrics.port` on are tried."""
PATHS = ("/healthz", "/readyz", "/metrics")


class Verdict(msgspec.Struct, frozen=True):
    """What is said of a process: `words` has a line for each of its loops."""

    alive: bool
    ready: bool
    words: str


def judge(snapshots: Sequence[Snapshot], now: float, stalled: float) -> Verdict:
    """Whether all loops turned within the last `stalled` seconds, and whether all are ready."""
    alive = ready = True
    lines = []
    for one in snapshots:
        if now - one.at > stalled:
            alive = ready = False
            ago = f"turned last {now - one.at:.0f} s ago" if one.at else "has not turned yet"
            lines.append(f"{one.role}: {ago}")
        elif one.held:
            ready = False
            lines.append(f"{one.role}: held: {one.held}")
        else:
            lines.append(f"{one.role}: ready")
    return Verdict(alive, ready, "".join(f"{line}\n" for line in lines))


class Serving:
    """Answers at `address` during the block, from what `look` gives when it is asked."""

    def __init__(
        self, settings: Settings, who: Mapping[str, str], look: Callable[[], Sequence[Snapshot]]
    ) -> None:
        """Raises Unavailable where it can't listen."""
        self._stalled = parse_duration(settings.metrics.stalled) / NS
        self._who, self._look = who, look
        self._server = _listen(settings, self.answer)
        host, port = self._server.server_address[:2]
        self.address = f"http://{'127.0.0.1' if host == '0.0.0.0' else host!s}:{port}"  # noqa: S104
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="health", daemon=True
        )

    def __enter__(self) -> Serving:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, path: str) -> tuple[int, str, bytes]:
        """(status, content type, body) for a path."""
        snapshots = self._look()
        if path == "/metrics":
            return 200, metrics.CONTENT_TYPE, metrics.expose(self._who, snapshots)
        verdict = judge(snapshots, time.time(), self._stalled)
        good = {"/healthz": verdict.alive, "/readyz": verdict.ready}.get(path)
        if good is None:
            return 404, "text/plain", f"no such page: there are {', '.join(PATHS)}\n".encode()
        return 200 if good else 503, "text/plain; charset=utf-8", verdict.words.encode()


def half_file(settings: Settings, role: str, vendor: str, src: int) -> Path:
    """Where a half of a collector says how it is."""
    return settings.state / "live" / "halves" / f"{role}-{vendor}-{src}.json"


class Teller:
    """A half's `Show`: replaces its file, whole or not at all. Where that fails the half works on, and
    `/healthz` says how long ago it was heard of."""

    def __init__(self, path: Path, role: str) -> None:
        self._path, self._role = path, role
        self._new = path.with_suffix(f".{os.getpid()}.new")

    def __call__(self, held: str, values: Values) -> None:
        """Say how the half is."""
        said = metrics.snapshot(self._role, time.time(), held, values)
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._new.write_bytes(msgspec.json.encode(said))
            self._new.replace(self._path)


def heard(path: Path, role: str) -> Snapshot:
    """What a half last said; one that has not spoken yet is not ready."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Snapshot)
    except (OSError, msgspec.DecodeError):
        return Snapshot(role=role, at=0.0, held="it has not spoken yet")


def _listen(settings: Settings, answer: Callable[[str], tuple[int, str, bytes]]) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        timeout = 5

        def do_GET(self) -> None:
            status, kind, body = answer(self.path.partition("?")[0])
            with suppress(ConnectionError):
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body if self.command == "GET" else b"")

        do_HEAD = do_GET

        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads who scraped."""

    host, first = settings.metrics.host, settings.metrics.port
    ports = range(first, min(first + SEARCHED, 65536)) if first else range(1)
    why = ""
    for port in ports:
        try:
            return _Server((host, port), Handler)
        except OSError as e:
            why = e.strerror or str(e)
    where = f"{host}:{first}" + (f" to {ports[-1]}" if first else "")
    raise Unavailable(
        f"health and metrics can't be served at {where} ({why}): set metrics.host to an address of this "
        "machine and metrics.port to a free port, or to 0 for any"
    )


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def server_bind(self) -> None:
        """Without the look for this machine's name, which may wait for a name server."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]

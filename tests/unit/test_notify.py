"""Notices reach the webhook, or somebody is told that they did not."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import msgspec
import pytest

from tapedeck import notify
from tapedeck.errors import BadInput, Unavailable
from tapedeck.notify import Notice, send
from tapedeck.settings import Notify, Settings

NOTICE = Notice(title="nightly_backfill has failed", text="it has failed", link="http://here/x")


class Hook(HTTPServer):
    """A webhook that answers with these statuses in turn."""

    def __init__(self, *statuses: int) -> None:
        self.statuses, self.bodies = list(statuses), list[bytes]()
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def settings(self) -> Settings:
        return Settings(notify=Notify(webhook=f"http://127.0.0.1:{self.server_port}/hook?key=1"))


class _Handler(BaseHTTPRequestHandler):
    server: Hook

    def do_POST(self) -> None:
        self.server.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(self.server.statuses.pop(0))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hook]:
    monkeypatch.setattr(notify.time, "sleep", lambda _: None)
    server = Hook(500, 200)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_notice_is_posted_whole_and_again_where_it_was_not_taken(hook: Hook) -> None:
    assert send(hook.settings, NOTICE)
    assert len(hook.bodies) == 2
    assert msgspec.json.decode(hook.bodies[1], type=Notice) == NOTICE


def test_one_that_nobody_takes_is_an_error_without_the_address(hook: Hook) -> None:
    hook.statuses = [500, 500, 500]
    with pytest.raises(Unavailable, match="answers 500: 'nightly_backfill has failed'") as told:
        send(hook.settings, NOTICE)
    assert "key=1" not in str(told.value)


def test_without_a_webhook_nobody_is_told_and_a_wrong_one_is_named() -> None:
    assert not send(Settings(), NOTICE)
    with pytest.raises(BadInput, match=r"notify\.webhook"):
        send(Settings(notify=Notify(webhook="chat.example")), NOTICE)

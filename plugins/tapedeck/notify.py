"""Telling people what jobs can't mend themselves: one JSON object to one webhook.

Live processes alert through Prometheus; this is for jobs, which a scrape would miss.
"""

from __future__ import annotations

import http.client
import time
from typing import Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from tapedeck.errors import BadInput, Unavailable
from tapedeck.settings import Settings

TIMEOUT = 10.0
TRIES = 3


class Notice(Struct, frozen=True, kw_only=True):
    """What somebody is told. `link` leads to where it can be seen; `text` says it all in a sentence or two.

    Chat systems that take `text` (Slack, Mattermost, Teams by way of one of them) show it as it is.
    """

    title: str
    text: str
    severity: Literal["info", "warning", "error"] = "error"
    link: str = ""
    source: str = "tapedeck"


def send(settings: Settings, notice: Notice) -> bool:
    """Post a notice to the settings' webhook; False where none is set.

    Tried three times. Raises Unavailable where the webhook does not take it, BadInput for an address that
    is none.
    """
    if not settings.notify.webhook:
        return False
    address = urlsplit(settings.notify.webhook)
    if address.scheme not in ("http", "https") or not address.hostname:
        raise BadInput("the setting notify.webhook is no http:// or https:// address: correct it")
    for left in reversed(range(TRIES)):
        try:
            status = _post(settings.notify.webhook, msgspec.json.encode(notice))
        except (OSError, http.client.HTTPException) as e:
            problem = f"does not answer ({e})"
        else:
            if status < http.client.BAD_REQUEST:
                return True
            problem = f"answers {status}"
        if left:
            time.sleep(1)
    raise Unavailable(f"the webhook at {address.hostname} {problem}: {notice.title!r} was told to nobody")


def _post(url: str, body: bytes) -> int:
    address = urlsplit(url)
    kind = http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
    connection = kind(address.hostname or "", address.port, timeout=TIMEOUT)
    path = (address.path or "/") + (f"?{address.query}" if address.query else "")
    try:
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()

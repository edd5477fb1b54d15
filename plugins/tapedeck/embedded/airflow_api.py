"""Airflow's REST API, as much of it as tapedeck itself calls (facts: CLI commands take 6 s each)."""

from __future__ import annotations

import http.client
import json
from collections.abc import Collection
from typing import Any
from urllib.parse import urlsplit

from tapedeck.errors import Unavailable

_TIMEOUT = 10.0


def health(url: str) -> dict[str, Any]:
    """What Airflow says of its database, scheduler, DAG processor and triggerer; needs no login.

    Raises Unavailable where nothing answers within ten seconds: a busy Airflow takes some.
    """
    status, answer = _request(url, "GET", "/api/v2/monitor/health", None, {}, _TIMEOUT)
    if status != http.client.OK or not isinstance(answer, dict):
        raise Unavailable(f"Airflow at {url} answers {status} when asked for its health: see its log")
    return answer


def takes_tasks(url: str) -> bool:
    """Whether the API that running tasks talk to answers.

    The server builds it at the first call and answers nobody meanwhile (seen: 9 CPU seconds, 35 s
    on busy cores), so it is called once before anybody needs it.
    """
    try:
        return _request(url, "GET", "/execution/health", None, {}, _TIMEOUT)[0] == http.client.OK
    except Unavailable:
        return False


class Client:
    """A logged-in caller. Logs in by itself, and again when its token has run out."""

    def __init__(self, url: str, user: str, password: str) -> None:
        self._url, self._user, self._password = url.rstrip("/"), user, password
        self._token = ""

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        allow: Collection[int] = (),
        timeout: float = _TIMEOUT,
    ) -> Any:
        """The decoded answer to a request, None where it is empty.

        Raises Unavailable for an answer of 400 and above, unless `allow` names it.
        """
        for again in (False, True):
            if not self._token or again:
                self._token = self._log_in()
            headers = {"Authorization": f"Bearer {self._token}"}
            status, answer = _request(self._url, method, path, body, headers, timeout)
            if status != http.client.UNAUTHORIZED:
                break
        if status >= http.client.BAD_REQUEST and status not in allow:
            raise Unavailable(
                f"Airflow at {self._url} answers {status} to {method} {path}: {_detail(answer)}"
            )
        return answer

    def _log_in(self) -> str:
        body = {"username": self._user, "password": self._password}
        status, answer = _request(self._url, "POST", "/auth/token", body, {}, _TIMEOUT)
        if status >= http.client.BAD_REQUEST or not isinstance(answer, dict):
            raise Unavailable(
                f"Airflow at {self._url} does not let {self._user!r} in ({status}): "
                "set TAPEDECK_AIRFLOW__USER and TAPEDECK_AIRFLOW__PASSWORD"
            )
        return str(answer["access_token"])


def _request(
    url: str, method: str, path: str, body: object, headers: dict[str, str], timeout: float
) -> tuple[int, Any]:
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=timeout)
    content = None if body is None else json.dumps(body)
    try:
        connection.request(
            method, parts.path + path, content, {"Content-Type": "application/json", **headers}
        )
        response = connection.getresponse()
        text = response.read().decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as e:
        raise Unavailable(f"Airflow at {url} does not answer ({e}): run `tapedeck status`") from e
    finally:
        connection.close()
    try:
        return response.status, json.loads(text) if text else None
    except ValueError:
        return response.status, text


def _detail(answer: Any) -> str:
    detail = answer.get("detail", answer) if isinstance(answer, dict) else answer
    return str(detail)[:300]

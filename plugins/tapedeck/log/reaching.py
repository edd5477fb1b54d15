"""First contact with Kafka: one sentence, and soon, where it refuses whoever asks.

librdkafka goes on trying with a wrong password or certificate as it does without a network, and says why
only to `error_cb`; so that is listened to.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Protocol, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from tapedeck.errors import BadInput, Unavailable

_CODES = (
    KafkaError._AUTHENTICATION,
    KafkaError._SSL,
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError.UNSUPPORTED_SASL_MECHANISM,
    KafkaError.ILLEGAL_SASL_STATE,
)
_BEFORE_AN_ANSWER = ("APIVERSION_QUERY", "SSL connection closed by peer", "SSL_HANDSHAKE")
_CUTS = 5
"""So many connections that the other end ends say that it speaks another protocol; one may be a broker
that goes."""


class Refused(Unavailable):
    """Kafka answers, but not to this client: its credentials or certificates are not taken."""


class Client(Protocol):
    """A consumer, a producer or an admin client."""

    def list_topics(self, *, timeout: float) -> object:
        """Ask for all that Kafka shows this client."""

    def poll(self, timeout: float) -> object:
        """Let `error_cb` be called."""


class Heard(logging.Handler):
    """What a client's `error_cb` and log were told of why it is not connected."""

    def __init__(self, log: logging.Logger) -> None:
        super().__init__()
        self._log = log
        self._cuts = 0
        self._refusal = ""
        self.logger = logging.Logger(log.name)
        self.logger.addHandler(self)

    @property
    def refusal(self) -> str:
        """Why Kafka does not take this client; empty while it may only be away."""
        return self._refusal

    def __call__(self, error: KafkaError) -> None:
        """Take in an error."""
        if error.code() in _CODES:
            self._refusal = error.str()

    def emit(self, record: logging.LogRecord) -> None:
        """Take in a line of the client's log, and hand it on."""
        text = record.getMessage()
        if "Disconnected" in text and any(state in text for state in _BEFORE_AN_ANSWER):
            self._cuts += 1
            if self._cuts >= _CUTS:
                self._refusal = "it ends each connection before it answers: is security.protocol right?"
        if self._log.isEnabledFor(record.levelno):
            self._log.handle(record)


T = TypeVar("T", Consumer, Producer, AdminClient)


def made(kind: type[T], config: Mapping[str, object], log: logging.Logger) -> tuple[T, Heard]:
    """A client of that kind, and what hears its errors. Raises BadInput for a property that it refuses."""
    heard = Heard(log)
    try:
        return kind({**config, "error_cb": heard}, logger=heard.logger), heard
    except (KafkaException, ValueError, TypeError) as e:
        why = e.args[0].str() if isinstance(e, KafkaException) else e
        raise BadInput(f"[kafka.client]: {why}: correct it in tapedeck.toml") from e


def await_answer(client: Client, heard: Heard, bootstrap: str, seconds: float) -> None:
    """Return when Kafka has answered, within so many seconds. Raises Refused, Unavailable."""
    deadline, wait = time.monotonic() + seconds, seconds / 10
    while True:
        try:
            client.list_topics(timeout=wait)
            return
        except KafkaException as e:
            error = e
        client.poll(0)
        if heard.refusal:
            raise Refused(
                f"Kafka at {bootstrap} does not take this client ({heard.refusal}): correct the "
                "credentials and certificates in [kafka.client] (of an Airflow task: in its connection "
                "tapedeck_kafka), then run this again"
            ) from error
        if (left := deadline - time.monotonic()) <= 0:
            break
        wait = min(2 * wait, left)
        time.sleep(min(0.05, left))
    raise Unavailable(
        f"Kafka at {bootstrap} did not answer within {seconds:.0f} s "
        f"({error.args[0].str()}): start it (`tapedeck up` does, where kafka.bootstrap is not set) "
        "or correct kafka.bootstrap (TAPEDECK_KAFKA__BOOTSTRAP)"
    ) from error


def is_forbidden(error: object) -> bool:
    """Whether an error's text says that this client's user may not do what it asked for."""
    text = str(error).lower()
    return "authorization failed" in text or "authorization_failed" in text

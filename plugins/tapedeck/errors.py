"""One tree of errors. Every message says what was found, where, and what to do next."""

from __future__ import annotations

import sys


class TapedeckError(Exception):
    """Root of all errors that tapedeck raises on purpose.

    `exit_code` is what the command line exits with (DESIGN §9): 2 bad input, nothing was done;
    3 infrastructure failed, safe to run again.
    """

    exit_code = 3


class BadInput(TapedeckError):
    """What the caller asked for is wrong; nothing was changed."""

    exit_code = 2


class NothingRecorded(BadInput):
    """Nothing was ever recorded of a vendor that settings know. Whoever asks for a slice may answer that it
    holds nothing; who asks for what must be there can't."""


class Unavailable(TapedeckError):
    """Kafka, MongoDB, Airflow or the disk did not answer as it must; safe to run again."""


class Mismatch(TapedeckError):
    """A topic, document or tape is not the one that was pinned or expected; nothing was changed."""


class Incomplete(TapedeckError):
    """The log can't answer for the whole slice (yet, or any more); the message says which part."""


def infrastructure() -> tuple[type[Exception], ...]:
    """What Kafka's and MongoDB's clients raise, where they are loaded at all."""
    named = (("confluent_kafka", "KafkaException"), ("pymongo.errors", "PyMongoError"))
    return tuple(getattr(sys.modules[module], name) for module, name in named if module in sys.modules)


def failed(error: Exception) -> str:
    """The sentence for one of those that nobody nearer to it has put into words."""
    inner = error.args[0] if error.args else error
    why = inner.str() if hasattr(inner, "str") else error  # Kafka's own is a dump of its fields
    return f"Kafka or MongoDB failed ({why}): see `tapedeck status`, then try again"

"""MongoDB clients, one a process, and one sentence where it does not answer."""

from __future__ import annotations

import atexit
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import structs
from pymongo import MongoClient, WriteConcern
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import ConfigurationError, InvalidURI, OperationFailure, PyMongoError

from tapedeck import endpoints
from tapedeck.errors import BadInput, Unavailable
from tapedeck.settings import Settings, shown_address
from tapedeck.store import schema

Document = dict[str, Any]
DURABLE = WriteConcern(w="majority", j=True)
CONTACT_MS = 5000


_looked_at: set[tuple[int, str]] = set()
_FORBIDDEN = 13
_REFUSALS = ("authentication", "auth error", "ssl", "tls", "certificate")
"""Of a server that answers, but not to this client."""
_COMMAND = re.compile(r"(command) \{ (\w+: [^,]+),.*")
"""Of a command that may not be executed its name and collection are said, not its session and clock."""


class Away(Unavailable):
    """MongoDB does not answer: whoever can wait for it asks again."""


class Refused(Away):
    """MongoDB answers, but not to this client, or not to this command of its user's."""


_clients: dict[tuple[int, str, frozenset[tuple[str, str]]], MongoClient[Document]] = {}


def client(settings: Settings) -> MongoClient[Document]:
    """This process's client, whose writes are acknowledged by a majority's journals.

    Raises Away where MongoDB does not answer, BadInput for a URI that is none.
    """
    uri = endpoints.mongo_uri(settings)
    key = (os.getpid(), uri, frozenset(settings.mongo.client.items()))
    if key not in _clients:
        with _as_the_driver_takes_it():
            made = connection(settings, uri)
        with answering(settings):
            try:
                made.admin.command("ping")
            except BaseException:
                made.close()
                raise
        if _clients.setdefault(key, made) is not made:
            made.close()  # another thread was quicker
    return _clients[key]


def check(settings: Settings) -> None:
    """Raises BadInput for an option of `mongo.uri` or `[mongo.client]` that MongoDB's driver does not take.

    Asks nobody, and opens none of the files that are named.
    """
    options = {k: v for k, v in settings.mongo.client.items() if not k.lower().endswith("file")}
    bare = structs.replace(settings, mongo=structs.replace(settings.mongo, client=options))
    with _as_the_driver_takes_it():
        connection(bare, settings.mongo.uri or "mongodb://localhost/", connect=False).close()


@contextmanager
def _as_the_driver_takes_it() -> Iterator[None]:
    try:
        yield
    except (InvalidURI, ConfigurationError, ValueError, OSError) as e:
        raise BadInput(
            f"mongo.uri or [mongo.client] is not as MongoDB's driver takes it ({e}): correct it"
        ) from e


def connection(settings: Settings, uri: str, **more: Any) -> MongoClient[Document]:
    """A client that has not yet connected. Raises what the driver does for options that it does not know."""
    return MongoClient(
        uri,
        **{
            "appname": "tapedeck",
            **settings.mongo.client,
            "tz_aware": True,
            "w": "majority",
            "journal": True,
            "serverSelectionTimeoutMS": CONTACT_MS,
            "connectTimeoutMS": CONTACT_MS,
            **more,
        },
    )


def database(settings: Settings) -> Database[Document]:
    """Our own database: positions, undecodable records, leases, libraries' windows.

    Raises Mismatch where it is of another schema than this version's; looked at once a process.
    """
    there = client(settings)
    own = there[settings.mongo.database]
    if (id(there), own.name) not in _looked_at:
        with answering(settings):
            schema.check(own)
        _looked_at.add((id(there), own.name))
    return own


def collection(settings: Settings, name: str) -> Collection[Document]:
    """A collection of our own, written durably."""
    return database(settings).get_collection(name, write_concern=DURABLE)


def date(ms: int) -> datetime:
    """UTC milliseconds since the epoch as MongoDB keeps times."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)


def server_time(of: Collection[Document]) -> datetime:
    """The clock of the server that holds the collection, as `$$NOW` is."""
    now: datetime = of.database.command("hello", codec_options=of.codec_options)["localTime"]
    return now


@contextmanager
def answering(settings: Settings) -> Iterator[None]:
    """Turns what MongoDB fails with inside the block into Away."""
    try:
        yield
    except PyMongoError as e:
        where, why = shown_address(endpoints.mongo_uri(settings)), _why(e)
        if isinstance(e, OperationFailure) and e.code == _FORBIDDEN:
            raise Refused(
                f"MongoDB at {where} does not let this user do that ({why}): have it allowed by whoever runs "
                "MongoDB (docs/security.md says what each process needs), then run this again"
            ) from e
        if any(word in why.lower() for word in _REFUSALS):
            raise Refused(
                f"MongoDB at {where} does not take this client ({why}): correct the credentials and "
                "certificates in mongo.uri and [mongo.client] (of an Airflow task: in its connection "
                "tapedeck_mongo), then run this again"
            ) from e
        if "connection closed" in why:
            why += "; does it want TLS?"
        raise Away(
            f"MongoDB at {where} failed ({why}): start it (`tapedeck up` does, where "
            "mongo.uri is not set) or correct mongo.uri (TAPEDECK_MONGO__URI), then run this again"
        ) from e


def _why(error: PyMongoError) -> str:
    """The driver's reason without its description of the topology."""
    first = str(error).splitlines()[0].partition(", Topology Description")[0]
    return _COMMAND.sub(r"\1 \2", first).partition(", full error")[0][:200]


@atexit.register
def _close() -> None:
    for (pid, *_), made in _clients.items():
        if pid == os.getpid():
            made.close()

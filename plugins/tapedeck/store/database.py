"""MongoDB clients, one a process, and one sentence where it does not answer."""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from pymongo import MongoClient, WriteConcern
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import ConfigurationError, InvalidURI, PyMongoError

from tapedeck import endpoints
from tapedeck.errors import BadInput, Unavailable
from tapedeck.settings import Settings, shown_address

Document = dict[str, Any]
DURABLE = WriteConcern(w="majority", j=True)
CONTACT_MS = 5000


class Away(Unavailable):
    """MongoDB does not answer: whoever can wait for it asks again."""


_clients: dict[tuple[int, str], MongoClient[Document]] = {}


def client(settings: Settings) -> MongoClient[Document]:
    """This process's client, whose writes are acknowledged by a majority's journals.

    Raises Away where MongoDB does not answer, BadInput for a URI that is none.
    """
    uri = endpoints.mongo_uri(settings)
    key = (os.getpid(), uri)
    if key not in _clients:
        try:
            made: MongoClient[Document] = MongoClient(
                uri,
                tz_aware=True,
                w="majority",
                journal=True,
                serverSelectionTimeoutMS=CONTACT_MS,
                connectTimeoutMS=CONTACT_MS,
                appname="tapedeck",
            )
        except (InvalidURI, ConfigurationError, ValueError) as e:
            raise BadInput(f"mongo.uri is no address of a MongoDB ({e}): correct it") from e
        with answering(settings):
            try:
                made.admin.command("ping")
            except BaseException:
                made.close()
                raise
        if _clients.setdefault(key, made) is not made:
            made.close()  # another thread was quicker
    return _clients[key]


def database(settings: Settings) -> Database[Document]:
    """Our own database: positions, undecodable records, leases, libraries' windows."""
    return client(settings)[settings.mongo.database]


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
        raise Away(
            f"MongoDB at {shown_address(endpoints.mongo_uri(settings))} failed "
            f"({_why(e)}): start it (`tapedeck up` does, where "
            "mongo.uri is not set) or correct mongo.uri (TAPEDECK_MONGO__URI), then run this again"
        ) from e


def _why(error: PyMongoError) -> str:
    """The driver's reason without its description of the topology."""
    return str(error).splitlines()[0].partition(", Topology Description")[0][:200]


@atexit.register
def _close() -> None:
    for (pid, _), made in _clients.items():
        if pid == os.getpid():
            made.close()

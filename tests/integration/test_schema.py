"""What is kept in MongoDB has a version: it is brought forward by a command, and nobody works backwards."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from tapedeck.errors import Mismatch
from tapedeck.settings import Settings
from tapedeck.slices import NS, Slice
from tapedeck.store import blocks, database, library, migrate, schema
from tapedeck.store.rebuild import rebuild
from tests.published import T0, VENDOR, Published, trade


@pytest.fixture(autouse=True)
def _forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if each call came from a process of its own."""

    class Nothing(set[Any]):
        def add(self, _: Any) -> None: ...

    monkeypatch.setattr(database, "_looked_at", Nothing())


def own(settings: Settings) -> Any:
    return database.client(settings)[settings.mongo.database]


def test_a_fresh_database_is_of_this_version_from_its_first_library_on(settings: Settings) -> None:
    assert schema.found(database.database(settings)) is None
    assert migrate.migrate(settings) == []
    library.ensure(settings, VENDOR)
    assert schema.found(own(settings)) == schema.SCHEMA
    assert migrate.migrate(settings) == []


def test_one_of_before_there_were_versions_is_refused_and_brought_forward(settings: Settings) -> None:
    log = Published(settings)
    log.publish(*[trade(T0 + i * NS, i + 1) for i in range(50)])
    rebuild(settings, VENDOR, Slice(T0, T0 + 100 * NS))
    book = own(settings)["ledger"]
    was = {block["_id"]: block for block in book.find()}
    assert was
    own(settings)["schema"].drop()
    book.update_many({}, {"$unset": {"sum": ""}})
    spoiled = next(iter(was))
    book.update_one({"_id": spoiled}, {"$set": {"runs": [[7, 3]]}})
    for use in (lambda: database.collection(settings, "positions"), lambda: library.ensure(settings, VENDOR)):
        with pytest.raises(Mismatch, match=r"schema 1, and this is 2\): run `tapedeck store migrate`"):
            use()
    sound = len(was) - 1
    (line,) = migrate.migrate(settings, plan=True)
    assert line == f"schema 2: {sound} blocks of the ledger given their checksum"
    assert schema.found(own(settings)) == 1
    assert migrate.migrate(settings) == [line]
    assert migrate.migrate(settings) == []
    assert {block["_id"]: block for block in book.find({"sum": {"$exists": True}})} == {
        name: block for name, block in was.items() if name != spoiled
    }
    assert list(blocks.wrong(book.find_one({"_id": spoiled})))
    database.collection(settings, "positions")


def test_an_older_version_refuses_a_newer_ones_database_and_leaves_it_as_it_is(settings: Settings) -> None:
    library.ensure(settings, VENDOR)
    schema.enter(own(settings), 3)
    for use in (lambda: database.database(settings), lambda: migrate.migrate(settings)):
        with pytest.raises(
            Mismatch, match=r"is of schema 3, made by tapedeck .*, which knows 2: use that version"
        ):
            use()
    schema.enter(own(settings), 2)
    assert schema.found(own(settings)) == 3


def test_a_writer_that_runs_stops_once_a_later_version_has_gone_on(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tapedeck.store import writer

    monkeypatch.setattr(writer, "SCHEMA_SECONDS", 0.0)
    monkeypatch.setattr(writer, "TICK_SECONDS", 0.05)
    log = Published(settings)
    log.publish(trade(T0, 1))
    told = []

    def report(_: object) -> None:
        if len(told) < 2:
            told.append(1)
            if len(told) == 2:
                schema.enter(own(settings), 3)

    settings = structs.replace(settings, writer=structs.replace(settings.writer, session="1s"))
    with pytest.raises(Mismatch, match="is of schema 3"):
        writer.write(settings, VENDOR, lambda: False, print, report, "test")

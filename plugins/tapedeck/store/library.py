"""Arctic libraries `<vendor>.<kind>`: the one place that calls arctic (DESIGN §4).

A library's window length is fixed when it is made. It is kept in our own database, since arctic's
metadata has no room for it.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from pymongo import UpdateOne
from pymongo.collection import Collection

from tapedeck import endpoints
from tapedeck.errors import BadInput, Mismatch
from tapedeck.message import KINDS
from tapedeck.settings import Settings, Vendor, load
from tapedeck.slices import NS, Slice
from tapedeck.store import database, generations, schema, tallies
from tapedeck.store.database import Document


@dataclass(frozen=True, slots=True)
class Library:
    """One kind of one vendor. `window` is the length of its windows in ns.

    `earlier` keeps what was replaced in it, `tallies` sums its documents: collections of ours.
    """

    vendor: str
    kind: str
    window: int
    collection: Collection[Document]
    earlier: Collection[Document]
    tallies: Collection[Document]

    @property
    def name(self) -> str:
        """What arctic calls it."""
        return f"{self.vendor}.{self.kind}"

    def windows(self, of: Slice) -> list[Slice]:
        """The windows that meet a slice, in order."""
        first = of.start // self.window * self.window
        return [Slice(start, start + self.window) for start in range(first, of.end, self.window)]

    def around(self, ts_recv: int) -> Slice:
        """The window that holds an instant."""
        start = ts_recv // self.window * self.window
        return Slice(start, start + self.window)

    def whole(self, of: Slice) -> Slice:
        """From the start of the first window that meets a slice to the end of the last."""
        return Slice(self.around(of.start).start, self.around(of.end - 1).end)


def ensure(settings: Settings, vendor: str, prefix: str = "") -> dict[str, Library]:
    """The vendor's libraries by kind, made where they are missing; with a prefix, `PREFIX_<vendor>.<kind>`.

    Safe to run at once with itself. Raises Mismatch where settings name another window length than
    the one a library was made with.
    """
    table, vendor = settings.vendor(vendor), _owner(vendor, prefix)
    with database.answering(settings):
        generations.ensure(settings)
        tallies.ensure(settings)
        known = database.collection(settings, "libraries")
        seconds = {d["kind"]: d["window"] for d in known.find({"vendor": vendor})}
        if missing_kinds := [kind for kind in KINDS if kind not in seconds]:
            if (
                known.find_one({}, {"_id": 1}) is None
            ):  # else whoever finds libraries takes them for older ones
                schema.enter(known.database)
            known.bulk_write(
                [
                    UpdateOne(
                        {"_id": f"{vendor}.{kind}"},
                        {
                            "$setOnInsert": {
                                "vendor": vendor, "kind": kind, "window": table.window_seconds(kind)
                            }
                        },
                        upsert=True,
                    )
                    for kind in missing_kinds
                ]
            )  # fmt: skip
            seconds = {d["kind"]: d["window"] for d in known.find({"vendor": vendor})}
        libraries = {}
        for kind in KINDS:
            _check_window(table, vendor, kind, seconds[kind])
            libraries[kind] = _library(settings, vendor, kind, seconds[kind])
        missing = [library for library in libraries.values() if not _is_made(library)]
        if missing:
            _make(settings, missing)
        for one in libraries.values():
            # By which a partition's windows are found, beside those that arctic makes.
            one.collection.create_index([("p", 1), ("s", 1)])
    return libraries


def prefixed(settings: Settings, vendor: str, prefix: str) -> dict[str, Library]:
    """The vendor's libraries of that prefix by kind, whether or not they were made. Makes none."""
    table, owner = settings.vendor(vendor), _owner(vendor, prefix)
    with database.answering(settings):
        known = database.collection(settings, "libraries").find({"vendor": owner})
        seconds = {d["kind"]: d["window"] for d in known}
    for kind, found in seconds.items():
        _check_window(table, owner, kind, found)
    return {
        kind: _library(settings, owner, kind, seconds.get(kind, table.window_seconds(kind))) for kind in KINDS
    }


def named(settings: Settings, name: str) -> Library:
    """The library of that name, whether or not anything was ever written to it.

    Raises BadInput, with the nearest name, where settings know no such vendor and kind, and Mismatch
    where settings name another window length than the library has.
    """
    vendor, _, kind = name.partition(".")
    if vendor not in settings.vendors or kind not in KINDS:
        known = [f"{v}.{k}" for v in sorted(settings.vendors) for k in KINDS]
        near = difflib.get_close_matches(name, known, 1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise BadInput(
            f"there is no library {name!r}{hint}: a library is VENDOR.KIND, with one of the vendors "
            f"{', '.join(sorted(settings.vendors))} and one of the kinds {', '.join(KINDS)}"
        )
    with database.answering(settings):
        found = database.collection(settings, "libraries").find_one({"_id": name})
    if found is None:
        return _library(settings, vendor, kind, settings.vendor(vendor).window_seconds(kind))
    _check_window(settings.vendor(vendor), vendor, kind, found["window"])
    return _library(settings, vendor, kind, found["window"])


def symbols_of(settings: Settings, name: str) -> list[str]:
    """The symbols that the library holds documents of, sorted."""
    library = named(settings, name)
    with database.answering(settings):
        return sorted(library.collection.distinct("sy"))


def names(settings: Settings | None = None) -> list[str]:
    """The libraries made for the vendors of the settings (the file's, if none are given), sorted."""
    deck = endpoints.resolve(settings or load())
    with database.answering(deck):
        found = database.collection(deck, "libraries").distinct("_id", {"vendor": {"$in": [*deck.vendors]}})
    return sorted(found)


def symbols(library: str, settings: Settings | None = None) -> list[str]:
    """`symbols_of`, of the settings file if none are given. Raises BadInput for a wrong name."""
    return symbols_of(endpoints.resolve(settings or load()), library)


def _owner(vendor: str, prefix: str) -> str:
    return f"{prefix}_{vendor}" if prefix else vendor


def _check_window(table: Vendor, vendor: str, kind: str, seconds: int) -> None:
    wanted = table.window_seconds(kind)
    if wanted != seconds:
        raise Mismatch(
            f"the library {vendor}.{kind} was made with windows of {seconds} s but settings say {wanted} s: "
            f"set vendors.{vendor}.window.{kind} back to {seconds}; a library's windows are fixed"
        )


def _library(settings: Settings, vendor: str, kind: str, seconds: int) -> Library:
    """The name rule is arctic's: one dot makes database `arctic_<vendor>`, collection `<kind>`."""
    home = database.client(settings)[f"arctic_{vendor}"]
    return Library(
        vendor, kind, seconds * NS, home.get_collection(kind, write_concern=database.DURABLE),
        database.collection(settings, generations.COLLECTION),
        database.collection(settings, tallies.COLLECTION),
    )  # fmt: skip


def _is_made(library: Library) -> bool:
    meta = library.collection.database[f"{library.kind}.ARCTIC"].find_one({"_id": "ARCTIC_META"})
    return meta is not None and meta.get("TYPE") == "TickStoreV3"


def _make(settings: Settings, libraries: list[Library]) -> None:
    from arctic import TICK_STORE, Arctic  # heavy, and only needed when a library is made

    arctic = Arctic(database.client(settings))  # of an address it would log the password
    for library in libraries:
        arctic.initialize_library(library.name, TICK_STORE)

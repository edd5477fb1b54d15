"""What is wrong with settings that types can't say: durations, symbols, kinds, names, refused properties."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import date
from functools import cache
from operator import attrgetter
from typing import Any, NamedTuple, get_type_hints
from zoneinfo import ZoneInfo

from msgspec import Struct

from tapedeck.errors import BadInput
from tapedeck.message import KINDS, check_symbol
from tapedeck.settings import passthrough
from tapedeck.settings.nearest import nearest
from tapedeck.settings.schema import WEEKDAYS, Duration, SessionTable, Settings
from tapedeck.settings.secrets import shown
from tapedeck.slices import parse_duration, parse_time

_HOURS = re.compile(r"([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-4]):[0-5]\d")
Line = Callable[[str], str]
"""Where a setting, by its dotted name, was set."""


class _Form(NamedTuple):
    """What a setting must look like, and the rest of a sentence about one that does not."""

    pattern: re.Pattern[str]
    why: str


_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,200}")
_USER = re.compile(r"[A-Za-z0-9._@+-]{1,100}")
_PROPERTY = re.compile(r"[A-Za-z0-9._-]+")
_FORMS = {
    "kafka.prefix": _Form(_TOPIC, "no beginning of a topic's name: write it with letters, digits and . _ -"),
    "mongo.uri": _Form(
        re.compile(r"mongodb(\+srv)?://\S+"),
        "no address of a MongoDB: write it as mongodb://host:27017/?replicaSet=name",
    ),
    "mongo.database": _Form(
        re.compile(r"[A-Za-z0-9_-]{1,60}"), "no name of a database: write it with letters, digits and _ -"
    ),
    "airflow.url": _Form(re.compile(r"https?://\S+"), "no http:// or https:// address: correct it"),
    "notify.webhook": _Form(re.compile(r"https?://\S+"), "no http:// or https:// address: correct it"),
}
_UNVERIFIED_KAFKA = "enable.ssl.certificate.verification"
_UNVERIFIED_MONGO = ("tlsinsecure", "tlsallowinvalidcertificates")


def check(settings: Settings, line: Line) -> list[str]:
    """Raises BadInput for what is wrong; gives sentences on what is allowed and yet not as it should be."""
    for name, text in durations(settings):
        try:
            parse_duration(text)
        except BadInput as e:
            raise BadInput(f"the setting {name}: {e} ({line(name)})") from e
    for name, count in (("kafka.nodes", settings.kafka.nodes), ("mongo.nodes", settings.mongo.nodes)):
        if count == 2:
            raise BadInput(f"{name} is 2, of which neither may fail: set 1 or 3 ({line(name)})")
    for name, form in _FORMS.items():
        value = attrgetter(name)(settings)
        if value and not form.pattern.fullmatch(value):
            raise BadInput(
                f"the setting {name} is {shown(name, value)!r}, which is {form.why} ({line(name)})"
            )
    for user in (settings.airflow.user, *settings.airflow.users, *settings.approval.by):
        if not _USER.fullmatch(user):
            raise BadInput(
                f"{user!r} is no name of an Airflow user: write it with letters, digits and . _ @ + - "
                f"({line('airflow.users')})"
            )
    _check_properties(settings, line)
    _check_vendors(settings, line)
    for name, table in settings.calendars.items():
        _check_sessions(name, table)
    for name, called in settings.instruments.items():
        for owner, symbol in called.items():
            if owner not in settings.vendors:
                known = nearest(owner, settings.vendors)
                raise BadInput(f"instruments.{name} names no vendor {owner!r}{known}: correct it")
            check_symbol(symbol)
        if len(called) < 2:
            raise BadInput(f"instruments.{name} names {len(called)} vendor: two or more can be compared")
    return _unverified(settings, line)


def durations(table: Struct, above: str = "") -> Iterator[tuple[str, str]]:
    """The dotted name and the text of each duration in a table and the tables inside it."""
    hints = _hints(type(table))
    for name in table.__struct_fields__:
        value = getattr(table, name)
        if hints[name] == Duration:
            yield f"{above}{name}", value
        elif isinstance(value, Struct):
            yield from durations(value, f"{above}{name}.")
        elif isinstance(value, dict):
            for key, inner in value.items():
                if isinstance(inner, Struct):
                    yield from durations(inner, f"{above}{name}.{key}.")


@cache
def _hints(table: type[Struct]) -> dict[str, Any]:
    return get_type_hints(table, include_extras=True)


def _check_properties(settings: Settings, line: Line) -> None:
    """Refused properties, and line feeds in what becomes a line of the broker's properties."""
    for name, value in settings.kafka.client.items():
        passthrough.check_kafka({name: value}, line(f"kafka.client.{name}"))
    for name, value in settings.mongo.client.items():
        passthrough.check_mongo({name: value}, line(f"mongo.client.{name}"))
    passthrough.check_uri(settings.mongo.uri, line("mongo.uri"))
    for name, value in settings.kafka.broker.items():
        if not _PROPERTY.fullmatch(name) or "\n" in value or "\r" in value:
            where = line(f"kafka.broker.{name}")
            raise BadInput(
                f"kafka.broker has a property {name!r} that is no single line, in {where}: correct it"
            )


def _unverified(settings: Settings, line: Line) -> list[str]:
    """Where a server's certificate is not looked at, anybody may be that server."""
    kafka = {name.lower(): name for name, value in settings.kafka.client.items() if value.lower() == "false"}
    found = [f"kafka.client.{kafka[_UNVERIFIED_KAFKA]}"] if _UNVERIFIED_KAFKA in kafka else []
    found += [
        f"mongo.client.{name}" for name, value in settings.mongo.client.items()
        if name.lower() in _UNVERIFIED_MONGO and value.lower() == "true"
    ]  # fmt: skip
    if any(f"{name}=true" in settings.mongo.uri.lower() for name in _UNVERIFIED_MONGO):
        found.append("mongo.uri")
    return [
        f"{name} lets anybody pass for the server, in {line(name)}: name the certificate that signed the "
        "server's instead (ssl.ca.location of Kafka, tlsCAFile of MongoDB)"
        for name in found
    ]


def _check_vendors(settings: Settings, line: Line) -> None:
    for name, vendor in settings.vendors.items():
        if not name.isidentifier() or name.startswith("_") or len(name) > 40:
            raise BadInput(
                f"the vendor name {name!r} is not letters, digits and _: rename its table "
                f"({line(f'vendors.{name}')})"
            )
        if vendor.topic and not _TOPIC.fullmatch(vendor.topic):
            raise BadInput(
                f"the setting vendors.{name}.topic is {vendor.topic!r}, which is no name of a topic: write "
                f"it with letters, digits and . _ - ({line(f'vendors.{name}.topic')})"
            )
        for kind in vendor.window:
            if kind not in KINDS:
                raise BadInput(
                    f"vendors.{name}.window names no kind {kind!r}: the kinds are {', '.join(KINDS)} "
                    f"({line(f'vendors.{name}.window')})"
                )
        for symbol in vendor.symbols:
            try:
                check_symbol(symbol)
            except BadInput as e:
                raise BadInput(f"{e} ({line(f'vendors.{name}.symbols')})") from e
        for symbol, ended in vendor.delisted.items():
            try:
                parse_time(ended)
            except BadInput as e:
                raise BadInput(f"vendors.{name}.delisted of {symbol!r}: {e}") from e


def _check_sessions(name: str, table: SessionTable) -> None:
    try:
        ZoneInfo(table.zone)
    except (ValueError, OSError, KeyError) as e:
        raise BadInput(
            f"calendars.{name}.zone {table.zone!r} is no time zone: write it as Europe/London"
        ) from e
    if table.base and table.sessions:
        raise BadInput(f"calendars.{name} has a base and sessions of its own: give it days only, or no base")
    for key in table.sessions:
        if key not in WEEKDAYS:
            raise BadInput(
                f"calendars.{name}.sessions names no weekday {key!r}: they are {', '.join(WEEKDAYS)}"
            )
    for key in table.days:
        if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", key) or not _is_date(key):
            raise BadInput(f"calendars.{name}.days names no date {key!r}: write it as 2024-12-24")
    for key, hours in [*table.sessions.items(), *table.days.items()]:
        last = ""
        for span in hours:
            start, _, end = span.partition("-")
            if not _HOURS.fullmatch(span) or end > "24:00" or not last <= start < end:
                raise BadInput(
                    f"calendars.{name} has hours {span!r} on {key}: write them as 09:30-12:00, in order, "
                    "ending by 24:00"
                )
            last = end


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True

"""From the settings file and the environment to settings, and where each one came from."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import msgspec
from msgspec import Struct

from tapedeck.errors import BadInput
from tapedeck.settings import checking, renamed, secrets
from tapedeck.settings.nearest import nearest
from tapedeck.settings.schema import DEFAULT_VENDORS, FILE_NAME, SessionTable, Settings, Vendor

PREFIX = "TAPEDECK_"
NOT_SETTINGS = {"TAPEDECK_SETTINGS"}
_TABLES: dict[str, type[Struct]] = {"vendors": Vendor, "calendars": SessionTable}
"""Tables whose keys are names that the settings' owner chose."""
_PROPERTIES = ("kafka.client.", "kafka.broker.", "mongo.client.")
"""What is handed on to clients, as text whatever TOML makes of it."""


class Origin(Struct, frozen=True):
    """One setting in force: its dotted name, its value (secrets masked), where it came from."""

    name: str
    value: Any
    source: str


class Loaded(Struct, frozen=True):
    """The settings in force, where each came from, and sentences on what in them is not as it should be."""

    settings: Settings
    origins: list[Origin]
    notes: list[str]


def load(environ: Mapping[str, str] | None = None, cwd: Path | None = None) -> Settings:
    """The settings in force. Raises BadInput with the file or variable at fault."""
    return load_whole(environ, cwd).settings


def load_with_origins(
    environ: Mapping[str, str] | None = None, cwd: Path | None = None
) -> tuple[Settings, list[Origin]]:
    """The settings in force and, for each one, where it came from."""
    found = load_whole(environ, cwd)
    return found.settings, found.origins


def file_in_force(environ: Mapping[str, str] | None = None, cwd: Path | None = None) -> Path | None:
    """The settings file that `load` reads, or None where there is none."""
    return _find_file(os.environ if environ is None else environ, cwd or Path.cwd())


def where(name: str, environ: Mapping[str, str] | None = None, cwd: Path | None = None) -> str:
    """What sets a setting: `file line n`, a variable, or "the defaults"; for a sentence about its value."""
    found = next((one.source for one in load_whole(environ, cwd).origins if one.name == name), "default")
    return "the defaults" if found == "default" else found


def load_whole(environ: Mapping[str, str] | None = None, cwd: Path | None = None) -> Loaded:
    """The settings in force with all that is known of them. Raises BadInput as `load` does."""
    environ = os.environ if environ is None else environ
    path = _find_file(environ, cwd or Path.cwd())
    table = _read(path) if path else {}
    sources = {name: line_of(path, name) for name, _ in _leaves(table)}
    if "vendors" not in table:
        table["vendors"] = {name: dict(vendor) for name, vendor in DEFAULT_VENDORS.items()}
    for variable, name, text in _variables(environ):
        _put(table, name, text, variable)
        sources[".".join(name)] = f"environment {variable}"
    notes = renamed.apply(table, sources)

    def line(name: str) -> str:
        return _source(sources, name) or line_of(path, name)

    table = _meant(table, "", line)
    settings = _convert(table, line)
    notes += checking.check(settings, line)
    if path and "environment" not in sources.get("state_dir", ""):
        settings = msgspec.structs.replace(settings, state_dir=str(path.parent / settings.state_dir))
    origins = [
        Origin(name, secrets.shown(name, value), _source(sources, name) or "default")
        for name, value in _leaves(msgspec.to_builtins(settings))
    ]
    return Loaded(settings, origins, notes)


def _source(sources: Mapping[str, str], name: str) -> str:
    """What set a setting, or the table that it is in; empty where that is nothing."""
    while name and name not in sources:
        name = name.rpartition(".")[0]
    return sources.get(name, "")


def _meant(value: Any, name: str, line: Callable[[str], str]) -> Any:
    """What is set, and for a secret's file what it holds; a property's truth or number becomes its text."""
    if isinstance(value, dict):
        return {key: _meant(inner, f"{name}.{key}" if name else key, line) for key, inner in value.items()}
    if name.startswith(_PROPERTIES) and isinstance(value, bool | int | float):
        value = str(value).lower()
    if isinstance(value, str) and value.startswith(secrets.FILE) and secrets.may_be_a_file(name):
        return secrets.read_file(name, value, line(name))
    return value


def _find_file(environ: Mapping[str, str], cwd: Path) -> Path | None:
    if named := environ.get("TAPEDECK_SETTINGS"):
        if not Path(named).is_file():
            raise BadInput(f"TAPEDECK_SETTINGS names {named}, which is no file: correct or unset it")
        return Path(named)
    for folder in (cwd, *cwd.parents):
        if (folder / FILE_NAME).is_file():
            return folder / FILE_NAME
    return None


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
        raise BadInput(f"{path} is not valid TOML ({e}): correct that line") from e
    except OSError as e:
        raise BadInput(f"{path} can't be read ({e.strerror}): check its permissions") from e


def _variables(environ: Mapping[str, str]) -> Iterator[tuple[str, tuple[str, ...], str]]:
    for variable in sorted(environ):
        if variable.startswith(PREFIX) and variable not in NOT_SETTINGS:
            name = variable[len(PREFIX) :].lower().split("__")
            if len(name) == 3 and name[:2] in (["kafka", "client"], ["kafka", "broker"]):
                name[2] = name[2].replace("_", ".")  # no shell takes a dot, no property has a _
            yield variable, tuple(name), environ[variable]


def _put(table: dict[str, Any], name: tuple[str, ...], text: str, variable: str) -> None:
    for part in name[:-1]:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise BadInput(f"{variable} names a setting inside {part!r}, which is no table: unset it")
    try:
        table[name[-1]] = msgspec.json.decode(text) if text[:1] in "[{" and text else text
    except msgspec.DecodeError as e:
        raise BadInput(f"{variable} begins like JSON but is not ({e}): correct it") from e


def _convert(table: dict[str, Any], line: Callable[[str], str]) -> Settings:
    _refuse_unknown(table, Settings, (), line)
    vendors = table["vendors"] if isinstance(table["vendors"], dict) else {}
    parts: list[tuple[Any, Any, str]] = [
        (inner, Vendor, f"vendors.{name}.") for name, inner in vendors.items()
    ]
    for value, kind, above in [*parts, (table, Settings, "")]:  # a vendor first: it is named in the error
        try:
            settings = msgspec.convert(value, kind, strict=False)
        except msgspec.ValidationError as e:
            what, _, where = str(e).partition(" - at `$.")
            name = f"{above}{where.rstrip('`')}".rstrip(".")
            raise BadInput(f"the setting {name} is wrong ({what}), in {line(name)}: correct it") from e
    return cast(Settings, settings)


def _refuse_unknown(
    table: dict[str, Any], struct: type[Struct], above: tuple[str, ...], line: Callable[[str], str]
) -> None:
    known = {field.name: field.type for field in msgspec.structs.fields(struct)}
    for key, value in table.items():
        name = ".".join((*above, key))
        if key not in known:
            raise BadInput(f"there is no setting {name!r}{nearest(key, known)}, in {line(name)}: correct it")
        kind = known[key]
        if isinstance(value, dict) and isinstance(kind, type) and issubclass(kind, Struct):
            _refuse_unknown(value, kind, (*above, key), line)
        elif name in _TABLES and isinstance(value, dict):
            for one, inner in value.items():
                if isinstance(inner, dict):
                    _refuse_unknown(inner, _TABLES[name], (name, one), line)


def line_of(path: Path | None, name: str) -> str:
    """`file line n` of a key, for a sentence; where it is written in a way of its own, the file."""
    if path is None:
        return "the environment"
    table = ""
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        text = line.strip()
        if text.startswith("["):
            here = table = text.split("]")[0].strip("[ ").replace('"', "")
        else:
            key = text.split("=")[0].strip().replace('"', "")
            here = f"{table}.{key}" if table else key
        if here == name:
            return f"{path} line {number}"
    return str(path)


def _leaves(table: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        name = f"{above}{key}"
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{name}.")
        else:
            yield name, value

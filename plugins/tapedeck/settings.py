"""The one settings file, `tapedeck.toml`, overridden by `TAPEDECK_…` environment variables.

`TAPEDECK_KAFKA__BOOTSTRAP=host:9092` sets `bootstrap` in `[kafka]`. Unknown keys are errors that
name the nearest known one. The file is the one in `TAPEDECK_SETTINGS`, else the `tapedeck.toml` of
the current folder or the nearest folder above it; without one the defaults below are in force. A relative
`state_dir` is meant from the file's folder.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, cast
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta, Struct

from tapedeck.errors import BadInput
from tapedeck.message import KINDS, check_symbol
from tapedeck.slices import NS, parse_duration, parse_time

FILE_NAME = "tapedeck.toml"
PREFIX = "TAPEDECK_"
NOT_SETTINGS = {"TAPEDECK_SETTINGS"}
_HOURS = re.compile(r"([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-4]):[0-5]\d")
SECRETS = ("password", "secret", "key.pem", "token", "webhook")

Port = Annotated[int, Meta(ge=1, le=65535)]
Count = Annotated[int, Meta(ge=1)]


class Kafka(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where Kafka is, and how topics are made. An empty `bootstrap` means the embedded broker."""

    bootstrap: str = ""
    port: Port = 9092
    prefix: str = "md."
    """What topic names begin with: `md.<vendor>`, `md.meta`. Two tapedecks may share a cluster."""
    partitions: Count = 16
    replication: Count = 1
    retention: str = "7d"
    client: dict[str, str] = {}
    """More librdkafka properties, for example `"security.protocol" = "SASL_SSL"`."""
    broker: dict[str, str] = {}
    """More properties of the embedded broker, for example `"log.retention.check.interval.ms" = "1000"`."""


class Mongo(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where MongoDB is. An empty `uri` means the embedded one-node replica set."""

    uri: str = ""
    port: Port = 27017
    database: str = "tapedeck"
    """Our own collections (positions, receipts, plans); libraries live in `arctic_<vendor>`."""


class Airflow(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where Airflow is. An empty `url` means the embedded one."""

    url: str = ""
    port: Port = 8080
    user: str = "admin"
    password: str = ""
    """Empty: made up once and kept in the state directory."""
    users: dict[str, Literal["viewer", "user", "op", "admin"]] = {}
    """More users of the embedded Airflow by role; their passwords are made up and kept as `password` is."""
    slots: Count = 2
    """How many tasks work on the log at once: slots of the embedded Airflow's pool `tapedeck`."""


class Jobs(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long jobs wait, how hard they read, and when somebody is told of one that takes too long."""

    alert_after: str = "8h"
    """A run that has not ended so long after it was queued is told of."""
    complete_within: str = "1h"
    """So long after its slice's end a scheduled rebuild waits for collectors that are behind."""
    retry_after: str = "15s"
    """A task that infrastructure failed is tried again after this, then after twice as long, and so on."""
    rate: Annotated[int, Meta(ge=0)] = 0
    """So many records of the log a second one task of a rebuild reads at most; 0: as many as it can."""


class Approval(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A run by hand that is larger than one of these waits until a person has approved it."""

    messages: Count = 20_000_000
    bytes: Count = 10_000_000_000
    duration: str = "4h"
    """As the plan foresees it."""
    wait: str = "8h"
    """Unanswered for so long it fails, having written nothing."""
    by: list[str] = []
    """Airflow's users who may answer; empty: `airflow.user` alone."""


class Notify(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who is told of jobs that failed, are late or wait for a person."""

    webhook: str = ""
    """Gets a JSON object with `text`, `title`, `severity` and `link` by POST; empty: nobody, but the log."""


class Tape(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The raw tape's segments: a new one is begun at this age or size. Old ones are removed past their age,
    or where all take more bytes, but never what Kafka has not acknowledged."""

    segment_age: str = "5m"
    segment_bytes: Count = 256 * 2**20
    sync: str = "1s"
    """How often the open segment is brought to the disk, beside the work: what a power loss may cost. `0s`:
    only when a segment is closed."""
    queue: Count = 1_000_000
    """Messages that wait in memory for a taper that is starved (some 300 MB); what is more waits with the
    bus, which drops it or ends the connection."""
    keep_age: str = "14d"
    """Longer than Kafka keeps the log: the tape is what a lost log is published from again."""
    keep_bytes: Annotated[int, Meta(ge=0)] = 0
    """Of one collector's tape, as it lies on the disk; 0: no limit."""
    free_alarm: Count = 2**30
    """Bytes left on the tape's disk below which the taper warns, once a minute."""
    free_stop: Count = 64 * 2**20
    """Bytes left below which it stops loudly, so that there is still room for the publisher's position."""


class Writer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a window closes without complete-through, how often late messages are mended, and how a vendor's
    writers share its partitions."""

    grace: str = "60s"
    late_every: str = "5s"
    memory_bytes: Count = 2**30
    """Of each process: rows of open windows beyond this are let go, and read again when they close."""
    processes: Count = 1
    """How many `tapedeck write` starts: one a core while one can't keep up. Writers on other machines share
    with them."""
    group: str = "tapedeck-writer"
    """What the names of the writers' consumer groups begin with; they must be allowed to READ these."""
    session: str = "10s"
    """A writer that Kafka has not heard of for so long is given up, and the others take its partitions. The
    broker's `group.min.session.timeout.ms` (6 s by default) bounds it from below."""


class Store(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is kept of Arctic beside its windows."""

    generations: str = "30d"
    """How long replaced windows are kept, for reads `as_of` a time."""


class Metrics(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where live processes answer `/healthz`, `/readyz`, `/metrics`; `tapedeck status` names each address."""

    host: str = "127.0.0.1"
    """`0.0.0.0` lets other machines scrape."""
    port: Annotated[int, Meta(ge=0, le=65535)] = 0
    """The first port tried; where it is taken, the next. 0: any free one."""
    stalled: str = "60s"
    """A process whose loop has not turned for so long counts as dead."""


class Retention(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long before Kafka deletes what is not proven in Arctic `retention_guard` warns, and pages."""

    warn: str = "72h"
    page: str = "24h"


class Log(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How live processes say their sentences, on stderr."""

    format: Literal["console", "json"] = "console"
    """`console`: a line for a person; `json`: one object with `at`, `level`, `role`, `vendor`, `event`."""


WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class SessionTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a venue is open, by a table of one's own. Hours: `09:30-16:00`, `00:00-24:00`."""

    base: str = ""
    """Another calendar, of which this table changes some `days`; `zone` and `sessions` are then its own."""
    zone: str = "UTC"
    sessions: dict[str, list[str]] = {}
    """Hours by weekday, `mon` to `sun`; closed where a weekday is not named."""
    days: dict[str, list[str]] = {}
    """Hours of single dates, `2024-12-24`; none: closed."""


class TapeHistory(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="tape"
):
    """History from a folder of closed tape segments of another collector, or of captured files."""

    at: str


class BinanceHistory(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="binance"
):
    """History from Binance's public daily files, under a URL or in a folder."""

    at: str = "https://data.binance.vision"


class FilesHistory(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="files"
):
    """History from a folder of CSV (plain or .gz) or Parquet files of one kind."""

    at: str
    name: str
    """A file's name under the folder, for example `{symbol}/{day}.csv`; a day is 2024-08-08."""
    kind: Literal["trade", "quote"] = "trade"
    columns: dict[str, str]
    """A message's field to the file's column: ts_event (or ts_recv), price, size, side, seq, …"""
    unit: Literal["s", "ms", "us", "ns"] = "ms"
    """Of the file's times."""


History = TapeHistory | BinanceHistory | FilesHistory


class Vendor(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One upstream feed."""

    bus: str = ""
    """`zmq:tcp://host:port`, `websocket` (the venue itself), `websocket:wss://…`, `nats:nats://host:port/subject`
    (a user and password or a token before the host, or `?credentials=/path` of a `.creds` file behind it)."""
    symbols: list[str] = []
    """What to subscribe to where the bus asks; the simulator's symbols. As the vendor writes them."""
    calendar: str = "24x7"
    """`24x7`, `24x5`, an exchange's code (`XNYS`), or a table `[calendars.NAME]`."""
    calendars: dict[str, str] = {}
    """Calendars of some symbols, by name or pattern, for example `"*.L" = "XLON"`."""
    delisted: dict[str, str] = {}
    """Symbols that no longer trade, each with when it ended: `"LUNAUSDT" = "2022-05-13T00:00:00Z"`."""
    window: dict[str, Count] = {}
    """Seconds of a window by kind; 600 where a kind is not named. Fixed once a library exists."""
    tape: str = ""
    """Folder of the raw tapes; empty: `<state_dir>/tape/<vendor>`."""
    topic: str = ""
    """The live topic's name; empty: the prefix and the vendor's name."""
    publishers: Count = 1
    """How many processes of a collector share its tape's partitions, where one core can't carry all."""
    margin: str = "30s"
    """How far apart two sources' copies of one message may lie (DESIGN §2.6)."""
    lateness: str = "60s"
    """How far behind a slice's end its messages may lie where no collector proves the stop (§5)."""

    history: list[History] = []
    """Where what the log never had may be fetched from, the best first."""
    silence: str = "60s"
    """A WebSocket that brings nothing for so long is connected again."""

    @property
    def silence_seconds(self) -> float:
        """`silence` in seconds."""
        return parse_duration(self.silence) / NS

    def window_seconds(self, kind: str) -> int:
        """Length of a window of this kind in seconds."""
        return self.window.get(kind, 600)


DEFAULT_VENDORS: dict[str, Any] = {
    "binance_usdm": {"bus": "zmq:tcp://127.0.0.1:5601", "symbols": ["BTCUSDT", "ETHUSDT"]},
    "binance_spot": {"bus": "zmq:tcp://127.0.0.1:5602", "symbols": ["BTCUSDT", "ETHUSDT"]},
    "binance_coinm": {"bus": "websocket", "symbols": ["BTCUSD_PERP", "ETHUSD_PERP"]},
    "coinbase": {"bus": "websocket", "symbols": ["BTC-USD", "ETH-USD"]},
    "okx": {"bus": "websocket", "symbols": ["BTC-USDT", "BTC-USDT-SWAP"]},
    "kraken_futures": {"bus": "websocket", "symbols": ["PF_XBTUSD", "PF_ETHUSD"]},
    "lseg": {"bus": "websocket:ws://127.0.0.1:15000", "symbols": ["EUR=", "GBP="]},
}
"""In force where the settings file has no vendor at all. The simulator plays the first two."""


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that can be set, validated whole. Made by `load`."""

    state_dir: str = ".tapedeck"
    cache_dir: str = ""
    """Where fetched programs are kept, for all state directories; empty: the project's `.tapedeck/cache`."""
    kafka: Kafka = Kafka()
    mongo: Mongo = Mongo()
    airflow: Airflow = Airflow()
    jobs: Jobs = Jobs()
    approval: Approval = Approval()
    notify: Notify = Notify()
    tape: Tape = Tape()
    writer: Writer = Writer()
    store: Store = Store()
    metrics: Metrics = Metrics()
    log: Log = Log()
    retention: Retention = Retention()
    calendars: dict[str, SessionTable] = {}
    instruments: dict[str, dict[str, str]] = {}
    """What vendors call one instrument: `[instruments.btc]` with a symbol for each vendor."""
    vendors: dict[str, Vendor] = {}

    @property
    def state(self) -> Path:
        """The state directory, absolute."""
        return Path(self.state_dir).expanduser().absolute()

    @property
    def cache(self) -> Path:
        """The cache of fetched programs, absolute."""
        if self.cache_dir:
            return Path(self.cache_dir).expanduser().absolute()
        return Path(__file__).resolve().parents[2] / ".tapedeck" / "cache"

    def vendor(self, name: str) -> Vendor:
        """The vendor's table. Raises BadInput for a name that no table has."""
        if name not in self.vendors:
            raise BadInput(
                f"there is no vendor {name!r} in the settings{_nearest(name, self.vendors)}: "
                f"known are {', '.join(sorted(self.vendors)) or 'none'}; add a table "
                f"[vendors.{name if name.isidentifier() else 'NAME'}] "
                f"to {FILE_NAME}"
            )
        return self.vendors[name]

    def live_topic(self, vendor: str) -> str:
        """Name of the vendor's first live topic."""
        return self.vendor(vendor).topic or f"{self.kafka.prefix}{vendor}"

    def tape_dir(self, vendor: str, src: int) -> Path:
        """Folder of one collector's raw tape."""
        folder = self.vendor(vendor).tape
        return (Path(folder).expanduser().absolute() if folder else self.state / "tape" / vendor) / str(src)


_TABLES: dict[str, type[Struct]] = {"vendors": Vendor, "calendars": SessionTable}
"""Tables whose keys are names that the settings' owner chose."""


class Origin(Struct, frozen=True):
    """One setting in force: its dotted name, its value (secrets masked), where it came from."""

    name: str
    value: Any
    source: str


def load(environ: Mapping[str, str] | None = None, cwd: Path | None = None) -> Settings:
    """The settings in force. Raises BadInput with the file or variable at fault."""
    return load_with_origins(environ, cwd)[0]


def file_in_force(environ: Mapping[str, str] | None = None, cwd: Path | None = None) -> Path | None:
    """The settings file that `load` reads, or None where there is none."""
    return _find_file(os.environ if environ is None else environ, cwd or Path.cwd())


def load_with_origins(
    environ: Mapping[str, str] | None = None, cwd: Path | None = None
) -> tuple[Settings, list[Origin]]:
    """The settings in force and, for each one, where it came from."""
    environ = os.environ if environ is None else environ
    path = _find_file(environ, cwd or Path.cwd())
    table = _read(path) if path else {}
    sources = {name: _line_of(path, name) for name, _ in _leaves(table)}
    if "vendors" not in table:
        table["vendors"] = {name: dict(vendor) for name, vendor in DEFAULT_VENDORS.items()}
    for variable, name, text in _variables(environ, table):
        _put(table, name, text, variable)
        sources[".".join(name)] = f"environment {variable}"
    settings = _convert(table, path, sources)
    _check(settings, path, sources)
    if path and "environment" not in sources.get("state_dir", ""):
        settings = msgspec.structs.replace(settings, state_dir=str(path.parent / settings.state_dir))
    origins = [
        Origin(name, _mask(name, value), sources.get(name, "default"))
        for name, value in _leaves(msgspec.to_builtins(settings))
    ]
    return settings, origins


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


def _variables(
    environ: Mapping[str, str], table: dict[str, Any]
) -> Iterator[tuple[str, tuple[str, ...], str]]:
    for variable in sorted(environ):
        if variable.startswith(PREFIX) and variable not in NOT_SETTINGS:
            yield variable, tuple(variable[len(PREFIX) :].lower().split("__")), environ[variable]


def _put(table: dict[str, Any], name: tuple[str, ...], text: str, variable: str) -> None:
    for part in name[:-1]:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise BadInput(f"{variable} names a setting inside {part!r}, which is no table: unset it")
    try:
        table[name[-1]] = msgspec.json.decode(text) if text[:1] in "[{" and text else text
    except msgspec.DecodeError as e:
        raise BadInput(f"{variable} begins like JSON but is not ({e}): correct it") from e


def _convert(table: dict[str, Any], path: Path | None, sources: dict[str, str]) -> Settings:
    _refuse_unknown(table, Settings, (), sources, path)
    parts: list[tuple[Any, Any, str]] = [
        (inner, Vendor, f"vendors.{name}.") for name, inner in table["vendors"].items()
    ]
    for value, kind, above in [*parts, (table, Settings, "")]:  # a vendor first: it is named in the error
        try:
            settings = msgspec.convert(value, kind, strict=False)
        except msgspec.ValidationError as e:
            what, _, where = str(e).partition(" - at `$.")
            name = f"{above}{where.rstrip('`')}".rstrip(".")
            source = sources.get(name) or _line_of(path, name)
            raise BadInput(f"the setting {name} is wrong ({what}), in {source}: correct it") from e
    return cast(Settings, settings)


def _refuse_unknown(
    table: dict[str, Any], struct: type[Struct], above: tuple[str, ...], sources: dict[str, str],
    path: Path | None,
) -> None:  # fmt: skip
    known = {field.name: field.type for field in msgspec.structs.fields(struct)}
    for key, value in table.items():
        name = ".".join((*above, key))
        if key not in known:
            source = sources.get(name) or _line_of(path, name)
            raise BadInput(f"there is no setting {name!r}{_nearest(key, known)}, in {source}: correct it")
        kind = known[key]
        if isinstance(value, dict) and isinstance(kind, type) and issubclass(kind, Struct):
            _refuse_unknown(value, kind, (*above, key), sources, path)
        elif name in _TABLES and isinstance(value, dict):
            for one, inner in value.items():
                if isinstance(inner, dict):
                    _refuse_unknown(inner, _TABLES[name], (name, one), sources, path)


def _line_of(path: Path | None, name: str) -> str:
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


def where(name: str, environ: Mapping[str, str] | None = None, cwd: Path | None = None) -> str:
    """What sets a setting: `file line n`, a variable, or "the defaults"; for a sentence about its value."""
    found = next((one.source for one in load_with_origins(environ, cwd)[1] if one.name == name), "default")
    return "the defaults" if found == "default" else found


def _check(settings: Settings, path: Path | None, sources: Mapping[str, str]) -> None:
    """What types can't say: durations, symbols, kinds, vendor names."""

    def line(name: str) -> str:
        return sources.get(name) or _line_of(path, name)

    durations = [
        ("kafka.retention", settings.kafka.retention),
        ("jobs.alert_after", settings.jobs.alert_after),
        ("jobs.complete_within", settings.jobs.complete_within),
        ("jobs.retry_after", settings.jobs.retry_after),
        ("approval.duration", settings.approval.duration),
        ("approval.wait", settings.approval.wait),
        ("tape.segment_age", settings.tape.segment_age),
        ("tape.keep_age", settings.tape.keep_age),
        ("tape.sync", settings.tape.sync),
        ("writer.grace", settings.writer.grace),
        ("writer.late_every", settings.writer.late_every),
        ("writer.session", settings.writer.session),
        ("store.generations", settings.store.generations),
        ("metrics.stalled", settings.metrics.stalled),
        ("retention.warn", settings.retention.warn),
        ("retention.page", settings.retention.page),
    ]
    for name, vendor in settings.vendors.items():
        if not name.isidentifier() or name.startswith("_") or len(name) > 40:
            raise BadInput(
                f"the vendor name {name!r} is not letters, digits and _: rename its table "
                f"({line(f'vendors.{name}')})"
            )
        durations += [
            (f"vendors.{name}.{key}", getattr(vendor, key)) for key in ("margin", "lateness", "silence")
        ]
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
    for name, table in settings.calendars.items():
        _check_sessions(name, table)
    for name, called in settings.instruments.items():
        for owner, symbol in called.items():
            if owner not in settings.vendors:
                known = _nearest(owner, settings.vendors)
                raise BadInput(f"instruments.{name} names no vendor {owner!r}{known}: correct it")
            check_symbol(symbol)
        if len(called) < 2:
            raise BadInput(f"instruments.{name} names {len(called)} vendor: two or more can be compared")
    for name, text in durations:
        try:
            parse_duration(text)
        except BadInput as e:
            raise BadInput(f"the setting {name}: {e} ({line(name)})") from e


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


def _leaves(table: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        name = f"{above}{key}"
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{name}.")
        else:
            yield name, value


def _mask(name: str, value: Any) -> Any:
    if value and any(secret in name for secret in SECRETS):
        return "********"
    if (name == "mongo.uri" or name.endswith(".bus")) and "@" in str(value):
        scheme, _, rest = str(value).partition("://")
        return f"{scheme}://********@{rest.rpartition('@')[2]}"
    return value


def _nearest(word: str, known: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(word, list(known), 1)
    return f" (did you mean {close[0]!r}?)" if close else ""

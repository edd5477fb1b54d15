"""The tables of the settings file and their keys. What types can't say is in `checking`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from tapedeck.errors import BadInput
from tapedeck.settings.nearest import nearest
from tapedeck.settings.secrets import shown
from tapedeck.slices import NS, parse_duration

FILE_NAME = "tapedeck.toml"

Port = Annotated[int, Meta(ge=1, le=65535)]
Count = Annotated[int, Meta(ge=1)]
Nodes = Annotated[int, Meta(ge=1, le=3)]

Duration = Annotated[str, Meta(extra={"duration": True})]
"""`90s`, `5m`, `2h`, `1d`, `250ms`."""
Properties = dict[str, str]
"""Handed on to a client as they stand; see `passthrough`."""


class Table(Struct, frozen=True):
    """A table of the settings file. Its `repr`, so a log or a traceback too, shows no secret."""

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={shown(name, getattr(self, name))!r}" for name in self.__struct_fields__)
        return f"{type(self).__name__}({fields})"


class Kafka(Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where Kafka is, and how topics are made. An empty `bootstrap` means the embedded broker."""

    bootstrap: str = ""
    port: Port = 9092
    nodes: Nodes = 1
    """How many embedded brokers: 1, or 3 for a cluster on this machine, on six ports from `port` on."""
    prefix: str = "md."
    """What topic names begin with: `md.<vendor>`, `md.meta`. Two tapedecks may share a cluster."""
    partitions: Count = 16
    replication: Count = 1
    retention: Duration = "7d"
    client: Properties = {}
    """More librdkafka properties, for example `"security.protocol" = "SASL_SSL"`."""
    broker: Properties = {}
    """More properties of the embedded broker, for example `"log.retention.check.interval.ms" = "1000"`."""


class Mongo(Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where MongoDB is. An empty `uri` means the embedded replica set."""

    uri: str = ""
    port: Port = 27017
    nodes: Nodes = 1
    """How many members the embedded replica set has: 1, or 3, on three ports from `port` on."""
    database: str = "tapedeck"
    """Our own collections (positions, receipts, plans); libraries live in `arctic_<vendor>`."""
    client: Properties = {}
    """More options of MongoDB's driver, for example `tlsCAFile = "/etc/tapedeck/ca.pem"`."""


class Airflow(Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
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


class Jobs(Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long jobs wait, how hard they read, and when somebody is told of one that takes too long."""

    alert_after: Duration = "8h"
    """A run that has not ended so long after it was queued is told of."""
    complete_within: Duration = "1h"
    """So long after its slice's end a scheduled rebuild waits for collectors that are behind."""
    retry_after: Duration = "15s"
    """A task that infrastructure failed is tried again after this, then after twice as long, and so on."""
    rate: Annotated[int, Meta(ge=0)] = 0
    """So many records of the log a second one task of a rebuild reads at most; 0: as many as it can."""


class Approval(Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A run by hand that is larger than one of these waits until a person has approved it."""

    messages: Count = 20_000_000
    bytes: Count = 10_000_000_000
    duration: Duration = "4h"
    """As the plan foresees it."""
    wait: Duration = "8h"
    """Unanswered for so long it fails, having written nothing."""
    by: list[str] = []
    """Airflow's users who may answer; empty: `airflow.user` alone."""


class Notify(Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who is told of jobs that failed, are late or wait for a person."""

    webhook: str = ""
    """Gets a JSON object with `text`, `title`, `severity` and `link` by POST; empty: nobody, but the log."""


class Tape(Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The raw tape's segments: a new one is begun at this age or size. Old ones are removed past their age,
    or where all take more bytes, but never what Kafka has not acknowledged."""

    segment_age: Duration = "5m"
    segment_bytes: Count = 256 * 2**20
    sync: Duration = "1s"
    """How often the open segment is brought to the disk, beside the work: what a power loss may cost. `0s`:
    only when a segment is closed."""
    queue: Count = 1_000_000
    """Messages that wait in memory for a taper that is starved (some 300 MB); what is more waits with the
    bus, which drops it or ends the connection."""
    keep_age: Duration = "14d"
    """Longer than Kafka keeps the log: the tape is what a lost log is published from again."""
    keep_bytes: Annotated[int, Meta(ge=0)] = 0
    """Of one collector's tape, as it lies on the disk; 0: no limit."""
    free_alarm: Count = 2**30
    """Bytes left on the tape's disk below which the taper warns, once a minute."""
    free_stop: Count = 64 * 2**20
    """Bytes left below which it stops loudly, so that there is still room for the publisher's position."""


class Writer(Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a window closes without complete-through, how often late messages are mended, and how a vendor's
    writers share its partitions."""

    grace: Duration = "60s"
    late_every: Duration = "5s"
    memory_bytes: Count = 2**30
    """Of each process: rows of open windows beyond this are let go, and read again when they close."""
    processes: Count = 1
    """How many `tapedeck write` starts: one a core while one can't keep up. Writers on other machines share
    with them."""
    group: str = "tapedeck-writer"
    """What the names of the writers' consumer groups begin with; they must be allowed to READ these."""
    session: Duration = "10s"
    """A writer that Kafka has not heard of for so long is given up, and the others take its partitions. The
    broker's `group.min.session.timeout.ms` (6 s by default) bounds it from below."""


class Store(Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is kept of Arctic beside its windows."""

    keep_age: Duration = "30d"
    """How long replaced windows are kept, for reads `as_of` a time."""


class Metrics(Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where live processes answer `/healthz`, `/readyz`, `/metrics`; `tapedeck status` names each address."""

    host: str = "127.0.0.1"
    """`0.0.0.0` lets other machines scrape."""
    port: Annotated[int, Meta(ge=0, le=65535)] = 0
    """The first port tried; where it is taken, the next. 0: any free one."""
    stalled: Duration = "60s"
    """A process whose loop has not turned for so long counts as dead."""


class Retention(Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long before Kafka deletes what is not proven in Arctic `retention_guard` warns, and pages."""

    warn: Duration = "72h"
    page: Duration = "24h"


class Log(Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How live processes say their sentences, on stderr."""

    format: Literal["console", "json"] = "console"
    """`console`: a line for a person; `json`: one object with `at`, `level`, `role`, `vendor`, `event`."""


WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class SessionTable(Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a venue is open, by a table of one's own. Hours: `09:30-16:00`, `00:00-24:00`."""

    base: str = ""
    """Another calendar, of which this table changes some `days`; `zone` and `sessions` are then its own."""
    zone: str = "UTC"
    sessions: dict[str, list[str]] = {}
    """Hours by weekday, `mon` to `sun`; closed where a weekday is not named."""
    days: dict[str, list[str]] = {}
    """Hours of single dates, `2024-12-24`; none: closed."""


class TapeHistory(Table, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="tape"):
    """History from a folder of closed tape segments of another collector, or of captured files."""

    at: str


class BinanceHistory(
    Table, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="binance"
):
    """History from Binance's public daily files, under a URL or in a folder."""

    at: str = "https://data.binance.vision"


class FilesHistory(
    Table, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="files"
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


class Vendor(Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One upstream feed."""

    bus: str = ""
    """`zmq:tcp://host:port`, `websocket` (the venue itself), `websocket:wss://…`, `nats:nats://host:port/subject`
    (a user and password or a token before the host, or `?credentials=/path` of a `.creds` file or of a seed
    behind it)."""
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
    margin: Duration = "30s"
    """How far apart two sources' copies of one message may lie (DESIGN §2.6)."""
    lateness: Duration = "60s"
    """How far behind a slice's end its messages may lie where no collector proves the stop (§5)."""

    history: list[History] = []
    """Where what the log never had may be fetched from, the best first."""
    silence: Duration = "60s"
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


class Settings(Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
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
        return Path(__file__).resolve().parents[3] / ".tapedeck" / "cache"

    def vendor(self, name: str) -> Vendor:
        """The vendor's table. Raises BadInput for a name that no table has."""
        if name not in self.vendors:
            raise BadInput(
                f"there is no vendor {name!r} in the settings{nearest(name, self.vendors)}: "
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

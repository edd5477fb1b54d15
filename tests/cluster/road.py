"""A live feed over a cluster on this machine: a bus, two collectors, writers, and wires that can be cut."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from tapedeck import endpoints, vendors
from tapedeck.checks import reconcile
from tapedeck.checks.gap_check import gap_check
from tapedeck.embedded import live, mongod
from tapedeck.errors import Unavailable
from tapedeck.jobs.origin import Origin
from tapedeck.log import client, topics
from tapedeck.log.timeline import timeline
from tapedeck.message import Status
from tapedeck.settings import Settings, load
from tapedeck.simulate import market
from tapedeck.slices import NS, Slice
from tapedeck.store import positions
from tapedeck.store.rebuild import rebuild
from tests import servers
from tests.proxy import Proxy, addresses, brokers, members
from tests.road import Ids, stored
from tests.tapes import VENDOR, Running, taped, until

NODES = 3
GROUPS = 4
SYMBOLS = 8
PATIENCE = 300.0
"""How long (s) anything may take on a busy machine."""
CAUGHT_UP = float(os.environ.get("CAUGHT_UP", "3"))
"""A collector's lag (s), and a writer's in seconds of the feed, that count as none; more where it is busy."""
_SEED, _START = 7, 1_723_118_400 * NS
_LOUD = ("sequence", "publish", "expired", "undecodable")
"""What a gap check must not find where nothing was lost."""


@contextmanager
def cluster(say: Callable[[str], None], nodes: int = NODES, only: str = "kafka,mongo") -> Iterator[Settings]:
    """Settings of an embedded cluster of so many brokers and mongods, brought up as a person does it, which
    runs during the block; its addresses are put in."""
    with servers.state_dir() as state:
        state.mkdir()
        settings_file(state).write_text(
            f"""\
state_dir = "{state}"
[kafka]
port = {servers.free_port(2 * nodes)}
nodes = {nodes}
replication = {nodes}
partitions = {GROUPS}
broker = {{"group.min.session.timeout.ms" = "1000"}}
[mongo]
port = {servers.free_port(nodes)}
nodes = {nodes}
[airflow]
port = {servers.free_port()}
[writer]
grace = "15s"
session = "3s"
[vendors.{VENDOR}]
bus = "zmq:tcp://127.0.0.1:{servers.free_port()}"
symbols = {market.symbol_names((), SYMBOLS)}
window = {{trade = 60, quote = 60, book = 60, status = 60}}
"""
        )
        up(state, "--only", only)
        say(f"{nodes} of each of {only} run")
        yield endpoints.resolve(load({"TAPEDECK_SETTINGS": str(settings_file(state))}))


def settings_file(state: Path) -> Path:
    """The settings of the cluster in that state directory."""
    return state / "tapedeck.toml"


def up(state: Path, *words: str) -> None:
    """`tapedeck up` there."""
    done = servers.tapedeck("up", "--timeout", "600", *words, state=state, settings_file=settings_file(state))
    assert done.returncode == 0, done.stdout + done.stderr


class Road:
    """A feed of so many messages a second through both collectors into Arctic, during the block.

    Every process reaches Kafka and MongoDB through `to_kafka` and `to_mongo`, a proxy for each node.
    """

    def __init__(self, settings: Settings, rate: int, writers: int = 1) -> None:
        self.settings, self.rate = settings, rate
        self.to_kafka = brokers(settings.kafka.bootstrap)
        self.to_mongo = members(settings.mongo.uri)
        self.writers: list[Running] = []
        self._first_writers = writers
        self._stack = ExitStack()
        self._begun = 0

    def __enter__(self) -> Road:
        with ExitStack() as entered:
            for proxy in (*self.to_kafka, *self.to_mongo):
                entered.enter_context(proxy)
            self._ledger = str(self.settings.state / "ledger.jsonl")
            self._begun = time.time_ns()
            for _ in range(self._first_writers):
                self.writers.append(entered.enter_context(self.process("write", VENDOR)))
            self.collectors = [entered.enter_context(self._collector(src)) for src in (1, 2)]
            until(lambda: all(len(one.halves()) == 2 for one in self.collectors), PATIENCE)
            self._feed = entered.enter_context(
                self.process(
                    "simulate", VENDOR, "--symbols", str(SYMBOLS), "--rate", str(self.rate),
                    "--seed", str(_SEED), "--start", "2024-08-08T12:00:00Z", "--wait-subscribers", "2",
                    "--ledger", self._ledger, "--json",
                )
            )  # fmt: skip
            self._stack = entered.pop_all()
        return self

    def __exit__(self, *what: object) -> None:
        for proxy in (*self.to_kafka, *self.to_mongo):
            proxy.come_back()
        self._stack.close()

    def process(self, *words: str) -> Running:
        """A `tapedeck` command on these wires; to be ended by who asked for it."""
        tail = self.settings.mongo.uri.partition("mongodb://")[2].partition("/")[2]
        more = {
            "TAPEDECK_SETTINGS": str(settings_file(self.settings.state)),
            "TAPEDECK_KAFKA__BOOTSTRAP": addresses(self.to_kafka),
            "TAPEDECK_MONGO__URI": f"mongodb://{addresses(self.to_mongo)}/{tail}",
        }
        return Running(self.settings, *words, **more)

    def _collector(self, src: int) -> Running:
        return self.process("collect", VENDOR, "--src", str(src))

    def begin_collector(self, src: int) -> None:
        """Another in place of one that has ended."""
        self.collectors[src - 1] = self._stack.enter_context(self._collector(src))
        until(lambda: len(self.collectors[src - 1].halves()) == 2, PATIENCE)

    def add_writer(self) -> None:
        """One more."""
        self.writers.append(self._stack.enter_context(self.process("write", VENDOR)))

    def end_writer(self) -> None:
        """One less, as an operator ends it."""
        one = self.writers.pop()
        assert one.end() == 0, one.said

    def shared(self) -> list[int]:
        """How many partition groups each writer holds."""
        said = live.describe(self.settings, "writer")
        return sorted(len(one.get("partitions", ())) for one in said if one["running"])

    def standing(self) -> tuple[float, int, str]:
        """How far (s) Kafka is behind the tapes, how many records Arctic is behind Kafka, and what holds
        anybody; of each the worst."""
        collectors = live.describe(self.settings, "collector")
        writers = live.describe(self.settings, "writer")
        lag = max((float(one.get("lag") or PATIENCE) for one in collectors), default=PATIENCE)
        behind = sum(int(one.get("lag", 0)) for one in writers)
        silent = [f"{one['name']} is silent" for one in writers if time.time() - one.get("at", 0) > CAUGHT_UP]
        held = [str(one.get("held") or "") for one in (*collectors, *writers)]
        few = [] if len(collectors) == 2 and sum(self.shared()) == GROUPS else ["somebody is missing"]
        return lag, behind, "; ".join(filter(None, (*held, *silent, *few)))

    def is_caught_up(self, standing: tuple[float, int, str]) -> bool:
        """Whether there is no lag: both tapes are in Kafka, and that is in the writers' hands."""
        lag, behind, held = standing
        return lag <= CAUGHT_UP and behind <= CAUGHT_UP * 2 * self.rate and not held

    def alive(self) -> None:
        """Fails where a process of the road has ended, or the feed."""
        for one in (*self.collectors, *self.writers, self._feed):
            assert one.process.poll() is None, one.said

    def stop_feed(self) -> int:
        """How many messages it has sent."""
        self._feed.process.terminate()
        assert self._feed.process.wait(PATIENCE) == 0, self._feed.said
        return int(json.loads(self._feed.said.splitlines()[-1])["totals"]["sent"])

    def finish(self) -> dict[str, int]:
        """End the feed and then everybody, and hold Arctic, the log and the checks to what was sent; gives
        what was counted."""
        sent = self.stop_feed()
        until(lambda: self.is_caught_up(self.standing()), PATIENCE)
        for one in self.collectors:
            assert one.end() == 0, one.said
        of = Slice(self._begun, time.time_ns())
        until(self._read_to_the_end, PATIENCE)
        wanted, found = _market(sent), stored(self.settings, VENDOR, _market(sent), of, tail=False)
        missing, extra = wanted - found, found - wanted
        assert not missing, f"{missing.total()} messages are missing, {[*missing][:5]}"
        assert not extra, f"{extra.total()} messages are there twice, {[*extra][:5]}"
        while self.writers:
            self.end_writer()
        return {"sent": sent, **self._judge(of, wanted.total())}

    def _read_to_the_end(self) -> bool:
        saved = positions.read(self.settings, VENDOR)
        pins = topics.verify(self.settings, VENDOR).log
        places = [(pin.name, p) for pin in pins for p in range(pin.partitions)]
        ends = client.bounds(self.settings, places)
        return all(
            (pin.id, p) in saved and saved[pin.id, p].next == ends[pin.name, p][1]
            for pin in pins
            for p in range(pin.partitions)
        )

    def _judge(self, of: Slice, messages: int) -> dict[str, int]:
        """What the log, a rebuild, the reconciliation and the gap check say of it."""
        deck = self.settings
        statuses = len([one for src in (1, 2) for one in taped(deck, src) if isinstance(one, Status)])
        count = timeline(VENDOR, deck).between(of.start, of.end).count()
        assert count.messages == messages + statuses, (count, messages, statuses)
        again = rebuild(deck, VENDOR, of)
        assert (again.written, again.messages) == (0, messages + statuses), again
        report = reconcile.reconcile(deck, VENDOR, of, origin=Origin(who="cluster", started=time.time_ns()))
        assert [one for one in report.findings if one.check == "windows"] == []
        assert [one for one in gap_check(deck, VENDOR, of).findings if one.check in _LOUD] == []
        return {"in_arctic": again.messages, "statuses": statuses, "duplicates": count.duplicates}


def _market(count: int) -> Counter[Ids]:
    """The first so many messages that the simulator plays."""
    normalise = vendors.get(VENDOR).normalise
    made = market.generate(VENDOR, market.symbol_names((), SYMBOLS), 1.0, None, _SEED, _START)
    return Counter(
        (type(one).__name__.lower(), one.symbol, one.seq)
        for recv_ns, payload in islice(made, count)
        for one in normalise(payload, recv_ns, 1)
        if hasattr(one, "ts_recv")
    )


def is_whole(settings: Settings) -> bool:
    """Whether every replica of every partition is in sync, and every mongod in its set."""
    try:
        found = client.admin(settings).list_topics(timeout=5)
    except (KafkaException, Unavailable):
        return False
    parts = [part for topic in found.topics.values() for part in topic.partitions.values()]
    in_sync = all(len(part.isrs) == settings.kafka.replication for part in parts)
    all_there = len(found.brokers) == settings.kafka.nodes
    return all_there and in_sync and mongod.is_ready(settings.mongo.uri)


def leaders(settings: Settings) -> Mapping[int, int]:
    """How many partitions of the vendor's live topic each broker leads, by its number."""
    admin: AdminClient = client.admin(settings)
    name = settings.live_topic(VENDOR)
    found: Any = admin.list_topics(name, timeout=client.CONTACT_SECONDS).topics[name]
    return Counter(part.leader for part in found.partitions.values())


def away(proxies: list[Proxy], seconds: float) -> None:
    """Cut these wires for so long."""
    for proxy in proxies:
        proxy.leave()
    time.sleep(seconds)
    for proxy in proxies:
        proxy.come_back()

"""Opening the target that an order names."""

from __future__ import annotations

from tapedeck.errors import BadInput
from tapedeck.jobs import to_arctic, to_kafka, to_parquet, to_zmq
from tapedeck.jobs.order import Order
from tapedeck.jobs.target import Target
from tapedeck.log.meta import Meta
from tapedeck.settings import Settings

FORMS = "kafka:TOPIC, zmq:ADDRESS, arctic:PREFIX or parquet:DIR"
SCHEMES = tuple(one.SCHEME for one in (to_kafka, to_zmq, to_arctic, to_parquet))
PACED = (to_kafka.SCHEME, to_zmq.SCHEME)


def check(to: str, *, speed: float = 0.0, restamp: bool = False, raw: bool = False) -> None:
    """Raises BadInput for what is no target, and for options that it has no use for."""
    scheme = to[: to.find(":") + 1]
    if scheme not in SCHEMES or to == scheme:
        raise BadInput(f"{to!r} is nothing to replay to: write {FORMS}, for example kafka:replay.btc")
    if speed and scheme not in PACED:
        raise BadInput(f"{to} is a store, which is written as fast as possible: leave the speed at max")
    if restamp and scheme != to_kafka.SCHEME:
        raise BadInput(f"only a topic's records can be stamped anew, and {to} is none: leave out --restamp")
    if raw and scheme != to_zmq.SCHEME:
        raise BadInput(f"raw payloads go onto a bus only, and {to} is none: write --to zmq:ADDRESS")


def opened(settings: Settings, order: Order, known: Meta) -> Target:
    """The order's target, looked at. Raises BadInput where it can't be replayed into."""
    if order.to.startswith(to_kafka.SCHEME):
        return to_kafka.KafkaTarget(settings, order, known)
    if order.to.startswith(to_arctic.SCHEME):
        return to_arctic.ArcticTarget(settings, order, known)
    if order.to.startswith(to_parquet.SCHEME):
        return to_parquet.ParquetTarget(settings, order)
    return to_zmq.ZmqTarget(settings, order)

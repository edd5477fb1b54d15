"""Raw tape to Kafka: follow, normalise, encode, produce, acknowledged."""

from __future__ import annotations

from collections.abc import Sequence

from confluent_kafka import KafkaError, Message

from tapedeck import vendors
from tapedeck.buses import captured
from tapedeck.log import client, topics
from tapedeck.log.produce import QUEUE_KBYTES, QUEUE_MESSAGES
from tapedeck.tape.ending import Ending
from tapedeck.tape.lines import Lines
from tapedeck.tape.position import FILE, Lane
from tapedeck.tape.publish import publish
from tapedeck.tape.segment import Place, segments
from tapedeck.vendors import Chatter, Refusal
from tests import tapes
from tests.benchmarks.bench import Bench
from tests.benchmarks.registry import benchmark
from tests.benchmarks.repeats import alternate, rate
from tests.benchmarks.result import Must, Result
from tests.recorded import FOLDER, USDM_BTC, USDM_ETH

COUNT = 200_000
RECORDED = (FOLDER / USDM_BTC, FOLDER / USDM_ETH)
Record = tuple[int, bytes, bytes, int]
"""Partition, value, key, CreateTime in ms."""


@benchmark("publisher")
def synthetic(bench: Bench) -> Result:
    """One process publishing a tape of the synthetic market, against a bare loop of the same ready bytes."""
    return _compare(bench, tapes.payloads(COUNT), 1)


@benchmark("publisher_recorded", files=RECORDED)
def recorded(bench: Bench) -> Result:
    """The same of recorded futures: whole books of hundreds of levels among the ticks."""
    normalise = vendors.get(tapes.VENDOR).normalise
    found = [payload for path in RECORDED for _, payload in captured.read(path)]
    good = [p for p in found if not isinstance(normalise(p, 1, 1)[0], Refusal | Chatter)]
    bench.say(f"{len(good):,} recorded messages of {sum(map(len, good)) / len(good):.0f} bytes")
    return _compare(bench, good, 900)


def _compare(bench: Bench, payloads: Sequence[bytes], src: int) -> Result:
    settings, count = bench.settings, len(payloads)
    pin = topics.ensure(settings, tapes.VENDOR).live[-1]
    tape = tapes.Tape(settings, src)
    stamps = tape.take(*payloads)
    tape.writer.close()

    lines = Lines(
        vendors.get(tapes.VENDOR), src, [Lane("", 0, 0)] * (pin.partitions + 1), (10**6, 10**6)
    )  # fmt: skip
    lines.begin(tape.life, tape.life)
    lines.serve_from(Place(segments(tape.folder)[0], 0))
    for recv_ns, payload in zip(stamps, payloads, strict=True):
        lines.message(recv_ns, payload)
    out = lines.taken()
    ready = list(zip(out.lanes, out.values, out.keys, out.times_ms, strict=True))
    assert len(ready) == count

    def ours() -> None:
        (tape.folder / FILE).unlink(missing_ok=True)
        ending = Ending(patience=300.0)
        ending.ask()
        publish(settings, tapes.VENDOR, src, ending, bench.say)

    def bare() -> None:
        queue = {
            "queue.buffering.max.messages": QUEUE_MESSAGES, "queue.buffering.max.kbytes": QUEUE_KBYTES
        }  # fmt: skip
        producer, acknowledged = client.producer(settings, **queue), 0

        def delivered(error: KafkaError | None, _: Message) -> None:
            nonlocal acknowledged
            acknowledged += error is None

        for partition, value, key, timestamp_ms in ready:
            while True:
                try:
                    producer.produce(pin.name, value, key, partition, delivered, None, timestamp_ms)
                    break
                except BufferError:
                    producer.poll(0.1)
        producer.flush()
        assert acknowledged == count

    value, baseline = alternate(lambda: rate(count, ours), lambda: rate(count, bare))
    return Result(
        value=value, unit="messages/s", baseline_name="bare produce() loop", baseline=baseline,
        must=Must(0.5),
    )  # fmt: skip

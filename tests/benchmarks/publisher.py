"""Raw tape to Kafka: follow, normalise, encode, produce, acknowledged."""

from __future__ import annotations

from confluent_kafka import KafkaError, Message

from tapedeck import vendors
from tapedeck.log import client, topics
from tapedeck.log.produce import QUEUE_KBYTES, QUEUE_MESSAGES
from tapedeck.tape.ending import Ending
from tapedeck.tape.lines import Lines
from tapedeck.tape.position import FILE, Lane
from tapedeck.tape.publish import publish
from tapedeck.tape.segment import Place, segments
from tests import tapes
from tests.benchmarks.bench import Bench
from tests.benchmarks.registry import benchmark
from tests.benchmarks.repeats import alternate, rate
from tests.benchmarks.result import Must, Result

COUNT = 200_000
Record = tuple[int, bytes, bytes, int]
"""Partition, value, key, CreateTime in ms."""


@benchmark("publisher")
def measure(bench: Bench) -> Result:
    """One process publishing a tape of futures data, against a bare loop producing the same ready bytes."""
    settings = bench.settings
    pin = topics.ensure(settings, tapes.VENDOR).live[-1]
    tape = tapes.Tape(settings)
    payloads = tapes.payloads(COUNT)
    stamps = tape.take(*payloads)
    tape.writer.close()

    lines = Lines(
        vendors.get(tapes.VENDOR), 1, [Lane("", 0, 0)] * (pin.partitions + 1), (10**6, 10**6)
    )  # fmt: skip
    lines.begin(tape.life)
    lines.serve_from(Place(segments(tape.folder)[0], 0))
    for recv_ns, payload in zip(stamps, payloads, strict=True):
        lines.message(recv_ns, payload)
    out = lines.taken()
    ready = list(zip(out.lanes, out.values, out.keys, out.times_ms, strict=True))
    assert len(ready) == COUNT

    def ours() -> None:
        (tape.folder / FILE).unlink(missing_ok=True)
        ending = Ending(patience=300.0)
        ending.ask()
        publish(settings, tapes.VENDOR, 1, ending, bench.say)

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
        assert acknowledged == COUNT

    value, baseline = alternate(lambda: rate(COUNT, ours), lambda: rate(COUNT, bare))
    return Result(
        value=value, unit="messages/s", baseline_name="bare produce() loop", baseline=baseline,
        must=Must(0.5),
    )  # fmt: skip

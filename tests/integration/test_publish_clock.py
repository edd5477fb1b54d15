"""A collector whose own clock is two hours ahead of Kafka's: held with an alarm, kept, and not lost."""

from __future__ import annotations

import threading

from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from tapedeck.clock import Clock, Stamps
from tapedeck.log import topics
from tapedeck.settings import Settings
from tapedeck.slices import NS
from tapedeck.tape.ending import Ending
from tapedeck.tape.publish import publish
from tests.tapes import VENDOR, Tape, check_log, messages, payloads, until

AHEAD = 2 * 3600 * NS


class WrongClock(Clock):
    def wall(self) -> int:
        return super().wall() + AHEAD


def test_what_is_stamped_ahead_of_kafka_waits_on_the_tape_and_comes_when_kafka_takes_it(
    settings: Settings,
) -> None:
    pin = topics.ensure(settings, VENDOR).live[0]
    tape = Tape(settings, stamps=Stamps(clock=WrongClock()))
    tape.take(*payloads(500))
    tape.end()
    ending, said = Ending(patience=15.0), list[str]()
    shown: list[str] = []
    worker = threading.Thread(
        target=publish,
        args=(settings, VENDOR, 1, ending, said.append, WrongClock()),
        kwargs={"show": lambda held, _: shown.append(held)},
    )
    worker.start()
    try:
        until(lambda: any("this machine's clock is an hour or more ahead of Kafka's" in s for s in said), 60)
        until(lambda: any("ahead of Kafka's" in held for held in shown))
        assert sum(map(len, messages(settings, pin))) == 0
        change = ConfigEntry(
            "message.timestamp.after.max.ms", str(4 * 3600 * 1000),
            incremental_operation=AlterConfigOpType.SET,
        )  # fmt: skip
        resource = ConfigResource(ResourceType.TOPIC, pin.name, incremental_configs=[change])
        admin = AdminClient({"bootstrap.servers": settings.kafka.bootstrap})
        admin.incremental_alter_configs([resource])[resource].result(10)
        until(lambda: sum(map(len, messages(settings, pin))) >= 500, 60)
    finally:
        ending.ask()
        worker.join(60)
    assert check_log(settings) == (500, 0)

"""Three brokers and three mongods by the same `tapedeck up`: one of each dies, and nothing is lost."""

from __future__ import annotations

import pytest
from msgspec import structs
from pymongo import MongoClient

from tapedeck.embedded import kafka, mongod, stack
from tapedeck.errors import BadInput
from tapedeck.log import client, topics
from tapedeck.settings import Settings
from tests.cluster.blows import controller, kill_server, primary
from tests.cluster.road import cluster, is_whole
from tests.tapes import VENDOR, until

pytestmark = pytest.mark.timeout(600)


def test_one_of_three_may_die_and_comes_back() -> None:
    with cluster(print) as deck:
        pin = topics.ensure(deck, VENDOR).live[0]
        config = topics.configs(client.admin(deck), [pin.name])[pin.name]
        assert config["min.insync.replicas"] == "2"
        until(lambda: is_whole(deck), 120)
        producer = client.producer(deck)
        told: list[object] = []
        with MongoClient(deck.mongo.uri, w="majority", journal=True) as store:
            kill_server(deck, kafka.name_of(controller(deck)))
            kill_server(deck, mongod.name_of(primary(deck)))
            for p in range(pin.partitions):
                producer.produce(pin.name, b"x", partition=p, on_delivery=lambda error, _: told.append(error))
            until(lambda: store.get_database("kept").get_collection("x").insert_one({}).acknowledged, 120)
        assert producer.flush(120) == 0
        assert told == [None] * pin.partitions
        until(lambda: is_whole(deck), 120)
        refuses_another_number(deck)


def refuses_another_number(deck: Settings) -> None:
    """What three nodes have written is not one node's, and nothing is changed."""
    one = structs.replace(
        deck,
        kafka=structs.replace(deck.kafka, bootstrap="", nodes=1),
        mongo=structs.replace(deck.mongo, uri="", nodes=1),
    )
    stack.down(deck, print)
    for part, words in (("kafka", "kafka.nodes is 1, but"), ("mongo", "mongo.nodes is 1, but")):
        with pytest.raises(BadInput, match=f"{words}.*was made with 3"):
            stack.up(one, [part], print)

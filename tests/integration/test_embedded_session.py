"""The servers that all other tests share are real and ready."""

from __future__ import annotations

from confluent_kafka.admin import AdminClient, NewTopic
from pymongo import MongoClient, WriteConcern

from tapedeck.settings import Settings


def test_the_broker_takes_topics_and_makes_none_by_itself(settings: Settings) -> None:
    admin = AdminClient({"bootstrap.servers": settings.kafka.bootstrap})
    topic = settings.live_topic("binance_usdm")
    admin.create_topics([NewTopic(topic, settings.kafka.partitions)])[topic].result(10)
    assert len(admin.list_topics(topic, timeout=10).topics[topic].partitions) == 4
    admin.list_topics("made.by.asking", timeout=10)
    assert "made.by.asking" not in admin.list_topics(timeout=10).topics


def test_the_replica_set_acknowledges_by_majority_and_journal(settings: Settings) -> None:
    with MongoClient(settings.mongo.uri) as client:
        made = client[settings.mongo.database].get_collection(
            "x", write_concern=WriteConcern("majority", j=True)
        )
        assert made.insert_one({"_id": 1}).acknowledged
        assert made.find_one({"_id": 1}) == {"_id": 1}

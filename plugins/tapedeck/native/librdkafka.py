"""librdkafka's own interface (rdkafka.h), for what touches every record: the library that confluent-kafka
brings, called without a Python object per record.

Only what `log.fetch` and `log.produce` need is declared. Handles are plain addresses.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import Any

from confluent_kafka import cimpl

_P, _I, _S = ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t
_SIGNATURES: dict[str, tuple[Any, list[Any]]] = {
    "conf_new": (_P, []),
    "conf_set": (_I, [_P, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, _S]),
    "conf_set_events": (None, [_P, _I]),
    "conf_set_log_cb": (None, [_P, _P]),
    "conf_destroy": (None, [_P]),
    "new": (_P, [_I, _P, ctypes.c_char_p, _S]),
    "destroy": (None, [_P]),
    "poll_set_consumer": (_I, [_P]),
    "queue_get_consumer": (_P, [_P]),
    "queue_destroy": (None, [_P]),
    "topic_partition_list_new": (_P, [_I]),
    "topic_partition_list_add": (_P, [_P, ctypes.c_char_p, ctypes.c_int32]),
    "topic_partition_list_destroy": (None, [_P]),
    "assign": (_I, [_P, _P]),
    "consume_batch_queue": (ctypes.c_ssize_t, [_P, _I, _P, _S]),
    "query_watermark_offsets": (_I, [_P, ctypes.c_char_p, ctypes.c_int32, _P, _P, _I]),
    "get_watermark_offsets": (_I, [_P, ctypes.c_char_p, ctypes.c_int32, _P, _P]),
    "topic_name": (ctypes.c_char_p, [_P]),
    "topic_new": (_P, [_P, ctypes.c_char_p, _P]),
    "topic_destroy": (None, [_P]),
    "queue_get_main": (_P, [_P]),
    "queue_poll": (_P, [_P, _I]),
    "event_type": (_I, [_P]),
    "event_message_count": (_S, [_P]),
    "event_message_array": (_S, [_P, _P, _S]),
    "event_error": (_I, [_P]),
    "event_error_string": (ctypes.c_char_p, [_P]),
    "event_error_is_fatal": (_I, [_P]),
    "event_destroy": (None, [_P]),
    "purge": (_I, [_P, _I]),
    "err2str": (ctypes.c_char_p, [_I]),
    "err2name": (ctypes.c_char_p, [_I]),
}
_library = ctypes.CDLL(cimpl.__file__)  # whose symbols are found through it
for _name, (_result, _arguments) in _SIGNATURES.items():
    _function = getattr(_library, f"rd_kafka_{_name}")
    _function.restype, _function.argtypes = _result, _arguments

PRODUCER, CONSUMER = 0, 1
DELIVERED, ERROR = 1, 8
"""Types of events."""
QUEUE_FULL = -184


def call(name: str, *arguments: Any) -> Any:
    """Call `rd_kafka_<name>`, letting other threads run."""
    return getattr(_library, f"rd_kafka_{name}")(*arguments)


def address(name: str) -> int:
    """Where `rd_kafka_<name>` lies, for `tapedeck.native` to call."""
    where = ctypes.cast(getattr(_library, f"rd_kafka_{name}"), _P).value
    assert where is not None  # noqa: S101 - getattr would have failed
    return where


def create(kind: int, config: Mapping[str, object], events: int = 0) -> int:
    """A client's handle; `events`: types that it gives as events.

    Raises ValueError for a setting that librdkafka refuses.
    """
    conf = _configured(config)
    call("conf_set_events", conf, events)
    call("conf_set_log_cb", conf, None)  # else it writes past us to stderr, whatever its `log_level`
    why = ctypes.create_string_buffer(512)
    handle = call("new", kind, conf, why, len(why))
    if not handle:
        call("conf_destroy", conf)
        raise ValueError(why.value.decode())
    return int(handle)


def check(config: Mapping[str, object]) -> None:
    """Raises ValueError for a setting that librdkafka does not know, or not so. Opens nothing."""
    call("conf_destroy", _configured(config))


def _configured(config: Mapping[str, object]) -> int:
    conf, why = int(call("conf_new")), ctypes.create_string_buffer(512)
    for name, value in config.items():
        text = str(value).lower() if isinstance(value, bool) else str(value)
        if call("conf_set", conf, name.encode(), text.encode(), why, len(why)):
            call("conf_destroy", conf)
            raise ValueError(why.value.decode())
    return conf


class _TopicPartition(ctypes.Structure):
    """The first fields of rd_kafka_topic_partition_t."""

    _fields_ = [("topic", ctypes.c_char_p), ("partition", ctypes.c_int32), ("offset", ctypes.c_int64)]


def assign(handle: int, places: Mapping[tuple[str, int], int]) -> int:
    """Consume from these offsets, by (topic, partition), and nothing else. Gives librdkafka's error, or 0."""
    listed = call("topic_partition_list_new", len(places))
    for (topic, partition), offset in places.items():
        entry = call("topic_partition_list_add", listed, topic.encode(), partition)
        ctypes.cast(entry, ctypes.POINTER(_TopicPartition)).contents.offset = offset
    error = int(call("assign", handle, listed))
    call("topic_partition_list_destroy", listed)
    return error


def error_name(code: int) -> str:
    """Its name in librdkafka, as `KafkaError.name()` gives it: `_PARTITION_EOF`."""
    name: bytes = call("err2name", code)
    return name.decode()


def error_text(code: int) -> str:
    """What it means, in words."""
    text: bytes = call("err2str", code)
    return text.decode()

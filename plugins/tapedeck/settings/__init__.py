"""Everything that can be set: `tapedeck.toml`, and over it `TAPEDECK_…` environment variables.

`TAPEDECK_KAFKA__BOOTSTRAP=host:9092` sets `bootstrap` in `[kafka]`. Unknown keys are errors that
name the nearest known one. The file is the one in `TAPEDECK_SETTINGS`, else the `tapedeck.toml` of
the current folder or the nearest folder above it; without one the defaults are in force. A relative
`state_dir` is meant from the file's folder. A command's options win over all; in a task of Airflow the
connections `tapedeck_kafka` and `tapedeck_mongo` do (`tapedeck.airflow.connections`). A secret may stand
in a file of its own, which is then named: `"file:/run/secrets/kafka"`.
"""

from tapedeck.settings.passthrough import check_kafka, check_mongo, check_uri
from tapedeck.settings.reading import (
    Loaded,
    Origin,
    file_in_force,
    load,
    load_whole,
    load_with_origins,
    where,
)
from tapedeck.settings.schema import (
    FILE_NAME,
    WEEKDAYS,
    Airflow,
    Approval,
    BinanceHistory,
    FilesHistory,
    History,
    Jobs,
    Kafka,
    Log,
    Metrics,
    Mongo,
    Notify,
    Retention,
    SessionTable,
    Settings,
    Store,
    Tape,
    TapeHistory,
    Vendor,
    Writer,
)
from tapedeck.settings.secrets import shown_address

__all__ = [
    "FILE_NAME", "WEEKDAYS", "Airflow", "Approval", "BinanceHistory", "FilesHistory", "History", "Jobs",
    "Kafka", "Loaded", "Log", "Metrics", "Mongo", "Notify", "Origin", "Retention", "SessionTable",
    "Settings", "Store", "Tape", "TapeHistory", "Vendor", "Writer", "check_kafka", "check_mongo",
    "check_uri", "file_in_force", "load", "load_whole", "load_with_origins", "shown_address", "where",
]  # fmt: skip

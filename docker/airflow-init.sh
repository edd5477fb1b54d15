#!/bin/sh
# Before Airflow's processes: its database, the connections tapedeck_kafka and tapedeck_mongo, the pool tapedeck.
# Safe to run again: what exists is brought to what the environment says.
set -eu
: "${KAFKA_CONNECTION:?a JSON object of librdkafka properties, with bootstrap.servers}"
: "${MONGO_CONNECTION:?a JSON object with host, and as far as needed port, login, password, schema, extra}"

airflow db migrate
made=$(mktemp)
trap 'rm -f "$made"' EXIT
python - >"$made" <<'PYTHON'
import json, os

kafka = {"conn_type": "kafka", "extra": json.loads(os.environ["KAFKA_CONNECTION"])}
mongo = {"conn_type": "mongo", **json.loads(os.environ["MONGO_CONNECTION"])}
print(json.dumps({"tapedeck_kafka": kafka, "tapedeck_mongo": mongo}))
PYTHON
mv "$made" "$made.json"
trap 'rm -f "$made.json"' EXIT
airflow connections import --overwrite "$made.json"
airflow pools set tapedeck "${POOL_SLOTS:-4}" "Tasks that read or write the tape"

"""The servers that tapedeck brings along: Kafka, MongoDB, PostgreSQL and Airflow (DESIGN §10)."""

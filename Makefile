# tapedeck: `make help` tells what can be made.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
SEEDS ?= 100
ONLY ?=
CAPTURE ?=
VENDOR ?= binance_usdm

.PHONY: help setup system demo up down test lint bench faults cluster image requirements clean

help: ## this list
	@echo "tapedeck records the market's tape, keeps it, checks it, and plays it back."
	@echo
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "  make demo CAPTURE=\"a.gz b.gz\" VENDOR=binance_usdm   the demo with captures of your own as history"
	@echo "  make faults SEEDS=500                              a longer fault campaign"
	@echo "  make bench ONLY=name                               one benchmark"

setup: .venv/.ready ## everything tapedeck needs: system packages, .venv, the Kafka jars

# What only the system's package manager can bring; where it can't, `tapedeck doctor` says what is missing.
system:
	@missing=""; \
	command -v java >/dev/null || missing="$$missing openjdk-17-jre-headless"; \
	command -v mvn >/dev/null || missing="$$missing maven"; \
	if [ -n "$$missing" ]; then \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			echo "installing$$missing"; apt-get update -qq && apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
		else echo "please install:$$missing"; exit 2; fi; \
	fi

.venv/.ready: requirements.txt requirements-dev.txt pyproject.toml hatch_build.py $(wildcard plugins/tapedeck/native/*.c) | system
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv .venv
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { echo "tapedeck needs Python 3.11: make setup PYTHON=/path/to/python3.11"; exit 2; }
	@$(BIN)/uv --version >/dev/null 2>&1 || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@echo "installing Python packages into .venv"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode -r requirements.txt -r requirements-dev.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@echo "fetching Kafka into .tapedeck/cache"
	@$(BIN)/python -m tapedeck.embedded.fetch
	@touch $@

demo: setup ## a market from bus to Arctic, replayed and rebuilt through Airflow, in a few minutes
	@$(BIN)/python -m tapedeck.cli.demo --vendor $(VENDOR) $(CAPTURE)

up: setup ## start Kafka, MongoDB, PostgreSQL and Airflow
	@$(BIN)/tapedeck up

down: ## end what `make up` or `make demo` started
	@$(BIN)/tapedeck down

test: setup ## style, types, layers, and all tests against real servers
	@command -v chromium >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && { echo "installing chromium"; apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium >/dev/null; }; } || echo "no chromium here: the browser tests will skip"
	@command -v promtool >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && { echo "installing prometheus"; apt-get update -qq && RUNLEVEL=1 apt-get install -y -qq --no-install-recommends prometheus >/dev/null; }; } || echo "no prometheus here: the tests of alerts and dashboards will skip"
	@command -v nats-server >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && { echo "installing nats-server"; apt-get update -qq && RUNLEVEL=1 apt-get install -y -qq --no-install-recommends nats-server >/dev/null; }; } || echo "no nats-server here: the tests of NATS will skip"
	@$(MAKE) --no-print-directory lint
	@$(BIN)/pytest -n 4 --dist loadgroup --no-loadscope-reorder

lint: setup ## ruff, mypy and the library's layers
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: setup ## time everything that has a number to beat; ONLY=name for one
	@$(BIN)/python -m tests.benchmarks $(ONLY)

faults: setup ## long fault campaigns: SEEDS=100 of each
	@FAULT_SEEDS=$(SEEDS) $(BIN)/pytest tests/faults --timeout 0

cluster: setup ## three brokers and three mongods struck in every way under a live feed; RATE=2000 of messages a second
	@ONLY="$(ONLY)" $(BIN)/python -m tests.cluster

image: setup ## the container image's build and services for real, without Docker: Celery, Redis, three of each
	@IMAGE=1 $(BIN)/pytest tests/image -s

requirements: setup ## compile requirements*.txt anew from pyproject.toml
	@$(BIN)/uv pip compile --quiet --python-version 3.11 --no-annotate --no-header pyproject.toml -o requirements.txt
	@$(BIN)/uv pip compile --quiet --python-version 3.11 --no-annotate --no-header -c requirements.txt --group dev -o requirements-dev.txt
	@$(BIN)/uv pip compile --quiet --python-version 3.11 --no-annotate --no-header -c requirements.txt --group cluster -o requirements-cluster.txt

clean: down ## end the servers and remove their state; the tape and all data go with it
	@rm -rf .tapedeck

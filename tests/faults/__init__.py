"""Processes killed for real. `make faults SEEDS=…` runs long campaigns, `make test` a few seeds of each."""

import os

SEEDS = range(int(os.environ.get("FAULT_SEEDS", "2")))

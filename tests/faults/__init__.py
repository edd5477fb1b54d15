"""Processes killed for real. `make faults SEEDS=…` runs long campaigns, `make test` a few seeds of each.

`FAULT_FROM=N` in the environment goes on with the N-th seed, so that a campaign can be run in parts."""

import os

SEEDS = range(int(os.environ.get("FAULT_FROM", "0")), int(os.environ.get("FAULT_SEEDS", "2")))
ONCE = SEEDS if "FAULT_SEEDS" in os.environ else range(1)
"""For what starts servers of its own."""
FEW = ONCE
"""Of tests that take long: one in `make test`."""

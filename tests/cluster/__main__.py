"""`make cluster`: every blow under a live feed, then everything held against what was sent.

RATE=2000 of messages a second; ONLY=killed for the blows that have this in their title.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import msgspec

from tests.cluster import blows
from tests.cluster.road import Road, cluster

OUT = Path(".tapedeck") / "cluster.json"


def main() -> int:
    """Exit status 0; what is wrong ends in an AssertionError that says so."""
    rate = int(os.environ.get("RATE", "2000"))
    begun = time.monotonic()

    def say(text: str) -> None:
        print(text, flush=True)

    with cluster(say) as deck, Road(deck, rate) as road:
        say(f"\n{rate:,} messages a second, two collectors, load {os.getloadavg()[0]:.1f}\n")
        say(f"{blows.HEAD}\n| --- | ---: | ---: | ---: | ---: |")
        found = blows.campaign(road, blows.chosen(os.environ.get("ONLY", "")), say)
        counted = road.finish()
    say(
        f"\n{counted['sent']:,} messages sent, {counted['in_arctic']:,} in Arctic, each once, "
        f"{counted['statuses']} of them statuses of the collectors' own; {counted['duplicates']:,} copies "
        f"in the log left out; {time.monotonic() - begun:.0f} s"
    )
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_bytes(msgspec.json.format(msgspec.json.encode({"rate": rate, "blows": found, **counted})))
    return 0


if __name__ == "__main__":
    sys.exit(main())

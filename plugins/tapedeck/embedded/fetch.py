"""`python -m tapedeck.embedded.fetch`: fetch ahead what `tapedeck up` would fetch (for `make setup`)."""

from __future__ import annotations

import sys

from tapedeck import settings
from tapedeck.embedded import kafka
from tapedeck.errors import TapedeckError


def main() -> int:
    """Fetch Kafka's jars where they are not there yet; the exit status of DESIGN §9."""
    try:
        print(f"Kafka {kafka.VERSION}: {kafka.jars(settings.load())}")
    except TapedeckError as e:
        print(f"tapedeck: {e}", file=sys.stderr)
        return e.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())

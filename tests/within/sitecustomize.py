"""Python imports this where this folder is on its path (`tests.faulty.within`): live writers heed it."""

import sys

if "live.writer" in sys.orig_argv:
    from tests import faulty

    faulty.beset()

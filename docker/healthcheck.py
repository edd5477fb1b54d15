"""Docker's health check of a collector or writer: /healthz on the port that settings name. 0 alive, 1 not."""

import os
import sys
import urllib.error
import urllib.request

url = f"http://127.0.0.1:{os.environ.get('TAPEDECK_METRICS__PORT', '9464')}/healthz"
try:
    with urllib.request.urlopen(url, timeout=4) as answer:
        said = answer.read().decode()
except urllib.error.HTTPError as e:
    sys.exit(e.read().decode() or str(e))
except OSError as e:
    sys.exit(f"{url} does not answer ({e})")
print(said, end="")

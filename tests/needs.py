"""Says loudly which real parts the suite misses on this machine, and how to get them; fails where CI is set."""

import os
import sys

from tests.support import chromium, postfix, postgres, redis

missing = []
if postgres.binaries() is None:
    missing.append(postgres.HOW_TO_GET)
if chromium.executable() is None:
    missing.append(chromium.HOW_TO_GET)
if redis.executable() is None:
    missing.append(redis.HOW_TO_GET)
if why := postfix.missing():
    missing.append(why)
for line in missing:
    print(f"!! {line}; its tests are skipped", file=sys.stderr)
sys.exit(bool(missing) and bool(os.environ.get("CI")))

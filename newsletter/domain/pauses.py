"""How long a pause may be."""

from __future__ import annotations

from datetime import timedelta

# Who wants none for longer has rather left.
LONGEST_PAUSE = timedelta(days=366)

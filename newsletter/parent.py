"""For processes that end with the one that started them, which tells them nothing where it is killed."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

_LOOK_EVERY = 1.0  # seconds


def when_parent_ends(parent: int, act: Callable[[], object]) -> None:
    """Act, in a thread of its own, once the process `parent` is the parent no longer."""
    threading.Thread(target=_watch, args=(parent, act), name="parent-watch", daemon=True).start()


def _watch(parent: int, act: Callable[[], object]) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_EVERY)
    act()

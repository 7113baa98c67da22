"""Where the suite keeps its files: in memory, where there is room. Nothing of them need outlive it, and making
a database takes a tenth of the time that a disk takes."""

from __future__ import annotations

import os
import shutil

MEMORY = "/dev/shm"
_ROOM = 3 * 1024**3  # bytes


def in_memory() -> str | None:
    """The folder of files that are kept in memory; None where there is none, or too little room."""
    if not os.access(MEMORY, os.W_OK) or shutil.disk_usage(MEMORY).free < _ROOM:
        return None
    return MEMORY

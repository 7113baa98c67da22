"""The programs that the bench stands on: where they are, or which Debian package brings them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

_PACKAGES = {
    "wrk": "wrk",
    "sqlite3": "sqlite3",
    "psql": "postgresql-client",
    "pgbench": "postgresql-contrib or postgresql",
    "initdb": "postgresql",
    "pg_ctl": "postgresql",
    "smtp-sink": "postfix",
    "smtp-source": "postfix",
}


class Missing(Exception):
    """A program is not installed. The message says how to get it."""

    def __init__(self, program: str) -> None:
        super().__init__(f"{program} is missing: on Debian, apt-get install {_PACKAGES[program]}")


def find(program: str) -> str:
    """The path of a program. Raises `Missing`."""
    # PostgreSQL's own programs and Postfix's are not on everybody's PATH.
    servers = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
    folders = [*(str(path) for path in reversed(servers)), os.environ.get("PATH", ""), "/usr/sbin"]
    found = shutil.which(program, path=os.pathsep.join(folders))
    if found is None:
        raise Missing(program)
    return found

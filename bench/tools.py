"""The programs that the bench stands on: where they are, or which Debian package brings them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
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


class Broken(Exception):
    """Something was not as it must be for a figure to mean anything."""


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


def run(
    command: Sequence[str],
    *,
    environ: Mapping[str, str] | None = None,
    within: float = 300,
    cwd: str | None = None,
) -> str:
    """Run a program for at most `within` seconds and return what it wrote. Raises `Broken` with what it
    complained of where it fails."""
    try:
        done = subprocess.run(
            command, env=environ, cwd=cwd, capture_output=True, text=True, timeout=within, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise Broken(f"{Path(command[0]).name} took more than {within:.0f} s") from error
    if done.returncode:
        raise Broken(f"{Path(command[0]).name} ended with status {done.returncode}: {done.stderr[-300:]}")
    return done.stdout

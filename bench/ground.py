"""The ground that rows stand on: a folder, a length of time, and what several rows share.

The cluster and the million subscribers cost most of a run's time, so they are made once, when asked for.
"""

from __future__ import annotations

import os
import platform
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from bench import seeds, servers
from bench.table import Pairs
from bench.tools import run

REPEATS = 3


@dataclass
class Site:
    """One installation: its environment and, on PostgreSQL, its database's name."""

    environ: dict[str, str]
    data_dir: Path
    database: str = ""


@dataclass
class Ground:
    """What every row is given."""

    stack: ExitStack
    folder: Path
    quick: bool
    _postgres: servers.Postgres | None = None
    _large: Site | None = None
    _made: int = field(default=0)

    @classmethod
    def prepare(cls, stack: ExitStack, *, quick: bool) -> Ground:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="newsletter-bench-"))
        return cls(stack, Path(folder), quick)

    @property
    def seconds(self) -> int:
        """How long one load lasts."""
        return 3 if self.quick else 8

    @property
    def many(self) -> int:
        """How many subscribers are many."""
        return 100_000 if self.quick else 1_000_000

    @property
    def postgres(self) -> servers.Postgres:
        """The cluster of this run."""
        if self._postgres is None:
            self._postgres = self.stack.enter_context(servers.postgres())
        return self._postgres

    def on_sqlite(self, **settings: str) -> Site:
        """A fresh installation on SQLite."""
        data_dir = self._data_dir()
        environ = servers.environment(data_dir, **settings)
        servers.command(environ, "init")
        return Site(environ, data_dir)

    def on_postgres(self, **settings: str) -> Site:
        """A fresh installation on a database of its own."""
        data_dir = self._data_dir()
        database = f"bench_{self._made}"
        with self.postgres.connect() as connection:
            connection.execute(f"CREATE DATABASE {database}".encode())
        environ = servers.environment(data_dir, self.postgres.url(database), **settings)
        servers.command(environ, "init")
        return Site(environ, data_dir, database)

    def large(self) -> Site:
        """The installation with `many` confirmed subscribers, on PostgreSQL."""
        if self._large is None:
            self._large = self.on_postgres()
            with self.postgres.connect(self._large.database) as connection:
                seeds.fill_postgres(connection, range(1, self.many + 1), state="confirmed")
                seeds.spread_over_lists(connection)
                seeds.settle(connection)
        return self._large

    def pairs(self, limit: Callable[[], float], ours: Callable[[], float]) -> Pairs:
        """Both, three times in turns."""
        taken = [(limit(), ours()) for _ in range(REPEATS)]
        return Pairs([pair[0] for pair in taken], [pair[1] for pair in taken])

    def machine(self) -> str:
        """What this machine is, as far as it bounds the figures."""
        version = run(["uname", "-sm"]).strip()
        return (
            f"{os.cpu_count()} cores, {version}, CPython {platform.python_version()}; "
            f"fdatasync of 4 KiB takes {self._fdatasync():.2f} ms; loads of {self.seconds} s"
        )

    def _fdatasync(self) -> float:
        taken = []
        with (self.folder / "fdatasync").open("wb", buffering=0) as file:
            for _ in range(300):
                file.write(b"x" * 4096)
                began = time.perf_counter()
                os.fdatasync(file.fileno())
                taken.append(time.perf_counter() - began)
        return median(taken) * 1000

    def _data_dir(self) -> Path:
        self._made += 1
        folder = self.folder / f"site-{self._made}"
        folder.mkdir()
        return folder

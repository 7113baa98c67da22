"""A real PostgreSQL server of the suite's own, run as an ordinary user when the suite runs as root."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from tests.support.ground import MEMORY, in_memory

HOW_TO_GET = "the PostgreSQL server is not installed: on Debian, apt-get install postgresql"


def binaries() -> Path | None:
    """The folder with initdb and pg_ctl, where there is one."""
    on_path = shutil.which("initdb")
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
    found = [Path(on_path).resolve().parent] if on_path else []
    return next((folder for folder in [*reversed(folders), *found] if (folder / "pg_ctl").exists()), None)


@dataclass(frozen=True)
class Postgres:
    """A running server; `url` names one of its databases."""

    bin: Path
    folder: Path
    port: int

    @classmethod
    def start(cls) -> Postgres:
        """Make a cluster in a new folder and start it. Durability is off: what is tested is not the disk."""
        found = binaries()
        assert found is not None, HOW_TO_GET
        folder = Path(tempfile.mkdtemp(prefix="newsletter-pg-", dir=in_memory()))
        server = cls(found, folder, free_port())
        if os.geteuid() == 0:
            shutil.chown(folder, _ordinary_user())
        options = f"-D {folder}/data -A trust -U postgres -E UTF8 --locale=C -N"
        server._run("initdb", *options.split())
        server.resume()
        return server

    def resume(self) -> None:
        """Start the server, or start it again."""
        options = (
            f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1 -c max_connections=200 "
            "-c fsync=off -c full_page_writes=off -c autovacuum=off -c max_wal_size=256MB"
        )
        self._run(
            "pg_ctl", "-D", f"{self.folder}/data", "-l", f"{self.folder}/log", "-o", options, "-w", "start"
        )

    def pause(self) -> None:
        """Stop the server; its data stays."""
        self._run("pg_ctl", "-D", f"{self.folder}/data", "-m", "immediate", "-w", "stop")

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Stopped within the block."""
        self.pause()
        try:
            yield
        finally:
            self.resume()

    def remove(self) -> None:
        """Stop the server and delete its data: hundreds of databases, so nobody waits for it."""
        self.pause()
        os.posix_spawnp("rm", ["rm", "-rf", str(self.folder)], os.environ)

    def url(self, database: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def make(self, database: str, *, template: str = "template0") -> str:
        """Make a database as a copy of another; returns its address."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            names = sql.Identifier(database), sql.Identifier(template)
            made = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy").format(*names)
            connection.execute(made)
        return self.url(database)

    def drop(self, database: str) -> None:
        """Give back the room of a database, where it takes memory; on a disk that takes long."""
        if self.folder.is_relative_to(MEMORY):
            with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
                gone = sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(database))
                connection.execute(gone)

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self.bin / program), *arguments]
        if os.geteuid() == 0:
            user = _ordinary_user()
            command = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", *command]
        # pg_ctl's server keeps our pipes open, so its output goes to a file.
        with tempfile.TemporaryFile() as output:
            done = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, cwd="/", check=False)
            output.seek(0)
            text = output.read().decode()
        assert done.returncode == 0, f"{program} failed: {text}"


def _ordinary_user() -> str:
    """The user that Debian's package makes for the server, else nobody."""
    import pwd

    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


# Below the ports that the system gives to clients, so that none of those is in the way. Each process of the
# suite has a stretch of its own and goes through it in order: what one gives up, nobody else takes meanwhile.
_STRETCH = 2500
_first = 12_000 + _STRETCH * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_ports = itertools.cycle(range(_first, _first + _STRETCH))


def free_port() -> int:
    """A port on loopback that nobody listens on now, and that this process has not given out of late."""
    for port in itertools.islice(_ports, _STRETCH):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("all ports are taken")

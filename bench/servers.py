"""The servers of a run: a PostgreSQL cluster of its own, the service as its users start it, SMTP sinks.

Each is a context manager that ends what it started, by its process id, whatever happens inside.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from bench.tools import Broken, find, run

_START = 30.0  # seconds that a server may need to answer for the first time


def free_port() -> int:
    """A port on loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(frozen=True)
class Postgres:
    """A throw-away cluster with PostgreSQL's default settings: durable, 128 MB of shared buffers."""

    folder: Path
    port: int

    def url(self, database: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def options(self, database: str) -> list[str]:
        """How psql and pgbench reach a database; over TCP, as the service does."""
        return ["-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", database]

    def connect(self, database: str = "postgres") -> psycopg.Connection[tuple[object, ...]]:
        """A connection whose statements commit one by one."""
        return psycopg.connect(self.url(database), autocommit=True)


@contextmanager
def postgres() -> Iterator[Postgres]:
    """Make a cluster and run it."""
    folder = Path(tempfile.mkdtemp(prefix="newsletter-bench-pg-"))
    server = Postgres(folder, free_port())
    control = [find("pg_ctl"), "-D", f"{folder}/data", "-w"]
    options = f"-p {server.port} -k {folder} -c listen_addresses=127.0.0.1"
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, _server_user())
        _as_server([find("initdb"), "-D", f"{folder}/data", "-A", "trust", "-U", "postgres", "-E", "UTF8"])
        _as_server([*control, "-l", f"{folder}/log", "-o", options, "start"])
        try:
            yield server
        finally:
            _as_server([*control, "-m", "immediate", "stop"])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _as_server(command: list[str]) -> None:
    """Run one of PostgreSQL's programs, as root under the server's own user: it refuses root."""
    if os.geteuid() == 0:
        user = _server_user()
        command = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", *command]
    # The server would keep a pipe of ours open, so nobody listens to what is said.
    done = subprocess.run(
        command, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=120, check=False
    )
    if done.returncode:
        raise Broken(f"{' '.join(command)} ended with status {done.returncode}")


def _server_user() -> str:
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


@dataclass(frozen=True)
class Service:
    """A running `newsletter serve`."""

    origin: str
    pid: int


def environment(data_dir: Path, database_url: str | None = None, **more: str) -> dict[str, str]:
    """The environment of a service under load: nothing of the caller's settings, and no limits."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NEWSLETTER_")}
    own = {"NEWSLETTER_DATA_DIR": str(data_dir), "NEWSLETTER_SIGNUP_LIMIT": "off"}
    if database_url is not None:
        own["NEWSLETTER_DATABASE_URL"] = database_url
    return kept | own | more


def newsletter(*arguments: str) -> list[str]:
    """The `newsletter` command of this environment."""
    return [sys.executable, "-m", "newsletter", *arguments]


def command(environ: Mapping[str, str], *arguments: str) -> None:
    """Run one command of the service to its end."""
    run(newsletter(*arguments), environ=environ)


@contextmanager
def service(environ: Mapping[str, str], *, with_worker: bool = False) -> Iterator[Service]:
    """Run `newsletter serve` with its two web processes on a free port."""
    port = free_port()
    options = [] if with_worker else ["--without-worker"]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            newsletter("serve", "--port", str(port), "--workers", "2", *options),
            env=environ,
            stdout=log,
            stderr=log,
        )
        try:
            origin = f"http://127.0.0.1:{port}"
            if not _ready(f"{origin}/readyz", process):
                log.seek(0)
                raise Broken(f"the service did not come up: {log.read().decode(errors='replace')[-300:]}")
            yield Service(origin, process.pid)
        finally:
            _end(process)


def _ready(url: str, process: subprocess.Popen[bytes]) -> bool:
    deadline = time.monotonic() + _START
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return True
        except OSError:  # a refusal by HTTP is one too
            time.sleep(0.1)
    return False


@contextmanager
def smtp_sink() -> Iterator[int]:
    """Postfix's smtp-sink, which takes mail and forgets it; gives its port."""
    port = free_port()
    as_user = ["-u", "nobody"] if os.geteuid() == 0 else []
    process = subprocess.Popen(
        [find("smtp-sink"), *as_user, f"127.0.0.1:{port}", "1000"], stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + _START
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError as error:
                if time.monotonic() > deadline or process.poll() is not None:
                    raise Broken("smtp-sink did not come up") from error
                time.sleep(0.05)
        yield port
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()

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
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from bench.tools import find

_START = 30.0  # seconds that a server may need to answer for the first time


class NotUp(OSError):
    """A server did not come up. The message ends with what it said last."""


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
    subprocess.run(command, check=True, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


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
    subprocess.run(
        newsletter(*arguments), env=environ, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        timeout=300,
    )  # fmt: skip


@contextmanager
def service(environ: Mapping[str, str], *, with_worker: bool = False) -> Iterator[Service]:
    """Run `newsletter serve` with its two web processes on a free port."""
    port = free_port()
    options = [] if with_worker else ["--without-worker"]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            newsletter("serve", "--port", str(port), "--workers", "2", *options), env=environ, stdout=log, stderr=log
        )
        try:
            origin = f"http://127.0.0.1:{port}"
            _wait_until_ready(f"{origin}/readyz", process)
            yield Service(origin, process.pid)
        except NotUp as error:
            log.seek(0)
            raise NotUp(f"{error}: {log.read().decode(errors='replace')[-300:]}") from error
        finally:
            _end(process)


def _wait_until_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise NotUp("the service did not come up")


@contextmanager
def smtp_sink() -> Iterator[int]:
    """Postfix's smtp-sink, which takes mail and forgets it; gives its port."""
    port = free_port()
    process = subprocess.Popen([find("smtp-sink"), f"127.0.0.1:{port}", "1000"], stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + _START
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError as error:
                if time.monotonic() > deadline or process.poll() is not None:
                    raise NotUp("smtp-sink did not come up") from error
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

"""The whole service in one command: web processes, and a worker beside them that is replaced when it dies."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time

import structlog
from granian import Granian
from granian.constants import Interfaces, RuntimeModes
from granian.http import HTTP1Settings

from newsletter import logs
from newsletter.settings import PREFIX, Settings

# Threads of one web process. A request holds one while its body arrives, so there are many: a slow
# client then holds up nobody else. They start when needed and end when idle.
_THREADS = 256
_HEADER_TIMEOUT = 10_000  # milliseconds for a request's head to arrive
_QUICK_DEATH = 5.0  # seconds: a worker that lived shorter is replaced after a pause

log = structlog.get_logger()


class CannotListen(Exception):
    """The address or port cannot be served on. The message is one line."""


def listening_address(host: str, port: int) -> str:
    """The IP address to listen on. Raises `CannotListen` where it is not this machine's or the port is taken:
    the web processes share their port, and would share it with a stranger as well."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise CannotListen(f"cannot listen on {host} port {port}: {error.strerror}") from error
    return str(address[0])


def serve(settings: Settings, *, host: str, port: int, workers: int, with_worker: bool) -> None:
    """Serve until a signal ends it. The web processes read the settings from the environment anew."""
    beside = WorkerProcess(settings) if with_worker else None
    if beside is not None:
        beside.start()
    try:
        Granian(
            "newsletter:create_app",
            factory=True,
            address=host,
            port=port,
            interface=Interfaces.WSGI,
            workers=workers,
            blocking_threads=_THREADS,
            runtime_mode=RuntimeModes.st,
            websockets=False,
            http1_settings=HTTP1Settings(header_read_timeout=_HEADER_TIMEOUT),
            respawn_failed_workers=True,
            workers_kill_timeout=10,
            log_dictconfig=logs.server_config(settings.log_level),
        ).serve()
    finally:
        if beside is not None:
            beside.stop()


class WorkerProcess:
    """Keeps one `newsletter worker` running as a child process."""

    def __init__(self, settings: Settings) -> None:
        self._level = settings.log_level
        self._ending = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._watch, name="worker-watch", daemon=True)

    def start(self) -> None:
        """Start it, and start it again whenever it ends."""
        self._thread.start()

    def stop(self) -> None:
        """Let it finish the message in hand, and wait for that."""
        self._ending.set()
        with self._lock:
            if self._process is not None:
                self._process.terminate()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ending.is_set():
            began = time.monotonic()
            with self._lock:
                if self._ending.is_set():
                    return
                self._process = subprocess.Popen(  # noqa: S603 - our own program
                    [sys.executable, "-m", "newsletter", "worker", "--with-parent", str(os.getpid())],
                    stdin=subprocess.DEVNULL,
                )
            status = self._process.wait()
            if self._ending.is_set():
                return
            log.error("worker_ended", status=status)
            if time.monotonic() - began < _QUICK_DEATH:
                self._ending.wait(1.0)


def announce_base_url(host: str, port: int) -> None:
    """Where no base URL is set, links lead to the port that is served."""
    if not os.environ.get(f"{PREFIX}BASE_URL", "").strip():
        shown = host if host in ("localhost", "::1") or host.startswith("127.") else "127.0.0.1"
        os.environ[f"{PREFIX}BASE_URL"] = (
            f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"
        )

"""The whole service in one command: web processes, and a worker beside them that is replaced when it dies."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
import time

import structlog
from granian import Granian
from granian.constants import HTTPModes, Interfaces, RuntimeModes
from granian.http import HTTP1Settings

from newsletter import logs
from newsletter.settings import PREFIX, Settings

# Connections of one web process, and its threads. A request holds a thread while its body arrives, however
# slowly, so there is one for each: a slow client then holds up nobody else (A14). They start when needed and
# end when idle. There are fewer than the 1,024 files that a process may have open by default. HTTP/2
# would let each connection have hundreds of requests; proxies speak HTTP/1 to what is behind them.
_CONNECTIONS = 768
_HEADER_TIMEOUT = 10_000  # milliseconds for a request's head to arrive, and for the next one to begin
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
    beside = WorkerProcess() if with_worker else None
    if beside is not None:
        beside.start()
    try:
        Granian(
            "newsletter.web_process:application",
            factory=True,
            address=host,
            port=port,
            interface=Interfaces.WSGI,
            workers=workers,
            backpressure=_CONNECTIONS,
            blocking_threads=_CONNECTIONS,
            runtime_mode=RuntimeModes.st,
            http=HTTPModes.http1,
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
    """Keeps one `newsletter worker` running as a child process.

    It is started by posix_spawn: a `Popen` waits for a pipe to close, and a web process that the server forks
    at that moment would hold the pipe open for as long as it lives.
    """

    def __init__(self) -> None:
        self._ending = threading.Event()
        self._lock = threading.Lock()
        self._pid: int | None = None
        self._thread = threading.Thread(target=self._watch, name="worker-watch", daemon=True)

    def start(self) -> None:
        """Start it, and start it again whenever it ends."""
        self._thread.start()

    def stop(self) -> None:
        """Let it finish the message in hand, and wait for that."""
        with self._lock:
            self._ending.set()
            if self._pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self._pid, signal.SIGTERM)
        self._thread.join()

    def _watch(self) -> None:
        while not self._ending.is_set():
            began = time.monotonic()
            with self._lock:
                if self._ending.is_set():
                    return
                self._pid = pid = _spawn_worker()
            _, status = os.waitpid(pid, 0)
            with self._lock:
                self._pid = None
            if self._ending.is_set():
                return
            log.error("worker_ended", status=os.waitstatus_to_exitcode(status))
            if time.monotonic() - began < _QUICK_DEATH:
                self._ending.wait(1.0)


def _spawn_worker() -> int:
    command = [sys.executable, "-m", "newsletter", "worker", "--with-parent", str(os.getpid())]
    no_input = (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
    # A terminal's Ctrl-C goes to all its processes at once; the worker is told by its parent when to end.
    return os.posix_spawn(
        sys.executable, command, os.environ, file_actions=[no_input], setsigmask=[signal.SIGINT]
    )


def announce_base_url(host: str, port: int) -> None:
    """Where no base URL is set, links lead to the port that is served."""
    if not os.environ.get(f"{PREFIX}BASE_URL", "").strip():
        shown = host if host in ("localhost", "::1") or host.startswith("127.") else "127.0.0.1"
        os.environ[f"{PREFIX}BASE_URL"] = (
            f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"
        )

"""The whole service in one command: web processes, and a worker beside them, each replaced when it dies."""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from newsletter.settings import PREFIX

BACKLOG = 2048  # connections that the system keeps until a web process takes them
_QUICK_DEATH = 5.0  # seconds: a process that lived shorter is replaced after a pause
_PAUSE = 1.0
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)

log = structlog.get_logger()


class CannotListen(Exception):
    """The address or port cannot be served on. The message is one line."""


def listen(host: str, port: int) -> socket.socket:
    """A socket for the web processes to share. Raises `CannotListen`."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        # With its protocol: asyncio sends without delay only where that is known.
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        raise CannotListen(f"cannot listen on {host} port {port}: {error.strerror}") from error
    return listener


def serve(listener: socket.socket, *, workers: int, with_worker: bool, parent: int | None) -> None:
    """Serve until a signal ends it, or until the process `parent` is the parent no longer. The processes read
    the settings from the environment anew."""
    # Loaded before the processes part, so that they share it.
    from newsletter import web_process

    def start_web() -> int:
        return _fork(lambda own: web_process.run(listener, own))

    web = Program("web_process", start_web, patience=web_process.PATIENCE + 2)
    programs = [web] * workers
    if with_worker:
        programs.append(Program("worker", _spawn_worker, patience=None))
    gc.freeze()
    Supervisor(programs, parent).run()


@dataclass(frozen=True)
class Program:
    """How a process is started, and how many seconds it may take to end."""

    name: str
    start: Callable[[], int]
    patience: float | None


class Supervisor:
    """Keeps processes running. It has no thread, so that they may be forked from it at any time: signals
    wait until it looks for them."""

    def __init__(self, programs: Sequence[Program], parent: int | None) -> None:
        self._parent = parent
        self._running: dict[int, tuple[Program, float]] = {}
        self._due = [(0.0, program) for program in programs]

    def run(self) -> None:
        """Start them, and start again whichever ends, until SIGTERM or SIGINT; then end them all."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        while not self._is_over():
            self._start_due()
            received = signal.sigtimedwait(_SIGNALS, _PAUSE)
            if received is not None and received.si_signo != signal.SIGCHLD:
                break
            self._collect()
        self._end()

    def _is_over(self) -> bool:
        return self._parent is not None and os.getppid() != self._parent

    def _start_due(self) -> None:
        now = time.monotonic()
        for due in [due for due in self._due if due[0] <= now]:
            self._due.remove(due)
            self._running[due[1].start()] = (due[1], now)

    def _collect(self) -> None:
        """Take notice of who has ended."""
        for pid in list(self._running):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                program, began = self._running.pop(pid)
                log.error("process_ended", process=program.name, status=os.waitstatus_to_exitcode(status))
                now = time.monotonic()
                self._due.append((now + _PAUSE if now - began < _QUICK_DEATH else now, program))

    def _end(self) -> None:
        """Let each finish what it has in hand."""
        began = time.monotonic()
        for pid in self._running:
            os.kill(pid, signal.SIGTERM)
        while self._running:
            for pid, (program, _) in list(self._running.items()):
                if os.waitpid(pid, os.WNOHANG)[0]:
                    del self._running[pid]
                elif program.patience is not None and time.monotonic() - began > program.patience:
                    log.error(f"{program.name}_killed", pid=pid)
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)
                    del self._running[pid]
            if self._running:
                signal.sigtimedwait(_SIGNALS, 0.1)


def _fork(run: Callable[[int], None]) -> int:
    """Run it in a child process, which is told who its parent is."""
    sys.stdout.flush()
    sys.stderr.flush()
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        run(parent)
        status = 0
    except BaseException:
        log.exception("web_process_failed")
    finally:
        os._exit(status)


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

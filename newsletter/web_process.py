"""A web process: the application, served on the socket that it inherits, and how it is ended.

A parent that is killed tells nobody. Its web processes end by themselves then, rather than hold the port
against the next one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from wsgiref.types import WSGIApplication

import uvicorn

from newsletter import counted, create_app
from newsletter.connections import HEAD_SECONDS, Connection, most_connections, sweep_for_ever
from newsletter.gateway import Gateway
from newsletter.parent import when_parent_ends
from newsletter.serving import BACKLOG

PATIENCE = 10  # seconds for requests that are being answered at the end
_LAST = 1.0  # seconds for what is worth doing at the end, and no more


def run(listener: socket.socket, parent: int) -> None:
    """Serve until SIGTERM: then take no more, and answer what was asked. A terminal's Ctrl-C goes to all its
    processes; this one is told by its parent."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))  # until it serves, there is nothing to finish
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGCHLD})
    when_parent_ends(parent, _end)
    counted.begin("web")
    app = create_app()
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    Connection.most = most_connections()
    Server(app).run([listener])
    last = threading.Thread(target=app.extensions["newsletter.scans"].add, daemon=True)
    last.start()
    last.join(_LAST)


class Server(uvicorn.Server):
    """Serves an application."""

    def __init__(self, app: WSGIApplication) -> None:
        super().__init__(
            uvicorn.Config(
                Gateway(app),
                interface="asgi3",
                http=Connection,
                loop="uvloop",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,  # what a proxy says is believed, or not, by the application (A3)
                server_header=False,
                backlog=BACKLOG,
                timeout_keep_alive=int(HEAD_SECONDS),
                timeout_graceful_shutdown=PATIENCE,
            )
        )

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        # To the end: who is slow then is hung up on as before.
        self._sweeping = asyncio.create_task(sweep_for_ever(self.server_state.connections))

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Only SIGTERM, and without sending it to ourselves again at the end."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self.handle_exit)
        yield


def _end() -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(PATIENCE)
    os._exit(1)

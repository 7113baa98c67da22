"""A small WSGI application behind the real server, in a thread of this process."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from wsgiref.types import WSGIApplication

from newsletter.serving import listen
from newsletter.web_process import Server
from tests.support.service import eventually

_PATIENCE = 60.0


@dataclass
class Web:
    """The server, and its port."""

    server: Server
    port: int

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=_PATIENCE)

    def ask(self, request: str | bytes) -> bytes:
        """All that comes back on a connection, until the server ends it."""
        with self.connect() as connection:
            connection.sendall(request if isinstance(request, bytes) else request.encode("latin-1"))
            return rest(connection)

    @property
    def connections(self) -> int:
        return len(self.server.server_state.connections)


def rest(connection: socket.socket) -> bytes:
    """What comes until the server ends the connection."""
    answer = b""
    while piece := connection.recv(65536):
        answer += piece
    return answer


@contextmanager
def serving(app: WSGIApplication) -> Iterator[Web]:
    listener = listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    server = Server(app)
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        eventually(lambda: server.started, every=0.01)
        yield Web(server, port)
    finally:
        server.should_exit = server.force_exit = True
        thread.join()

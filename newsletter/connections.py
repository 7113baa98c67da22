"""How long a client may take, and how many there may be: for each connection of a web process.

Time counts against a client only while it is waited for. A request's head has seconds; a body or an answer
has as long as it needs at a rate that the slowest line can keep. Who takes longer is hung up on.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from newsletter.file_limit import file_limit
from newsletter.logs import Seldom

HEAD_SECONDS = 10.0  # for a request's head to arrive, and for the next one on the connection
GRACE_SECONDS = 20.0  # in which a body, or a reader, need make no progress
LEAST_RATE = 1024  # bytes per second of a body after that: 200 MB may take two days
LINGER_SECONDS = 10.0  # for what is still sent after the answer: who is cut off at once may not see it
_READ_SECONDS = 60.0  # to read what waits to be sent, 64 KiB: about as fast
_LARGEST_HEAD = 64 * 1024  # bytes
_SWEEP_EVERY = 0.5  # seconds
# Of one process. Each holds a file, and at most 64 KiB of what it sent and of what it shall read.
_MOST_CONNECTIONS = 4096
_OWN_FILES = 160  # left for the database, uploads, libraries

_full = Seldom("too_many_connections")


def most_connections() -> int:
    """How many a process takes at a time: so many that files are left for what it does for them."""
    files = file_limit()
    return max(min(_MOST_CONNECTIONS, files - _OWN_FILES), files // 4)


class Refused(Exception):
    """The request is not taken; the connection says so and ends."""


class Connection(HttpToolsProtocol):
    """One connection, and how long its client has been waited for."""

    most = _MOST_CONNECTIONS

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._waited = 0.0  # seconds, for the head or for the body
        self._head_size = 0  # bytes so far
        self._received: int | None = None  # bytes of a body that has not ended; None: a head is waited for
        self._unanswered = 0  # requests that have begun: a client may send the next before the answer
        self._status = HTTPStatus.BAD_REQUEST  # for what the parser does not take
        self._ends = False  # once what was asked is answered
        self._unread_since: float | None = None  # when more than a little began to wait for the reader
        self._closing_since: float | None = None

    # Called by the event loop and by the parser

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.most:
            _full.warn(most=self.most)
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, ("Retry-After: 10",))

    def data_received(self, data: bytes) -> None:
        if self._ends or self.transport.is_closing():
            return
        self._unset_keepalive_if_required()
        if self._received is None:
            self._head_size += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as wish:
            self.data_received(self._without_upgrade() + data[wish.args[0] :])
        except httptools.HttpParserError:
            self.send_400_response("")
        else:
            if self._received is None and self._head_size > _LARGEST_HEAD:
                self._status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
                self.send_400_response("")

    def eof_received(self) -> bool:  # type: ignore[override]
        """Who sends no more may still read: what was asked whole is answered, and then it ends."""
        if not self._unanswered or self._received is not None:
            return False
        self._ends = True
        self.cycle.keep_alive = False
        return True

    def on_headers_complete(self) -> None:
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > _LARGEST_HEAD:
            self._status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            raise Refused
        if self.parser.get_method() == b"CONNECT":
            raise Refused
        if self.parser.should_upgrade():
            self._request_line = self.parser.get_method() + b" " + self.url + b" HTTP/1.1"
            return
        self._settle_host()
        super().on_headers_complete()
        self._waited, self._received = 0.0, 0
        self._unanswered += 1

    def on_body(self, body: bytes) -> None:
        self._received = (self._received or 0) + len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self._received is not None:  # else it wished for another protocol, and is read again
            self._waited, self._head_size, self._received = 0.0, 0, None
            super().on_message_complete()

    def on_response_complete(self) -> None:
        self._waited = 0.0
        self._unanswered -= 1
        super().on_response_complete()

    def pause_writing(self) -> None:
        self._unread_since = time.monotonic()
        super().pause_writing()

    def resume_writing(self) -> None:
        self._unread_since = None
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002
        """End the connection where the parser, or what it calls, takes offence: with a word where no other
        answer is due, of which it would be taken for a part."""
        if self._received is None and self._unanswered:
            self._ends = True
            self.cycle.keep_alive = False
        elif self._unanswered > 1 or (self._received is not None and self.cycle.response_started):
            self.transport.close()
        else:
            self._refuse(self._status)

    # Called now and then

    def sweep(self, now: float, passed: float) -> None:
        """Hang up where the client had its time, `passed` seconds of it since the last look."""
        since = self._unread_since
        if self.transport.is_closing():
            since = self._closing_since = self._closing_since or now
        if since is not None:
            if now - since > _READ_SECONDS:
                self.transport.abort()
        elif self._is_waited_for():
            self._waited += passed
            if self._waited > self._allowed():
                self._time_out()

    def _is_waited_for(self) -> bool:
        if self._received is None:
            return not self._unanswered
        asked = self.cycle.response_complete or not self.cycle.waiting_for_100_continue
        return asked and not self.flow.read_paused

    def _allowed(self) -> float:
        if self._received is None:
            return HEAD_SECONDS
        if self.cycle.response_complete:
            return LINGER_SECONDS
        return GRACE_SECONDS + self._received / LEAST_RATE

    def _time_out(self) -> None:
        if self._received is None and not self._head_size:
            self.transport.close()  # nothing was asked
        elif self._received is not None and self.cycle.response_complete:
            self.transport.close()  # it was answered
        else:
            self._status = HTTPStatus.REQUEST_TIMEOUT
            self.send_400_response("")

    def _settle_host(self) -> None:
        """Let the host of the target count, where it names one, whatever the header says (RFC 9112 §3.2.2).
        Raises `Refused` unless there is one host (§3.2)."""
        if not self.url.startswith((b"/", b"*")):
            target = httptools.parse_url(self.url)
            host = (target.host or b"") + (b":%d" % target.port if target.port else b"")
            self.headers[:] = [pair for pair in self.headers if pair[0] != b"host"] + [(b"host", host)]
            self.url = (target.path or b"/") + (b"?" + target.query if target.query else b"")
        hosts = sum(name == b"host" for name, _ in self.headers)
        if hosts > 1 or (not hosts and self.parser.get_http_version() != "1.0"):
            raise Refused

    def _without_upgrade(self) -> bytes:
        """The head of a request that wishes for another protocol, without that wish (RFC 9110 §7.8), for a
        new parser: this one would not read its body. Java's client and curl send such forms."""
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        lines = [b"%s: %s" % pair for pair in self.headers if pair[0] != b"upgrade"]
        return b"\r\n".join([self._request_line, *lines, b"", b""])

    def _refuse(self, status: HTTPStatus, headers: Sequence[str] = ()) -> None:
        words = f"{status.phrase}\n"
        lines = [
            f"HTTP/1.1 {status.value} {status.phrase}",
            "Content-Type: text/plain; charset=utf-8",
            f"Content-Length: {len(words)}",
            "Connection: close",
            *headers,
        ]
        self.transport.write("\r\n".join([*lines, "", words]).encode("ascii"))
        self.transport.close()


async def sweep_for_ever(connections: Iterable[Any]) -> None:
    """Look at all connections again and again. Time in which we were busy ourselves counts against nobody."""
    while True:
        await asyncio.sleep(_SWEEP_EVERY)
        now = time.monotonic()
        for connection in list(connections):
            connection.sweep(now, _SWEEP_EVERY)

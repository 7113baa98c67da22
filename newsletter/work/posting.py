"""One POST to an address of somebody else's choosing.

The host is resolved here, every address that it stands for is judged, and the connection goes to the very
address that was judged: a name that stands for another one a moment later helps nobody. Redirects are answers
like any other. The whole attempt has an end, however slowly the other side speaks."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import ssl
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPResponse
from types import TracebackType

from newsletter.domain.endpoints import Endpoint, EndpointError, check_address, parse_endpoint
from newsletter.version import __version__

_CONNECT = 5.0  # seconds
_TOTAL = 15.0
_MOST_READ = 64 * 1024  # of an answer: what is longer ends the connection
_USER_AGENT = f"Newsletter-Webhooks/{__version__}"


class NoAnswer(Exception):
    """There was none. The message says why, in a few words of ours: nothing of what the other side said."""


@dataclass(frozen=True)
class Answer:
    """What a receiver said: its status, and when it asks to be called again."""

    status: int
    retry_after: timedelta | None = None

    @property
    def is_yes(self) -> bool:
        return 200 <= self.status < 300


class Line:
    """A connection to where a URL leads, kept for the next message while the other side keeps it."""

    def __init__(self, url: str, tls: ssl.SSLContext, *, to_private: bool) -> None:
        self.url = url
        self._tls = tls
        self._to_private = to_private
        self._connection: HTTPConnection | None = None
        self._socket: socket.socket | None = None
        self._ends = 0.0

    def __enter__(self) -> Line:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        if self._socket is not None:
            self._socket.close()
        self._connection = self._socket = None

    def post(self, body: bytes, headers: dict[str, str]) -> Answer:
        """Send it. Raises `NoAnswer`."""
        self._ends = time.monotonic() + _TOTAL
        # A timeout of the socket's own begins anew with every byte; this one does not.
        guard = threading.Timer(_TOTAL, self._cut)
        guard.daemon = True
        guard.start()
        try:
            return self._post(body, headers)
        except EndpointError as error:
            raise NoAnswer(str(error)) from error
        except (OSError, HTTPException) as error:
            self.close()
            raise NoAnswer(self._why(error)) from error
        finally:
            guard.cancel()

    def _post(self, body: bytes, headers: dict[str, str]) -> Answer:
        endpoint = parse_endpoint(self.url, to_private=self._to_private)
        if self._connection is not None and self._connection.sock is not None:
            # Perhaps it was hung up since: that is no answer, and a new connection may get one.
            with contextlib.suppress(ConnectionError):
                return self._exchange(self._connection, endpoint, body, headers)
        self.close()
        self._connection = self._connect(endpoint)
        return self._exchange(self._connection, endpoint, body, headers)

    def _exchange(
        self, connection: HTTPConnection, endpoint: Endpoint, body: bytes, headers: dict[str, str]
    ) -> Answer:
        own = {"Host": endpoint.authority, "User-Agent": _USER_AGENT, "Content-Type": "application/json"}
        connection.request("POST", endpoint.target, body, headers | own)
        response = connection.getresponse()
        answer = Answer(response.status, _retry_after(response))
        # The rest is read for the sake of the connection, and not kept: it may name people.
        with contextlib.suppress(OSError, HTTPException):
            response.read(_MOST_READ)
        if not response.isclosed():
            self.close()
        return answer

    def _connect(self, endpoint: Endpoint) -> HTTPConnection:
        raw = self._reach(endpoint)
        self._socket = raw
        # Header and body leave apart: without this, the second waits for the first to be acknowledged.
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        raw.settimeout(self._left())
        if endpoint.secure:
            wrapped = self._tls.wrap_socket(raw, server_hostname=endpoint.host, do_handshake_on_connect=False)
            self._socket = wrapped
            wrapped.do_handshake()
        connection = HTTPConnection(endpoint.host, endpoint.port)
        connection.auto_open = 0  # it would look for the host by itself
        connection.sock = self._socket
        return connection

    def _reach(self, endpoint: Endpoint) -> socket.socket:
        """A connection to the first address that takes one, once all of them were judged."""
        addresses = _addresses(endpoint)
        for address in addresses:
            check_address(address, secure=endpoint.secure, to_private=self._to_private)
        until = time.monotonic() + min(_CONNECT, self._left())
        last: OSError = TimeoutError()
        for address in addresses:
            try:
                left = max(until - time.monotonic(), 0.1)
                return socket.create_connection((str(address), endpoint.port), timeout=left)
            except OSError as error:
                last = error
        raise NoAnswer(f"no connection: {_words(last)}")

    def _left(self) -> float:
        return max(self._ends - time.monotonic(), 0.001)

    def _cut(self) -> None:
        """Wake whoever waits for the other side."""
        held = self._socket
        if held is not None:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(held, socket.SHUT_RDWR)

    def _why(self, error: OSError | HTTPException) -> str:
        if isinstance(error, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted: {error.verify_message}"
        if isinstance(error, TimeoutError) or time.monotonic() >= self._ends:
            return f"no answer within {_TOTAL:.0f} seconds"
        if isinstance(error, ssl.SSLError):
            return f"no TLS: {error.reason or 'it speaks something else'}"
        if isinstance(error, OSError):
            return f"it hung up: {_words(error)}"
        return "its answer is not HTTP"


def _addresses(endpoint: Endpoint) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    try:
        found = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise NoAnswer("its host has no address") from error
    return [ipaddress.ip_address(place[0]) for *_, place in found]


def _words(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return f"none within {_CONNECT:.0f} seconds"
    return error.strerror or type(error).__name__


def _retry_after(response: HTTPResponse) -> timedelta | None:
    """What the header Retry-After asks for, in either of its forms (RFC 9110 §10.2.3)."""
    text = (response.headers.get("Retry-After") or "").strip()
    if text.isascii() and text.isdigit():
        return timedelta(seconds=min(int(text[:9]), 10**8))
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    return max(moment.astimezone(UTC) - datetime.now(UTC), timedelta(0))

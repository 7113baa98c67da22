"""Asking a service over HTTP as mail systems do: byte for byte, following no redirect, keeping no cookie."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPSConnection

_TIMEOUT = 20.0
_CHUNK = 7  # bytes: small, so that a body is cut within a word


@dataclass(frozen=True)
class Reply:
    """What a service answered."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    @property
    def is_page(self) -> bool:
        return (self.header("Content-Type") or "").startswith("text/html")


@dataclass(frozen=True)
class Asker:
    """Sends requests to one server. `host` is what they say in `Host`: a copy of a service listens elsewhere
    than where its links lead."""

    address: str
    port: int
    host: str
    tls: bool = False

    def ask(
        self,
        method: str,
        target: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        chunked: bool = False,
    ) -> Reply:
        """One request on a connection of its own, with no headers but these and what HTTP needs. Raises
        OSError or `HTTPException` where there is no answer."""
        connection = self._connect()
        try:
            connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
            connection.putheader("Host", self.host)
            for name, value in (headers or {}).items():
                connection.putheader(name, value)
            if chunked:
                connection.putheader("Transfer-Encoding", "chunked")
                whole = body or b""
                pieces = [whole[at : at + _CHUNK] for at in range(0, len(whole), _CHUNK)]
                connection.endheaders(iter(pieces), encode_chunked=True)
            else:
                if body is not None:
                    connection.putheader("Content-Length", str(len(body)))
                connection.endheaders(body)
            answer = connection.getresponse()
            return Reply(answer.status, tuple(answer.getheaders()), answer.read())
        finally:
            connection.close()

    def _connect(self) -> HTTPConnection:
        if not self.tls:
            return HTTPConnection(self.address, self.port, timeout=_TIMEOUT)
        context = ssl.create_default_context()
        return HTTPSConnection(self.address, self.port, timeout=_TIMEOUT, context=context)

"""Runs the WSGI application for the event loop that speaks HTTP: who sends or reads slowly holds no thread.

A body of a form's size is read by the loop, and a thread is taken when it is there. A larger one is an
upload, which the application may refuse before it is sent: a thread reads it as it arrives. An answer of
known, moderate length leaves at once; any other leaves as it is made, no faster than it is read. How long a
client may take is judged in newsletter/connections.py.
"""

from __future__ import annotations

import asyncio
import io
import sys
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import unquote_to_bytes
from wsgiref.types import WSGIApplication

from uvicorn._types import ASGIReceiveCallable, ASGISendCallable, ASGISendEvent, HTTPScope, Scope

# Requests that a process answers at a time. A thread is started when all others are busy, so the number costs
# nothing where it is not needed. It is many times what the processor can do: threads wait for the database.
_THREADS = 256
_UPLOADS = 64  # more of them, for uploads alone: slow ones may hold up others of their kind, and nobody else
_FORM = 64 * 1024  # bytes of a body that wait in memory for their end: a form's, or an object of JSON
_AT_ONCE = 1024 * 1024  # bytes of an answer that is sent whole
_PIECE = 64 * 1024  # bytes of a longer one that are sent at a time

Headers = list[tuple[bytes, bytes]]


class ClientGone(OSError):
    """The client hung up."""


class Gateway:
    """The application as ASGI."""

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application
        self._threads = ThreadPoolExecutor(_THREADS, "request")
        self._uploads = ThreadPoolExecutor(_UPLOADS, "upload")

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        assert scope["type"] == "http"
        environ = _environ(scope)
        exchange = _Exchange(self._application, environ, receive, send)
        length = int(environ.get("CONTENT_LENGTH") or 0)
        threads = self._threads
        if length > _FORM:
            threads = self._uploads
            environ["wsgi.input"] = io.BufferedReader(_Upload(exchange), _PIECE)
        else:
            body = await _read(receive, length)
            if body is None:
                return
            environ["wsgi.input"] = io.BytesIO(body)
        try:
            answer = await exchange.loop.run_in_executor(threads, exchange.run)
        except ClientGone:
            return
        if answer is not None:
            await send(answer.start)
            await send({"type": "http.response.body", "body": answer.body, "more_body": False})


class _Answer:
    """What the application said before its first piece, and the whole body where that is known."""

    def __init__(self, status: str, headers: list[tuple[str, str]]) -> None:
        self.body = b""
        self._status = int(status.split(" ", 1)[0])
        self._headers: Headers = [(k.encode("latin-1"), v.encode("latin-1")) for k, v in headers]
        lengths = [int(value) for name, value in headers if name.lower() == "content-length"]
        self.length = lengths[0] if lengths else None

    @property
    def start(self) -> ASGISendEvent:
        return {"type": "http.response.start", "status": self._status, "headers": self._headers}

    def measure(self, length: int) -> None:
        """Say how long it is, where that is known only now."""
        self.length = length
        self._headers.append((b"content-length", b"%d" % length))


class _Exchange:
    """One request and its answer, in a thread."""

    def __init__(
        self,
        application: WSGIApplication,
        environ: dict[str, Any],
        receive: ASGIReceiveCallable,
        send: ASGISendCallable,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self._application = application
        self._environ = environ
        self._receive = receive
        self._send = send
        self._answer: _Answer | None = None
        self._gone = False

    def run(self) -> _Answer | None:
        """Answer the request. Returns the answer where it is to be sent whole, or None once it is sent."""
        made = self._application(self._environ, self._start)
        try:
            pieces = iter(made)
            first = next(pieces, b"")
            answer = self._answer
            assert answer is not None, "the application began no answer"
            if answer.length is not None and answer.length <= _AT_ONCE:
                answer.body = first + b"".join(pieces)
                return answer
            self._stream(answer, first, pieces)
        finally:
            if close := getattr(made, "close", None):
                close()
        return None

    def receive_piece(self) -> bytes:
        """The next bytes of the body; none at its end, or where the client hung up before."""
        message: Any = asyncio.run_coroutine_threadsafe(_call(self._receive), self.loop).result()
        piece: bytes = message.get("body", b"")
        return piece

    def _start(self, status: str, headers: list[tuple[str, str]], error: Any = None) -> Any:
        if self._answer is not None and error is None:
            raise RuntimeError("the application began its answer twice")
        self._answer = _Answer(status, headers)
        return _write

    def _stream(self, answer: _Answer, first: bytes, pieces: Iterator[bytes]) -> None:
        if answer.length is None and self._environ["SERVER_PROTOCOL"] == "HTTP/1.0":
            # It knows no chunks, and an end by hanging up looks the same whether all was sent or not.
            with tempfile.TemporaryFile() as whole:
                whole.writelines(_chain(first, pieces))
                answer.measure(whole.tell())
                whole.seek(0)
                self._deliver(answer, iter(lambda: whole.read(_PIECE), b""))
        else:
            self._deliver(answer, _chain(first, pieces))

    def _deliver(self, answer: _Answer, pieces: Iterable[bytes]) -> None:
        self.loop.call_soon_threadsafe(self._watch)
        self._say(answer.start)
        for piece in pieces:
            for begin in range(0, len(piece), _PIECE):
                part = piece[begin : begin + _PIECE]
                self._say({"type": "http.response.body", "body": part, "more_body": True})
        self._say({"type": "http.response.body", "body": b"", "more_body": False})

    def _say(self, message: ASGISendEvent) -> None:
        """Send it, and wait until the client has read what was sent before."""
        if self._gone:
            raise ClientGone("the client hung up before the end of the answer")
        asyncio.run_coroutine_threadsafe(_call(self._send, message), self.loop).result()

    def _watch(self) -> None:
        self._watching = self.loop.create_task(self._await_end())

    async def _await_end(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._gone = True


class _Upload(io.RawIOBase):
    """A body that is read while it arrives."""

    def __init__(self, exchange: _Exchange) -> None:
        self._exchange = exchange
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._left:
            self._left = memoryview(self._exchange.receive_piece())
        size = min(len(buffer), len(self._left))
        buffer[:size], self._left = self._left[:size], self._left[size:]
        return size


async def _read(receive: ASGIReceiveCallable, length: int) -> bytes | None:
    """A body of so many bytes, or None where the client hung up before its end."""
    body = b""
    while len(body) < length:
        message: Any = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message["body"]
    return body


async def _call(callable_: Any, *arguments: Any) -> Any:
    return await callable_(*arguments)


def _chain(first: bytes, pieces: Iterable[bytes]) -> Iterator[bytes]:
    yield first
    yield from pieces


def _write(_data: bytes) -> None:
    raise NotImplementedError("what is answered is returned, not written")


def _environ(scope: HTTPScope) -> dict[str, Any]:
    """The request as PEP 3333 has it."""
    path, query = scope["raw_path"], scope["query_string"]
    server, client = scope["server"] or ("", None), scope["client"] or ("", 0)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query.decode("latin-1"),
        "REQUEST_URI": (path + b"?" + query if query else path).decode("latin-1"),
        "SERVER_NAME": server[0],
        "SERVER_PORT": str(server[1] or ""),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "REMOTE_ADDR": client[0],
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for name, value in scope["headers"]:
        if b"_" in name:
            continue  # it would be taken for the one with hyphens, which a proxy of ours may have set
        key = name.decode("latin-1").upper().replace("-", "_")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = f"HTTP_{key}"
        text = value.decode("latin-1")
        if key in environ:
            text = f"{environ[key]}{'; ' if key == 'HTTP_COOKIE' else ','}{text}"
        environ[key] = text
    return environ

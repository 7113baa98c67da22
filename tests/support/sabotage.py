"""Services that do one thing wrong, on this machine: what stands between the real application and the world."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from werkzeug.serving import WSGIRequestHandler, make_server

Middleware = Callable[[WSGIApplication], WSGIApplication]


class _Quiet(WSGIRequestHandler):
    def log(self, *_: Any) -> None:
        pass


@contextmanager
def on_loopback(application: WSGIApplication) -> Iterator[int]:
    """The application on a port of this machine."""
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def answering(
    status: str,
    *,
    when: Callable[[WSGIEnvironment], bool],
    headers: dict[str, str] | None = None,
    body: bytes = b"x",
) -> Middleware:
    """Answer some requests itself."""

    def around(application: WSGIApplication) -> WSGIApplication:
        def answer(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
            if not when(environ):
                return application(environ, start)
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            start(status, [("Content-Type", "text/html"), *(headers or {}).items()])
            return [body]

        return answer

    return around


def with_headers(**changes: str | None) -> Middleware:
    """Set headers of every answer; None drops one."""
    names = {name.replace("_", "-"): value for name, value in changes.items()}
    lower = {name.lower() for name in names}

    def around(application: WSGIApplication) -> WSGIApplication:
        def answer(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
            def started(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
                kept = [(name, value) for name, value in headers if name.lower() not in lower]
                kept += [(name, value) for name, value in names.items() if value is not None]
                return start(status, kept, *more)

            return application(environ, started)

        return answer

    return around


def adding(markup: str) -> Middleware:
    """Add to the end of every page."""

    def around(application: WSGIApplication) -> WSGIApplication:
        def answer(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
            whole: list[Any] = []

            def started(status: str, headers: list[tuple[str, str]], *_: Any) -> Any:
                whole[:] = [status, [pair for pair in headers if pair[0].lower() != "content-length"]]
                return lambda _: None

            body = b"".join(application(environ, started))
            start(*whole)
            return [body + markup.encode()]

        return answer

    return around


def pressing(when: Callable[[WSGIEnvironment], bool], *, to: str | None = None) -> Middleware:
    """Take some safe requests for a pressed button: press it, then answer as ever."""

    def around(application: WSGIApplication) -> WSGIApplication:
        def answer(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
            if when(environ):
                pressed = dict(environ) | {
                    "REQUEST_METHOD": "POST",
                    "PATH_INFO": to or environ["PATH_INFO"],
                    "CONTENT_LENGTH": "0",
                    "wsgi.input": BytesIO(),
                }
                list(application(pressed, lambda *_: lambda _: None))
            return application(environ, start)

        return answer

    return around


def sent_to(method: str, door: str = "unsubscribe") -> Callable[[WSGIEnvironment], bool]:
    """Requests of a method to a door's links."""
    return lambda environ: (
        environ["REQUEST_METHOD"] == method and environ["PATH_INFO"].startswith(f"/{door}/")
    )


def query_of(environ: WSGIEnvironment) -> dict[str, list[str]]:
    return parse_qs(environ.get("QUERY_STRING", ""))


def slashed(environ: WSGIEnvironment) -> bool:
    return bool(re.search(r"./$", environ["PATH_INFO"]))

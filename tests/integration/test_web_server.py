"""The web server: slow clients, odd requests, and answers that are long, slow or cut off."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import Any
from wsgiref.types import StartResponse

import pytest

from newsletter import connections, gateway
from newsletter.connections import Connection
from tests.support.service import eventually
from tests.support.web import Web, rest, serving

HOST = "Host: 127.0.0.1\r\n"
CLOSE = "Connection: close\r\n"
SIZE = 1 << 20


class App:
    """Says what it was asked; at some addresses, in a way of its own."""

    def __init__(self) -> None:
        self.made = 0  # pieces of /endless and /broken
        self.closed = threading.Event()
        self.begun, self.released = threading.Event(), threading.Event()

    def __call__(self, environ: dict[str, Any], start: StartResponse) -> Iterable[bytes]:
        ways = {"/endless": self._endless, "/broken": self._broken}
        if way := ways.get(environ["PATH_INFO"]):
            start("200 OK", [("Content-Type", "text/plain")])
            return way()
        if environ["PATH_INFO"] == "/large":
            start("200 OK", [("Content-Length", str(SIZE * 8))])
            return [b"a" * SIZE] * 8
        if environ["PATH_INFO"] == "/patient":
            self.begun.set()
            assert self.released.wait(60)
        if environ["PATH_INFO"] == "/refused":
            return self._say(start, {"refused": True})
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        said = {key: value for key, value in environ.items() if isinstance(value, str)}
        return self._say(start, said | {"body": body.decode("latin-1")[:99], "size": len(body)})

    def _say(self, start: StartResponse, what: dict[str, Any]) -> Iterable[bytes]:
        said = json.dumps(what).encode()
        start("200 OK", [("Content-Length", str(len(said)))])
        return [said]

    def _endless(self) -> Iterator[bytes]:
        try:
            while True:
                self.made += 1
                yield b"a" * 65536
        finally:
            self.closed.set()

    def _broken(self) -> Iterator[bytes]:
        yield b"first"
        raise RuntimeError("the database went away")


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture
def web(app: App, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    monkeypatch.setattr(connections, "_SWEEP_EVERY", 0.02)
    with serving(app) as web:
        yield web


def _post(length: int, path: str = "/", more: str = "") -> str:
    return f"POST {path} HTTP/1.1\r\n{HOST}{more}Content-Length: {length}\r\n\r\n"


def _status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def _said(answer: bytes) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(answer.rpartition(b"\r\n\r\n")[2])
    return said


# Slow clients


@pytest.mark.parametrize(
    ("limit", "sent", "status"),
    [
        ("HEAD", "GET / HTTP/1.1\r\nX", 408),
        ("GRACE", _post(100) + "half", 408),
        ("GRACE", _post(100_000) + "half", 408),
        ("LINGER", f"POST / HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n5\r\nab", 200),
        ("LINGER", _post(100_000, "/refused") + "half", 200),
        ("LINGER", _post(100_000, "/refused", "Expect: 100-continue\r\n"), 200),
        ("HEAD", f"GET / HTTP/1.1\r\n{HOST}\r\n", 200),
        ("HEAD", "", None),
    ],
    ids=["head", "form", "upload", "chunks", "after the answer", "not asked to go on", "no next", "silent"],
)
def test_a14_a_client_that_stops_is_hung_up_on_whatever_it_was_sending(
    web: Web, monkeypatch: pytest.MonkeyPatch, limit: str, sent: str, status: int | None
) -> None:
    monkeypatch.setattr(connections, f"{limit}_SECONDS", 0.4)

    answer = web.ask(sent)

    assert (_status(answer) if answer else None) == status
    eventually(lambda: web.connections == 0)


@pytest.mark.parametrize("sent", [f"GET / HTTP/1.1\r\n{HOST}\r\n", _post(4) + "form"], ids=["page", "form"])
def test_a_client_that_sends_no_more_still_gets_its_answer(web: Web, sent: str) -> None:
    """As `nc -N` does, and programs that have said all they had to say."""
    with web.connect() as client:
        client.sendall(sent.encode())
        client.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: client.recv(4096), b""))

    assert _status(answer) == 200
    eventually(lambda: web.connections == 0)


def test_a14_a_body_that_comes_a_byte_at_a_time_has_an_end_and_one_at_the_least_rate_has_none(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "GRACE_SECONDS", 0.1)
    monkeypatch.setattr(connections, "LEAST_RATE", 100_000)
    with web.connect() as slow, web.connect() as steady:
        slow.settimeout(0.01)
        steady.sendall(_post(200_000).encode() + b"a" * 199_999)
        slow.sendall(_post(1000).encode())
        answer = b""
        while not answer:
            slow.sendall(b"a")
            try:
                answer = slow.recv(100)
            except TimeoutError:
                continue
        # It was not a moment longer on its way, but had more to show for it.
        steady.sendall(b"a")
        whole = steady.recv(65536)

    assert _status(answer) == 408
    assert _said(whole)["size"] == 200_000


def test_a14_slow_uploads_hold_up_uploads_alone(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway, "_UPLOADS", 2)
    with serving(app) as web, ExitStack() as stack:
        uploads = [stack.enter_context(web.connect()) for _ in range(4)]
        for upload in uploads:
            upload.sendall(_post(100_000).encode() + b"a" * 90_000)
        eventually(lambda: web.connections == 4)

        others = [_status(web.ask(f"GET / HTTP/1.1\r\n{HOST}{CLOSE}\r\n")) for _ in range(5)]
        for upload in uploads:
            upload.sendall(b"a" * 10_000)
        sizes = [_said(upload.recv(65536))["size"] for upload in uploads]

    assert others == [200] * 5
    assert sizes == [100_000] * 4


def test_what_nobody_reads_is_given_up_and_its_making_ends(
    web: Web, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_READ_SECONDS", 0.3)
    with web.connect() as connection, web.connect() as other:
        connection.sendall(f"GET /endless HTTP/1.1\r\n{HOST}\r\n".encode())
        other.sendall(f"GET /large HTTP/1.1\r\n{HOST}{CLOSE}\r\n".encode())
        eventually(lambda: web.connections == 0)
        assert app.closed.wait(60)

    # No more was made than fits into the buffers of the sockets.
    assert app.made < 500


def test_a_client_that_hangs_up_ends_the_making_of_its_answer_and_is_no_news(
    web: Web, app: App, caplog: pytest.LogCaptureFixture
) -> None:
    with web.connect() as connection:
        connection.sendall(f"GET /endless HTTP/1.1\r\n{HOST}\r\n".encode())
        connection.recv(100)
    assert app.closed.wait(60)
    eventually(lambda: web.connections == 0 and not web.server.server_state.tasks)
    assert not caplog.records


def test_too_many_connections_are_refused_at_once_and_those_that_are_there_are_served(
    web: Web, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Connection, "most", 3)
    there = [web.connect() for _ in range(3)]
    eventually(lambda: web.connections == 3)

    answers = [web.ask("") for _ in range(5)]
    for connection in there:
        connection.sendall(f"GET / HTTP/1.1\r\n{HOST}{CLOSE}\r\n".encode())
    served = [_status(rest(connection)) for connection in there]
    for connection in there:
        connection.close()
    eventually(lambda: web.connections == 0)

    assert {_status(answer) for answer in answers} == {503}
    assert all(b"Retry-After" in answer for answer in answers)
    assert served == [200, 200, 200]
    assert _status(web.ask(f"GET / HTTP/1.1\r\n{HOST}{CLOSE}\r\n")) == 200


def test_at_the_end_what_was_asked_is_answered_and_nothing_new_is_taken(web: Web, app: App) -> None:
    with web.connect() as asked, web.connect() as idle:
        asked.sendall(f"GET /patient HTTP/1.1\r\n{HOST}\r\n".encode())
        assert app.begun.wait(60)
        web.server.should_exit = True
        assert rest(idle) == b""
        with pytest.raises(ConnectionRefusedError):
            web.connect()
        app.released.set()
        assert _status(rest(asked)) == 200


# Odd requests


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (f"GET / HTTP/1.1\r\n{CLOSE}\r\n", 400),
        (f"GET / HTTP/1.1\r\n{HOST}{HOST}\r\n", 400),
        ("nonsense\r\n\r\n", 400),
        (f"GET / HTTP/3.0\r\n{HOST}\r\n", 400),
        (f"GET / HTTP/1.1\r\n{HOST}X : y\r\n\r\n", 400),
        (f"GET / HTTP/1.1\r\n{HOST}X: y\r\n z\r\n\r\n", 400),
        (f"GET / HTTP/1.1\r\n{HOST}X: a\0b\r\n\r\n", 400),
        (f"GET /\xff HTTP/1.1\r\n{HOST}\r\n", 400),
        (f"CONNECT a.example:443 HTTP/1.1\r\n{HOST}\r\n", 400),
        (f"POST / HTTP/1.1\r\n{HOST}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (f"POST / HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n", 400),
        (f"POST / HTTP/1.1\r\n{HOST}Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400),
        (f"POST / HTTP/1.1\r\n{HOST}Content-Length: +1\r\n\r\na", 400),
        (f"POST / HTTP/1.1\r\n{HOST}Transfer-Encoding: gzip\r\n\r\na", 400),
        (f"POST / HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\nx\r\n", (200, 400)),
        (f"GET / HTTP/1.1\r\n{HOST}X: {'a' * 70_000}\r\n\r\n", 431),
        (f"GET / HTTP/1.1\r\n{HOST}" + "X: y\r\n" * 15_000 + "\r\n", 431),
        (f"GET /{'a' * 70_000} HTTP/1.1\r\n{HOST}\r\n", 431),
    ],
    ids=range(18),
)  # fmt: skip
def test_a13_a_malformed_or_ambiguous_request_is_a_4xx_and_ends_the_connection(
    web: Web, request_: str, status: int | tuple[int, ...]
) -> None:
    assert _status(web.ask(request_)) in (status if isinstance(status, tuple) else (status,))


def test_a_head_without_end_is_refused_before_it_is_all_there(web: Web) -> None:
    with web.connect() as connection:
        connection.sendall(f"GET / HTTP/1.1\r\n{HOST}X: {'a' * 65_536}".encode())
        assert _status(connection.recv(100)) == 431


def test_a12_the_host_of_an_absolute_target_counts_and_not_the_header(web: Web) -> None:
    said = _said(web.ask(f"GET http://a.example:81/x?y HTTP/1.1\r\n{HOST}{CLOSE}\r\n"))

    assert (said["HTTP_HOST"], said["PATH_INFO"], said["QUERY_STRING"]) == ("a.example:81", "/x", "y")
    assert _said(web.ask(f"GET http://a.example HTTP/1.1\r\n{HOST}{CLOSE}\r\n"))["PATH_INFO"] == "/"


def test_a3_a_header_with_an_underscore_is_not_taken_for_another(web: Web) -> None:
    said = _said(
        web.ask(
            f"GET / HTTP/1.1\r\n{HOST}X_Forwarded_For: 1.1.1.1\r\nX-Forwarded-For: 2.2.2.2\r\n{CLOSE}\r\n"
        )
    )

    assert said["HTTP_X_FORWARDED_FOR"] == "2.2.2.2"
    assert said["REMOTE_ADDR"] == "127.0.0.1"


def test_requests_sent_ahead_are_answered_in_their_order_and_what_follows_them_spoils_none(web: Web) -> None:
    three = "".join(f"GET /{n} HTTP/1.1\r\n{HOST}\r\n" for n in "abc")

    answer = web.ask(f"{three}nonsense\r\n\r\n")

    assert [line for line in ("/a", "/b", "/c") if line.encode() in answer] == ["/a", "/b", "/c"]
    assert answer.count(b"HTTP/1.1 200") == 3


def test_a_form_whose_sender_would_rather_speak_another_protocol_is_taken_whole(web: Web) -> None:
    wish = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAA\r\n"
    with web.connect() as connection:
        for _ in range(2):
            connection.sendall(_post(5, more=wish).encode())
            connection.sendall(b"email")
            assert _said(connection.recv(65536))["body"] == "email"


def test_who_waits_to_be_asked_for_the_body_is_asked(web: Web) -> None:
    with web.connect() as connection:
        connection.sendall(_post(5, more="Expect: 100-continue\r\n").encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 100")
        connection.sendall(b"email")
        assert _said(connection.recv(65536))["body"] == "email"


# Answers


def test_an_upload_arrives_whole_and_a_connection_serves_again(web: Web) -> None:
    body = b"0123456789" * 100_000
    with web.connect() as connection:
        for _ in range(2):
            connection.sendall(_post(len(body)).encode() + body)
            said = _said(connection.recv(65536))
            assert (said["size"], said["body"][:10]) == (len(body), "0123456789")


def test_a_long_answer_arrives_whole(web: Web) -> None:
    head, _, body = web.ask(f"GET /large HTTP/1.1\r\n{HOST}{CLOSE}\r\n").partition(b"\r\n\r\n")

    assert f"content-length: {SIZE * 8}".encode() in head.lower()
    assert len(body) == SIZE * 8


@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_an_answer_that_fails_midway_never_looks_whole(web: Web, version: str) -> None:
    answer = web.ask(f"GET /broken HTTP/{version}\r\n{HOST}\r\n")

    if version == "1.1":
        assert answer.endswith(b"5\r\nfirst\r\n")  # and no chunk of length 0
    else:
        assert _status(answer) == 500  # there, its end would say nothing: so it is made before it is sent


def test_head_is_answered_without_a_body(web: Web) -> None:
    head, _, body = web.ask(f"HEAD / HTTP/1.1\r\n{HOST}{CLOSE}\r\n").partition(b"\r\n\r\n")

    assert b"content-length" in head.lower()
    assert body == b""

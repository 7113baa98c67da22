"""One request to an address of somebody else's choosing: where it goes, and how long it may take."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from newsletter.work import posting
from newsletter.work.posting import Answer, Line, NoAnswer
from tests.support.receiver import Receiver, answer, certificate, receiving


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


def post(url: str, *, to_private: bool = True, trust: Path | None = None) -> Answer:
    with Line(url, ssl.create_default_context(cafile=trust), to_private=to_private) as line:
        return line.post(b"{}", {"webhook-id": "msg_1"})


def why_not(url: str, *, to_private: bool = True) -> str:
    with pytest.raises(NoAnswer) as raised:
        post(url, to_private=to_private)
    return str(raised.value)


@contextmanager
def talking(serve: Callable[[socket.socket], object]) -> Iterator[int]:
    """A server on a port that says whatever `serve` says to the first who calls."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def run() -> None:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                try:
                    asked = b""
                    # To its end, or hanging up would be taken for a reset. What is encrypted shows none.
                    while not asked.endswith(b"{}") and (more := connection.recv(65536)):
                        asked += more
                    serve(connection)
                except OSError:
                    pass

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield server.getsockname()[1]


def resolves_to(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Let names of hosts stand for these addresses, each look for the next ones; gives what was looked for."""
    asked: list[str] = []
    real, given = socket.getaddrinfo, iter(answers)

    def look(host: Any, port: Any, *more: Any, **options: Any) -> Any:
        if not str(host).endswith(".example"):
            return real(host, port, *more, **options)
        asked.append(host)
        return [found for address in next(given) for found in real(address, port, *more, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", look)
    return asked


def test_private_addresses_are_called_where_that_is_allowed_and_nowhere_else(receiver: Receiver) -> None:
    assert post(receiver.url).is_yes
    for host in ("127.0.0.1", "localhost", "127.1", "0x7f000001", "2130706433", "[::ffff:127.0.0.1]"):
        assert post(f"http://{host}:{receiver.port}/").is_yes
        assert "NEWSLETTER_WEBHOOKS_TO_PRIVATE" in why_not(
            f"https://{host}:{receiver.port}/", to_private=False
        )
    assert len(receiver.told) == 7


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["10.0.0.1"],
        ["::1"],
        ["8.8.8.8", "127.0.0.1"],
        ["169.254.169.254"],
        ["::ffff:127.0.0.1"],
        ["0.0.0.0"],
        ["64:ff9b::7f00:1"],
    ],
)
def test_a_name_is_refused_when_any_of_its_addresses_is_private(
    monkeypatch: pytest.MonkeyPatch, addresses: list[str]
) -> None:
    resolves_to(monkeypatch, addresses)
    called: list[object] = []
    monkeypatch.setattr(socket, "create_connection", lambda *place, **_: called.append(place))

    assert "network" in (said := why_not("https://hooks.example/", to_private=False)) or "no address" in said
    assert called == []


def test_a_name_is_looked_for_once_and_the_address_that_was_judged_is_called(
    monkeypatch: pytest.MonkeyPatch, receiver: Receiver
) -> None:
    asked = resolves_to(monkeypatch, ["127.0.0.1"], ["127.0.0.9"], ["127.0.0.9"])

    assert post(f"http://rebinding.example:{receiver.port}/in?key=1").is_yes
    assert asked == ["rebinding.example"]
    (told,) = receiver.told
    assert told.headers["host"] == f"rebinding.example:{receiver.port}"
    assert told.path == "/in?key=1"


def test_http_goes_to_private_networks_only(monkeypatch: pytest.MonkeyPatch) -> None:
    resolves_to(monkeypatch, ["8.8.8.8"])

    assert "http:// is for private networks only" in why_not("http://hooks.example/")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(receiver: Receiver, status: int) -> None:
    with receiving() as secret:
        receiver.respond = lambda handler: answer(handler, status, Location=secret.url)
        given = post(receiver.url)

        assert (given.status, given.is_yes) == (status, False)
        assert secret.told == []


def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    file, server = certificate(tmp_path)
    with receiving(Receiver(tls=server)) as receiver:
        url = f"https://localhost:{receiver.port}/"

        assert "its certificate is not trusted: self-signed certificate" in why_not(url)
        assert receiver.told == []
        assert post(url, trust=file).is_yes
        with pytest.raises(NoAnswer, match="its certificate is not trusted"):
            post(f"https://127.0.0.1:{receiver.port}/", trust=file)


def test_the_certificate_must_be_the_names_though_the_address_is_called(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    resolves_to(monkeypatch, ["127.0.0.1"], ["127.0.0.1"])
    file, server = certificate(tmp_path, "hooks.example")
    with receiving(Receiver(tls=server)) as receiver:
        assert post(f"https://hooks.example:{receiver.port}/", trust=file).is_yes
        assert receiver.told[0].headers["host"] == f"hooks.example:{receiver.port}"
        with pytest.raises(NoAnswer, match="its certificate is not trusted"):
            post(f"https://others.example:{receiver.port}/", trust=file)


def test_one_connection_carries_many_messages_and_a_lost_one_is_made_anew(receiver: Receiver) -> None:
    ports: list[int] = []

    def respond(handler: BaseHTTPRequestHandler) -> None:
        ports.append(handler.client_address[1])
        answer(handler, 204)
        # It hangs up without a word, as servers do with a connection that was idle.
        handler.close_connection = len(ports) == 2

    receiver.respond = respond
    with Line(receiver.url, ssl.create_default_context(), to_private=True) as line:
        for _ in range(3):
            assert line.post(b"{}", {}).is_yes

    assert ports[0] == ports[1] != ports[2]
    assert len(receiver.told) == 3


def test_an_answer_is_read_no_further_than_is_needed() -> None:
    sent = 0

    def flood(connection: socket.socket) -> None:
        nonlocal sent
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        while True:
            sent += connection.send(b"x" * 65536)

    with talking(flood) as port:
        assert post(f"http://127.0.0.1:{port}/").is_yes
    assert sent < 50_000_000


def _drip(connection: socket.socket) -> None:
    while True:
        connection.sendall(b"H")
        time.sleep(0.05)


@pytest.mark.parametrize("serve", [_drip, lambda connection: time.sleep(5)])
def test_an_attempt_ends_in_time_however_slowly_the_other_side_speaks(
    monkeypatch: pytest.MonkeyPatch, serve: Callable[[socket.socket], object]
) -> None:
    monkeypatch.setattr(posting, "_TOTAL", 0.6)
    with talking(serve) as port:
        for scheme in ("http", "https"):
            began = time.monotonic()
            why = why_not(f"{scheme}://127.0.0.1:{port}/")
            assert time.monotonic() - began < 60
            if scheme == "http":
                assert why == "no answer within 1 seconds"


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 999999 x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000,
        b"\0" * 100,
        b"HTTP/1.1 200 OK\r\n" + b"a" * 70000,
    ],
)
def test_what_is_no_answer_is_said_to_be_none(said: bytes) -> None:
    with talking(lambda connection: connection.sendall(said)) as port:
        assert why_not(f"http://127.0.0.1:{port}/") in (
            "its answer is not HTTP",
            "it hung up: RemoteDisconnected",
            "it hung up: Connection reset by peer",
        )


def test_a_body_that_makes_no_sense_does_not_undo_the_answer() -> None:
    said = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"
    with talking(lambda connection: connection.sendall(said)) as port:
        assert post(f"http://127.0.0.1:{port}/").is_yes


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120),
        ("0", 0),
        ("-5", None),
        ("soon", None),
        ("", None),
        ("Wed, 01 Jan 2020 00:00:00 GMT", 0),
        ("9" * 40, 10**8),
        ("²", None),
    ],
)
def test_retry_after_is_read_in_either_form(receiver: Receiver, header: str, seconds: int | None) -> None:
    receiver.respond = lambda handler: answer(handler, 503, Retry_After=header)
    after = post(receiver.url).retry_after

    assert (after.total_seconds() if after is not None else None) == seconds


def test_a_host_that_does_not_exist_is_named_so() -> None:
    assert why_not("https://nowhere.invalid/") == "its host has no address"

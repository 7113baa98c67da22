"""What is fetched from Amazon: over TLS that is trusted, from nowhere else, with an end in time and in size."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from newsletter.web.events.amazon import Amazon, Fetch, Unreachable, https
from tests.support.receiver import Receiver, answer, certificate, receiving

_PEM = b"-----BEGIN CERTIFICATE-----"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[Receiver, Fetch]]:
    """A server for HTTPS, and what fetches with trust in its certificate."""
    file, tls = certificate(tmp_path)
    with receiving(Receiver(tls=tls)) as receiver:
        yield receiver, https(ssl.create_default_context(cafile=file))


def _url(receiver: Receiver, host: str = "localhost") -> str:
    return f"https://{host}:{receiver.port}/SimpleNotificationService-1.pem?a=b"


def _saying(body: bytes, *, length: int | None = None) -> Receiver:
    def respond(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body) if length is None else length))
        handler.end_headers()
        handler.wfile.write(body)
        handler.close_connection = True

    return Receiver(respond=respond)


def test_what_is_there_is_fetched_and_kept(server: tuple[Receiver, Fetch]) -> None:
    receiver, fetch = server
    receiver.respond = _saying(_PEM).respond
    asked = Amazon(fetch)

    assert [asked.certificate(_url(receiver)) for _ in range(3)] == [_PEM] * 3
    assert [told.path for told in receiver.told] == ["/SimpleNotificationService-1.pem?a=b"]


def test_a_redirect_is_not_followed(server: tuple[Receiver, Fetch]) -> None:
    receiver, fetch = server
    receiver.respond = lambda handler: answer(handler, 302, Location=_url(receiver) + "2")

    with pytest.raises(Unreachable, match="302"):
        fetch(_url(receiver))
    assert len(receiver.told) == 1


def test_what_is_too_large_cut_short_or_missing_is_not_taken(server: tuple[Receiver, Fetch]) -> None:
    receiver, fetch = server

    for respond in (
        _saying(b"x" * 70_000).respond,
        _saying(b"x", length=10).respond,
        lambda handler: answer(handler, 404),
    ):
        receiver.respond = respond
        with pytest.raises(Unreachable):
            fetch(_url(receiver))


def test_nobody_is_trusted_whose_certificate_is_not(server: tuple[Receiver, Fetch]) -> None:
    receiver, fetch = server

    for fetching, host in ((https(ssl.create_default_context()), "localhost"), (fetch, "127.0.0.1")):
        with pytest.raises(Unreachable):
            fetching(_url(receiver, host))
    assert receiver.told == []


def test_what_is_no_certificate_is_not_kept(server: tuple[Receiver, Fetch]) -> None:
    receiver, fetch = server
    asked = Amazon(fetch)
    receiver.respond = _saying(b"<html>").respond
    with pytest.raises(Unreachable):
        asked.certificate(_url(receiver))

    receiver.respond = _saying(_PEM).respond

    assert asked.certificate(_url(receiver)) == _PEM


def test_an_answer_that_drips_is_given_up(tmp_path: Path) -> None:
    file, tls = certificate(tmp_path)
    fetch = https(ssl.create_default_context(cafile=file), patience=0.3)

    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        for _ in range(1000):
            handler.wfile.write(b"x")
            handler.wfile.flush()
            time.sleep(0.02)

    with (
        receiving(Receiver(tls=tls, respond=drip)) as receiver,
        pytest.raises(Unreachable, match="too long"),
    ):
        fetch(_url(receiver))


def test_where_nobody_listens_there_is_nothing() -> None:
    with pytest.raises(Unreachable):
        https(ssl.create_default_context())("https://127.0.0.1:1/x")

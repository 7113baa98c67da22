"""The worker's LMTP listener, spoken to as a mail system does, and the pipe."""

from __future__ import annotations

import contextlib
import signal
import smtplib
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from newsletter.mail.bounded import LARGEST
from tests.support.postgres import Postgres, free_port
from tests.support.returning import WITH_DOMAIN, dsn
from tests.support.service import Service, answers_on, eventually, process_environment


@pytest.fixture
def service(make_service: Callable[..., Service]) -> Service:
    return make_service("postgresql", NEWSLETTER_INBOUND_LISTEN=f"127.0.0.1:{free_port()}", **WITH_DOMAIN)


def _port(service: Service) -> int:
    assert service.settings.inbound_listen is not None
    return service.settings.inbound_listen[1]


@contextmanager
def _speaking(service: Service) -> Iterator[smtplib.LMTP]:
    with contextlib.closing(smtplib.LMTP("127.0.0.1", _port(service))) as client:
        client.ehlo("mta.example")
        yield client


def test_lmtp_takes_what_comes_back_and_refuses_what_it_cannot(service: Service, postgres: Postgres) -> None:
    ann, bob = (service.confirmed(f"{name}@example.org").sender for name in ("ann", "bob"))
    with service.process("worker"):
        eventually(lambda: answers_on(_port(service)))
        with _speaking(service) as client:
            assert client.mail("")[0] == 250
            assert client.rcpt("somebody@elsewhere.example")[0] == 550
            assert client.rcpt(ann)[0] == 250
            assert client.rcpt(bob)[0] == 452
            assert client.data(dsn()) == (250, b"2.0.0 suppressed")

            client.mail("")
            client.rcpt(ann)
            assert client.data(dsn()) == (250, b"2.0.0 replayed")

            # 50 MB, a line without end, and MIME made to hurt; the connection stays good.
            client.mail("")
            client.rcpt(bob)
            assert client.data((b"x" * 1022 + b"\r\n") * 50 * 1024)[0] == 552
            client.mail("")
            client.rcpt(bob)
            assert client.data(b"z" * (LARGEST - 10))[0] == 500
            assert client.mail("", [f"SIZE={LARGEST + 1}"])[0] == 552
            client.mail("")
            client.rcpt(bob)
            assert client.data(b"Content-Type: message/rfc822\r\n\r\n" * 2000) == (250, b"2.0.0 dead")

            with postgres.paused():
                client.mail("")
                client.rcpt(bob)
                code, said = client.data(dsn())
            assert (code, said[:5]) == (451, b"4.3.0")
            client.mail("")
            client.rcpt(bob)
            assert client.data(dsn()) == (250, b"2.0.0 suppressed")

    assert service.states() == {"ann@example.org": "bounced", "bob@example.org": "bounced"}


def test_connections_that_nobody_uses_leave_files_to_the_worker_and_later_ones_come_back(
    make_service: Callable[..., Service],
) -> None:
    service = make_service("sqlite", NEWSLETTER_INBOUND_LISTEN=f"127.0.0.1:{free_port()}", **WITH_DOMAIN)
    place = ("127.0.0.1", _port(service))
    with service.process("worker", files=120):
        eventually(lambda: answers_on(place[1]))
        with contextlib.ExitStack() as idle:
            said = []
            for _ in range(150):
                connection = idle.enter_context(socket.create_connection(place, timeout=60))
                said.append(connection.recv(4))
            service.sign_up("ann@example.org")
            eventually(lambda: len(service.sink.to("ann@example.org")) == 1)
        with _speaking(service) as client:
            client.mail("")
            client.rcpt(service.sink.to("ann@example.org")[0].sender)
            assert client.data(dsn()) == (250, b"2.0.0 suppressed")

    assert said.count(b"220 ") >= 49  # the first look at the port may have been one
    assert set(said) == {b"220 ", b"421 "}


def test_of_two_workers_one_listens_and_the_other_takes_over(service: Service) -> None:
    mail = service.confirmed()
    with service.process("worker") as first:
        eventually(lambda: answers_on(_port(service)))
        with service.process("worker") as second:
            first.send_signal(signal.SIGKILL)
            first.wait()
            eventually(lambda: answers_on(_port(service)))
            with _speaking(service) as client:
                assert client.sendmail("", [mail.sender], dsn()) == {}
            assert second.poll() is None

    assert service.states() == {"ann@example.org": "bounced"}


def _receive(
    service: Service, raw: bytes, *arguments: str, **environ: str
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "newsletter", "receive", *arguments],
        env=process_environment(service.environ | environ),
        input=raw,
        capture_output=True,
        timeout=180,
    )


@pytest.fixture
def piped(make_service: Callable[..., Service]) -> Service:
    return make_service("sqlite", **WITH_DOMAIN)


def test_a_pipe_tells_the_recipient_by_option_environment_or_header(piped: Service) -> None:
    ann, bob, eve = (piped.confirmed(f"{name}@example.org") for name in ("ann", "bob", "eve"))

    done = [
        _receive(piped, dsn(), "--recipient", ann.sender, "--sender", ""),
        _receive(piped, dsn(), ORIGINAL_RECIPIENT=bob.sender, SENDER=""),
        _receive(piped, f"Return-Path: <>\nDelivered-To: {eve.sender}\n".encode() + dsn()),
    ]

    assert [(run.returncode, run.stdout) for run in done] == [(0, b"")] * 3
    assert set(piped.states().values()) == {"bounced"}


def test_a_pipe_that_is_set_up_wrongly_keeps_the_mail(piped: Service) -> None:
    done = _receive(piped, dsn(), "--recipiend", "x@y")

    assert done.returncode == 75
    assert done.stderr.startswith(b"newsletter: No such option")
    assert done.stderr.count(b"\n") == 1


def test_a_pipe_takes_50_mb_and_lays_aside_their_beginning(piped: Service) -> None:
    mail = piped.confirmed()

    done = _receive(piped, b"Subject: x\r\n\r\n" + b"x" * (50 * 1024 * 1024), "--recipient", mail.sender)

    assert done.returncode == 0
    (letter,) = Path(piped.settings.dead_letters_dir).glob("*.eml")
    assert letter.stat().st_size < 70_000
    assert letter.stat().st_mode & 0o777 == 0o600
    assert piped.states() == {"ann@example.org": "confirmed"}

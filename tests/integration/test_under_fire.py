"""Real processes, real kills: what the service promises when things die or happen at once."""

from __future__ import annotations

import contextlib
import json
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from urllib.parse import urlencode

import pytest

from newsletter.file_limit import raise_file_limit
from tests.support.postgres import free_port
from tests.support.service import Service, answers, answers_on, eventually, process_environment


def _post(url: str, **fields: str) -> tuple[int, bytes]:
    request = urllib.request.Request(url, data=urlencode(fields).encode())
    with urllib.request.urlopen(request, timeout=180) as response:
        return response.status, response.read()


def test_fifty_sign_ups_of_one_address_on_two_processes_and_two_workers_cause_one_mail(
    make_service: Callable[..., Service],
) -> None:
    service = make_service("postgresql")
    with service.served("--workers", "2") as url, service.process("worker"):
        with ThreadPoolExecutor(50) as pool:
            answers = set(
                pool.map(
                    lambda _: _post(f"{url}/lists/daily/subscriptions", email="ann@example.org"), range(50)
                )
            )
        eventually(lambda: service.statuses() == ["sent"])

    assert len(answers) == 1
    assert service.counts() | {"consent_events": 0} == {
        "subscribers": 1, "subscriptions": 1, "consent_events": 0, "outbox": 1, "suppressions": 0,
    }  # fmt: skip
    assert len(service.sink.mails) == 1


def test_many_different_sign_ups_at_once_are_each_stored_and_mailed_once(service: Service) -> None:
    addresses = [f"u{number}@example.org" for number in range(120)]
    with service.served("--workers", "2") as url:
        with ThreadPoolExecutor(24) as pool:
            statuses = list(
                pool.map(lambda a: _post(f"{url}/lists/daily/subscriptions", email=a)[0], addresses * 2)
            )
        eventually(lambda: len(service.sink.mails) >= len(addresses))

    assert set(statuses) == {200}
    assert set(service.states()) == set(addresses)
    assert Counter(mail.recipient for mail in service.sink.mails) == dict.fromkeys(addresses, 1)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_s6_killing_the_worker_again_and_again_loses_no_mail_and_doubles_only_those_in_doubt(
    make_service: Callable[..., Service], kind: str
) -> None:
    service = make_service(kind, NEWSLETTER_OUTBOX_LEASE_SECONDS="1")
    chance = random.Random(8)
    # The relay takes its time over the answer, so that some kills fall between its yes and our commit.
    service.sink.on_data = lambda _mail: time.sleep(chance.uniform(0, 0.02))
    addresses: list[str] = []
    kills = 8
    for kill in range(kills):
        fresh = [f"u{kill}-{number}@example.org" for number in range(6)]
        for address in fresh:
            service.sign_up(address)
        addresses += fresh
        worker = subprocess.Popen(
            [sys.executable, "-m", "newsletter", "worker"],
            env=process_environment(service.environ),
            stderr=subprocess.DEVNULL,
        )
        seen = len(service.sink.mails)
        eventually(lambda: len(service.sink.mails) > seen, every=0.002)  # noqa: B023
        time.sleep(chance.uniform(0, 0.08))  # to die at any moment of its work
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    service.age(seconds=5)
    service.send_mail()

    copies = Counter(mail.recipient for mail in service.sink.mails)
    assert set(copies) == set(addresses)
    assert set(service.statuses()) == {"sent"}
    doubled = [address for address, number in copies.items() if number > 1]
    assert sum(copies.values()) - len(addresses) <= kills * service.settings.smtp_connections
    for address in doubled:
        assert len({mail.message["Message-ID"] for mail in service.sink.to(address)}) == 1


def test_a_worker_that_dies_is_replaced(on_sqlite: Service) -> None:
    with on_sqlite.served() as url:
        on_sqlite_worker = _worker_beside(url)
        subprocess.run(["kill", "-KILL", str(on_sqlite_worker)], check=True)
        _post(f"{url}/lists/daily/subscriptions", email="ann@example.org")
        eventually(lambda: len(on_sqlite.sink.to("ann@example.org")) == 1)
        assert _worker_beside(url) != on_sqlite_worker


def test_ending_the_server_ends_its_worker(on_sqlite: Service) -> None:
    with on_sqlite.served() as url:
        worker = _worker_beside(url)
    eventually(lambda: not _alive(worker))


def test_killing_the_server_ends_its_worker_and_its_web_processes(on_sqlite: Service) -> None:
    with on_sqlite.served() as url:
        worker = _worker_beside(url)
        parent = int(_ps("-o", "ppid=", "-p", str(worker)))

        def children_of_it() -> list[int]:
            return [int(pid) for pid in _ps("-o", "pid=", "--ppid", str(parent)).split()]

        eventually(lambda: len(children_of_it()) >= 3)
        children = children_of_it()
        subprocess.run(["kill", "-KILL", str(parent)], check=True)
        try:
            eventually(lambda: not any(map(_alive, children)))
        finally:
            for child in children:
                subprocess.run(["kill", "-KILL", str(child)], check=False, stderr=subprocess.DEVNULL)

    assert not answers_on(int(url.rpartition(":")[2]))


def _ps(*options: str) -> str:
    return subprocess.run(["ps", *options], capture_output=True, text=True, check=False).stdout.strip()


def _alive(pid: int) -> bool:
    state = _ps("-o", "stat=", "-p", str(pid))
    return bool(state) and not state.startswith("Z")


def _worker_beside(url: str) -> int:
    """The pid of the outbox worker that runs beside the server at `url`."""
    port = url.rpartition(":")[2]

    def find() -> list[int]:
        servers = {
            line.split(None, 1)[0]
            for line in _ps("-eo", "pid=,args=").splitlines()
            if f"serve --port {port}" in line
        }
        workers = [
            line.split(None, 2)
            for line in _ps("-eo", "pid=,ppid=,args=").splitlines()
            if "newsletter worker" in line
        ]
        return [int(pid) for pid, parent, _ in workers if parent in servers]

    eventually(find)
    return find()[0]


def test_a14_two_thousand_slow_clients_do_not_block_others(on_sqlite: Service) -> None:
    raise_file_limit()
    head = b"POST /lists/daily/subscriptions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n"
    addresses = [f"u{number}@example.org" for number in range(10)]
    with on_sqlite.served("--workers", "1", "--without-worker") as url, ExitStack() as slow:
        place = ("127.0.0.1", int(url.rpartition(":")[2]))
        for number in range(2000):
            connection = slow.enter_context(socket.create_connection(place))
            connection.sendall(head + b"\r\nema" if number % 2 else head)
        statuses = [_post(f"{url}/lists/daily/subscriptions", email=address)[0] for address in addresses]

    assert statuses == [200] * 10
    assert set(on_sqlite.states()) == set(addresses)


def test_a_web_process_that_has_no_file_left_refuses_serves_on_and_recovers(on_sqlite: Service) -> None:
    limit = "import resource, runpy; resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200)); runpy.run_module('newsletter', run_name='__main__')"
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        [sys.executable, "-c", limit, "serve", "--port", str(port), "--workers", "1"],
        env=process_environment(on_sqlite.environ | {"NEWSLETTER_BASE_URL": url}),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    try:
        eventually(lambda: process.poll() is None and answers(f"{url}/readyz"))
        with ExitStack() as idle:
            clients = [
                idle.enter_context(socket.create_connection(("127.0.0.1", port), timeout=60))
                for _ in range(250)
            ]
            for client in clients[-50:]:
                with contextlib.suppress(ConnectionResetError):  # it may come before the words
                    assert client.recv(20) in (b"HTTP/1.1 503 Service", b"")
            # One of those that are there is served, and its mail is sent.
            form = b"email=ann@example.org"
            clients[0].sendall(
                b"POST /lists/daily/subscriptions HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
                b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s"
                % (len(form), form)
            )
            assert clients[0].recv(12) == b"HTTP/1.1 200"
        eventually(lambda: answers(f"{url}/readyz"))
        assert _post(f"{url}/lists/daily/subscriptions", email="bob@example.org")[0] == 200
        eventually(lambda: {mail.recipient for mail in on_sqlite.sink.mails} == set(on_sqlite.states()))
    finally:
        process.terminate()
        _, log = process.communicate(timeout=60)

    assert set(on_sqlite.states()) == {"ann@example.org", "bob@example.org"}
    events = [json.loads(line)["event"] for line in log.splitlines()]
    assert events.count("too_many_connections") == 1
    assert not {"fault", "unavailable", "database_error"} & set(events)


def test_a_database_that_goes_away_gives_503_and_comes_back_by_itself(
    make_service: Callable[..., Service], postgres: object
) -> None:
    from tests.support.postgres import Postgres

    assert isinstance(postgres, Postgres)
    service = make_service("postgresql")
    service.sign_up("ann@example.org")
    with postgres.paused():
        page = service.sign_up("bob@example.org")
        script = service.client.post("/lists/daily/subscriptions", json={"email": "bob@example.org"})
        ready = service.client.get("/readyz")
        front = service.client.get("/")
        alive = service.client.get("/healthz")

    assert (page.status_code, script.status_code, ready.status_code, front.status_code) == (
        503,
        503,
        503,
        503,
    )
    assert "Retry-After" in page.headers
    assert json.loads(script.data)["status"] == 503
    assert alive.status_code == 200
    assert service.sign_up("bob@example.org").status_code == 200
    assert service.client.get("/readyz").status_code == 200
    assert set(service.states()) == {"ann@example.org", "bob@example.org"}


def test_one_faulty_sign_up_does_not_harm_those_that_are_written_with_it(service: Service) -> None:
    from newsletter.domain.addresses import Address, parse_address
    from newsletter.services.evidence import Seen
    from newsletter.services.sign_ups import SignUp
    from newsletter.services.subscribe import subscribe
    from newsletter.web.writer import Writer

    writer = Writer(service.app, service.settings)
    writer._turn.acquire()  # hold the line until all stand in it
    good = [SignUp("daily", parse_address(f"u{n}@example.org"), None, "en", Seen("form")) for n in range(4)]
    faulty = SignUp("daily", Address("x@example.org", None), None, "en", Seen("form"))  # type: ignore[arg-type]
    with ThreadPoolExecutor(5) as pool:
        futures = [pool.submit(writer.run, subscribe, item) for item in [*good[:2], faulty, *good[2:]]]
        eventually(lambda: len(writer._waiting) == 5)
        writer._turn.release()
        errors = [future.exception() for future in futures]

    assert [error is None for error in errors] == [True, True, False, True, True]
    assert len(service.states()) == 4

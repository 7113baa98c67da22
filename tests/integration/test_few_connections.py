"""A PostgreSQL server that has no connection left for us, or only a few."""

from __future__ import annotations

import contextlib
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from tests.support.api import caller, problem
from tests.support.operators import Console
from tests.support.service import Service, eventually, path

_ROLE = "few"


@pytest.fixture
def few(make_service: Callable[..., Service]) -> Iterator[Callable[..., Service]]:
    """Make a service whose database lets it have so many connections."""
    made = make_service("postgresql")
    owner = made.environ["NEWSLETTER_DATABASE_URL"]

    def make(allowed: int, **environ: str) -> Service:
        with psycopg.connect(owner, autocommit=True) as connection:
            connection.execute(f"CREATE ROLE {_ROLE} LOGIN CONNECTION LIMIT {allowed} IN ROLE postgres")
        url = owner.replace("postgres@", f"{_ROLE}@", 1)
        return Service(made.environ | environ | {"NEWSLETTER_DATABASE_URL": url}, made.sink)

    yield make
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", (_ROLE,)
        )
        connection.execute(f"DROP ROLE {_ROLE}")


def test_no_more_connections_are_opened_than_the_setting_allows(few: Callable[..., Service]) -> None:
    """Two web processes with four each: whoever comes beside them waits for one, and is answered."""
    service = few(8, NEWSLETTER_DATABASE_CONNECTIONS="4")
    with service.served("--workers", "2", "--without-worker") as url, ThreadPoolExecutor(24) as visitors:
        answers = list(
            visitors.map(
                lambda n: _sign_up(url, n) if n % 2 else _status(f"{url}/lists/daily"),
                range(120),
            )
        )
    assert set(answers) == {200}
    assert service.counts()["subscriptions"] == 60


def test_without_any_connection_nothing_is_lost_and_it_ends_by_itself(few: Callable[..., Service]) -> None:
    service = few(6, NEWSLETTER_DATABASE_CONNECTIONS="4")
    mail = service.confirmed("bob@example.org")
    service.close()
    with service.served("--workers", "1", "--without-worker") as url, contextlib.ExitStack() as others:
        _take_all(service, others)
        assert _status(f"{url}/healthz") == 200
        assert _status(f"{url}/readyz") == 503
        assert _sign_up(url, 1) == 503
        one_click = urllib.request.Request(
            url + path(mail.link("unsubscribe")), b"List-Unsubscribe=One-Click"
        )
        assert _status(one_click) == 200
        others.close()
        eventually(lambda: _status(f"{url}/readyz") == 200)
        eventually(lambda: _sign_up(url, 2) == 200)
    service.work()
    service.send_mail()
    assert service.states() == {"bob@example.org": "unsubscribed", "ann2@example.org": "pending"}


def test_readers_of_exports_leave_connections_to_everybody_else(few: Callable[..., Service]) -> None:
    """Who downloads holds a connection for as long as the download takes, which is theirs to choose."""
    service = few(8, NEWSLETTER_DATABASE_CONNECTIONS="8")
    service.sign_up("bob@example.org")
    call, owner = caller(service), Console.of(service, "owner@example.org")
    reading = [call.get("/lists/daily/export?state=pending", buffered=False) for _ in range(2)]
    refused = problem(call.get("/lists/daily/export?state=pending"), 503)
    assert refused["code"] == "busy"
    assert "2 for each web process" in refused["detail"]
    page = owner.post("/operator/lists/daily/exports", format="csv", states="pending")
    assert page.status_code == 503
    assert "Try again when one has ended, or use the command" in page.text
    assert service.sign_up("ann@example.org").status_code == 200
    for response in reading:
        response.close()  # unread
    rows = call.get("/lists/daily/export?state=pending").text.splitlines()
    assert len(rows) == 3
    assert call.get("/lists/daily/export?state=pending").status_code == 200


def _take_all(service: Service, others: contextlib.ExitStack) -> None:
    """Leave the service no connection: those that it has are ended, and somebody else takes them."""
    url = service.environ["NEWSLETTER_DATABASE_URL"]
    with psycopg.connect(url.replace(f"{_ROLE}@", "postgres@", 1), autocommit=True) as owner:
        for _ in range(100):
            owner.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE usename = %s AND application_name = 'newsletter'",
                (_ROLE,),
            )
            with contextlib.suppress(psycopg.OperationalError):
                while True:
                    others.enter_context(contextlib.closing(psycopg.connect(url)))
            ((ours,),) = owner.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE usename = %s AND application_name = 'newsletter'",
                (_ROLE,),
            ).fetchall()
            if not ours:
                return
    raise AssertionError("the service kept a connection")


def _sign_up(url: str, number: int) -> int:
    form = urllib.parse.urlencode({"email": f"ann{number}@example.org"}).encode()
    return _status(urllib.request.Request(f"{url}/lists/daily/subscriptions", form))


def _status(request: urllib.request.Request | str) -> int:
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code

"""Unsubscribing while the database is away: answered at once, done when it is back, once."""

from __future__ import annotations

import fcntl
import http.client
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from werkzeug.test import TestResponse

from newsletter.database import rfc3339
from newsletter.domain.ids import new_id
from newsletter.web import writer
from tests.integration.test_changing_address import ask, new_path
from tests.integration.test_own_page import ANN
from tests.support.people import Person, add_people
from tests.support.postgres import Postgres, free_port
from tests.support.service import Service, answers, answers_on, eventually, now, path, process_environment

ONE_CLICK = "List-Unsubscribe=One-Click"
Away = Callable[[Service], AbstractContextManager[None]]


@pytest.fixture
def away(request: pytest.FixtureRequest) -> Away:
    """The database of a service is away: PostgreSQL is stopped, somebody else holds SQLite."""

    @contextmanager
    def away(service: Service) -> Iterator[None]:
        if service.on_postgresql:
            server: Postgres = request.getfixturevalue("postgres")
            with server.paused():
                yield
        else:
            line = service.settings.data_dir / "newsletter.sqlite3-writers"
            with line.open("a") as held:
                fcntl.flock(held, fcntl.LOCK_EX)
                yield

    return away


def _folder(service: Service) -> Path:
    return service.settings.spool_dir


def _press(service: Service, url: str) -> TestResponse:
    return service.client.post(url, data=ONE_CLICK, headers={"User-Agent": "Mail/1.0"})


def _kept(service: Service) -> int:
    return len([file for file in _folder(service).iterdir() if not file.name.startswith(".")])


def _link(service: Service, email: str = "ann@example.org") -> str:
    return path(service.confirmed(email).link("unsubscribe"))


@contextmanager
def _hasty(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A database that is away is waited for only half a second, and then not asked again."""
    with monkeypatch.context() as hasty:
        hasty.setattr(writer, "_ONE_CLICK_PATIENCE", 0.5)
        hasty.setattr(writer, "_AWAY", 600.0)
        yield


def _forget_that_it_was_away(service: Service) -> None:
    service.app.extensions["newsletter.writer"]._away_until = 0.0


def test_the_database_is_not_waited_for_and_who_pressed_is_unsubscribed_when_it_is_back(
    service: Service, away: Away, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = _link(service)
    before = datetime.now(UTC)
    with away(service), _hasty(monkeypatch):
        answer = _press(service, url)
        # From here on, whoever waited at all would wait for long.
        monkeypatch.setattr(writer, "_ONE_CLICK_PATIENCE", 600.0)
        began = time.monotonic()
        again = _press(service, url)
        took = time.monotonic() - began
    after = datetime.now(UTC)
    service.work()

    _forget_that_it_was_away(service)
    usual = service.client.post("/unsubscribe/" + service.links.unsubscribe_token(new_id(now())))
    assert (answer.status_code, again.status_code) == (200, 200)
    assert (answer.data, dict(answer.headers)) == (usual.data, dict(usual.headers))
    assert took < 300
    assert service.states() == {"ann@example.org": "unsubscribed"}
    ((way, network, agent, at),) = service.rows(
        "SELECT way, network, agent, at FROM consent_events WHERE kind = 'unsubscribe'"
    )
    assert (way, network, agent) == ("one-click", "127.0.0.1", "Mail/1.0")
    assert rfc3339(before) < rfc3339(datetime.fromisoformat(str(at))) < rfc3339(after)
    assert service.one("SELECT unsubscribed_at FROM subscriptions") == at
    assert _kept(service) == 0


def test_the_page_behind_the_link_still_has_its_button(
    make_service: Callable[..., Service], postgres: Postgres
) -> None:
    service = make_service("postgresql")
    url = _link(service)
    with postgres.paused():
        page = service.client.get(url)
        pressed = service.client.post(url)
        page_again = service.client.get(url)
    service.work()

    assert (page.status_code, pressed.status_code) == (200, 200)
    assert page.text.count("<button") == 1
    assert page.data == page_again.data
    assert service.rows("SELECT way FROM consent_events WHERE kind = 'unsubscribe'") == [("page",)]


def test_one_click_that_stops_a_change_of_address_is_not_lost_either(
    service: Service, away: Away, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.confirmed(ANN)
    ask(service)
    url = new_path(service)
    with away(service), _hasty(monkeypatch):
        answer = _press(service, f"{url}/stop")
    _forget_that_it_was_away(service)
    assert answer.status_code == 200
    assert _kept(service) == 1

    service.send_mail()

    assert _kept(service) == 0
    assert service.client.post(url).status_code == 410
    assert service.states() == {ANN: "confirmed"}


def test_a_database_that_takes_calls_and_never_answers_is_not_waited_for(
    on_sqlite: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, _hasty(monkeypatch):
        url = f"postgresql://newsletter@127.0.0.1:{silent.getsockname()[1]}/newsletter"
        service = Service(on_sqlite.environ | {"NEWSLETTER_DATABASE_URL": url}, on_sqlite.sink)
        link = "/unsubscribe/" + service.links.unsubscribe_token(new_id(now()))
        first = _press(service, link)
        is_away = service.app.extensions["newsletter.writer"].is_away
        second = _press(service, link)

    assert (first.status_code, second.status_code) == (200, 200)
    assert is_away
    assert _kept(service) == 2


def test_a_token_that_nobody_signed_is_not_kept(
    make_service: Callable[..., Service], postgres: Postgres
) -> None:
    service = make_service("postgresql")
    url = _link(service)
    with postgres.paused():
        forged = _press(service, url[:-1] + ("A" if url[-1] != "A" else "B"))

    assert forged.status_code == 404
    assert not _folder(service).exists()


def _spooled(service: Service, url: str) -> None:
    """Press while the database is known to be away."""
    service.app.extensions["newsletter.writer"]._away_until = time.monotonic() + 600
    assert _press(service, url).status_code == 200
    _forget_that_it_was_away(service)


def test_a_mail_that_waits_does_not_go_out_first(service: Service) -> None:
    url = _link(service)
    service.age(minutes=11)
    service.sign_up("ann@example.org")
    _spooled(service, url)
    service.send_mail()

    assert len(service.sink.to("ann@example.org")) == 1
    assert service.states() == {"ann@example.org": "unsubscribed"}
    assert service.statuses() == ["sent", "cancelled"]


def test_who_presses_while_their_mail_is_on_its_way_does_not_get_it(service: Service) -> None:
    service.sign_up("ann@example.org")
    url = path(service.mail_to("ann@example.org")[0].link("unsubscribe"))
    service.age(minutes=11)
    service.sign_up("ann@example.org")
    service.sink.on_rcpt = lambda _recipient: _spooled(service, url)
    service.send_mail()

    assert len(service.sink.to("ann@example.org")) == 1
    assert service.statuses() == ["sent", "cancelled"]


def test_what_was_applied_before_the_worker_died_is_not_done_again(service: Service, tmp_path: Path) -> None:
    ann, bob = _link(service, "ann@example.org"), _link(service, "bob@example.org")
    _spooled(service, ann)
    _spooled(service, bob)
    shutil.copytree(_folder(service), tmp_path / "before")
    service.work()
    # Bob comes back; then a worker finds the records that the one who died had not removed.
    service.age(minutes=11)
    service.confirmed("bob@example.org")
    shutil.copytree(tmp_path / "before", _folder(service), dirs_exist_ok=True)
    service.work()

    assert service.states() == {"ann@example.org": "unsubscribed", "bob@example.org": "confirmed"}
    assert service.events().count("unsubscribe") == 2


def test_who_signed_up_again_since_stays(service: Service) -> None:
    url = _link(service)
    service.client.post(url)
    _spooled(service, url)
    service.age(minutes=11)
    service.sign_up("ann@example.org")
    service.work()

    assert service.states() == {"ann@example.org": "pending"}


def test_a_sign_up_by_somebody_else_does_not_undo_what_was_asked(service: Service) -> None:
    url = _link(service)
    _spooled(service, url)
    service.sign_up("ann@example.org")  # still confirmed: no new beginning
    service.work()

    assert service.states() == {"ann@example.org": "unsubscribed"}


def test_who_was_erased_meanwhile_holds_up_nobody(service: Service) -> None:
    url = _link(service, "bob@example.org")
    service.app.extensions["newsletter.writer"]._away_until = time.monotonic() + 600
    service.client.post("/unsubscribe/" + service.links.unsubscribe_token(new_id(now())))
    service.client.post(url)
    _forget_that_it_was_away(service)
    service.work()

    assert service.states() == {"bob@example.org": "unsubscribed"}
    assert _kept(service) == 0


def test_where_nothing_can_be_kept_either_that_is_said(on_sqlite: Service) -> None:
    url = _link(on_sqlite)
    on_sqlite.app.extensions["newsletter.writer"]._away_until = time.monotonic() + 600
    _folder(on_sqlite).touch()  # no folder
    answer = _press(on_sqlite, url)

    assert answer.status_code == 503
    assert "Retry-After" in answer.headers


def test_a_thousand_unsubscribe_while_postgresql_is_stopped_and_everything_is_killed(
    make_service: Callable[..., Service], postgres: Postgres
) -> None:
    service = make_service("postgresql")
    people = add_people(service, [Person(f"u{number}@example.org") for number in range(1000)])
    port = free_port()
    web = _start(service, "serve", "--port", str(port), "--without-worker")
    try:
        eventually(lambda: answers(f"http://127.0.0.1:{port}/readyz"))
        postgres.pause()
        links = ["/unsubscribe/" + service.links.unsubscribe_token(each) for each in people]
        with ThreadPoolExecutor(10) as pool:
            statuses = [
                s for part in pool.map(lambda n: _post_all(port, links[n::10]), range(10)) for s in part
            ]
    finally:
        _kill(web)
        postgres.resume()
    whole = sorted(_folder(service).glob("[0-9a-f]*"))
    torn = whole[-1].with_name("f" * 32)
    torn.write_bytes(whole[-1].read_bytes()[:100])
    worker = _start(service, "worker")
    eventually(
        lambda: service.one("SELECT count(*) FROM consent_events WHERE kind = 'unsubscribe'"), seconds=30
    )
    _kill(worker)  # in the middle of it, or just after
    with service.process("worker"):
        eventually(lambda: service.states() == dict.fromkeys(_addresses(), "unsubscribed"))
        eventually(lambda: _kept(service) == 1)

    assert statuses == [200] * 1000
    assert service.one("SELECT count(*) FROM consent_events WHERE kind = 'unsubscribe'") == 1000
    assert [file.name for file in (_folder(service) / "aside").iterdir()] == [torn.name]


def test_a_service_that_starts_while_postgresql_is_stopped_keeps_who_leaves_and_ends_what_they_hold_later(
    make_service: Callable[..., Service], postgres: Postgres
) -> None:
    service = make_service("postgresql")
    url = _link(service)
    port = free_port()
    postgres.pause()
    try:
        with service.process("serve", "--port", str(port)) as web:
            eventually(lambda: answers(f"http://127.0.0.1:{port}/healthz"))
            ready = answers(f"http://127.0.0.1:{port}/readyz")
            statuses = _post_all(port, [url])
            is_kept = _kept(service) == 1
            postgres.resume()
            eventually(lambda: answers(f"http://127.0.0.1:{port}/readyz"))
            eventually(lambda: service.states() == {"ann@example.org": "unsubscribed"})
            assert web.poll() is None
    finally:
        if not answers_on(postgres.port):
            postgres.resume()

    assert (ready, statuses, is_kept) == (False, [200], True)
    assert _kept(service) == 0


def test_a_worker_that_waits_for_its_database_finds_out_that_it_lacks_migrations(
    make_service: Callable[..., Service], postgres: Postgres
) -> None:
    service = make_service("postgresql")
    service.write("UPDATE alembic_version SET version_num = '0000'")
    with postgres.paused():
        worker = subprocess.Popen(
            [sys.executable, "-m", "newsletter", "worker"],
            env=process_environment(service.environ),
            stderr=subprocess.PIPE,
            text=True,
        )
        assert worker.stderr is not None
        first = worker.stderr.readline()
    said = worker.communicate(timeout=180)[1]

    assert '"starts_without_database"' in first
    assert worker.returncode == 1
    assert "newsletter db upgrade" in said.splitlines()[-1]


def _addresses() -> list[str]:
    return [f"u{number}@example.org" for number in range(1000)]


def _post_all(port: int, links: list[str]) -> list[int]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=180)
    statuses = []
    for link in links:
        connection.request("POST", link, ONE_CLICK, {"Content-Type": "application/x-www-form-urlencoded"})
        response = connection.getresponse()
        response.read()
        statuses.append(response.status)
    connection.close()
    return statuses


def _start(service: Service, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "newsletter", *arguments],
        env=process_environment(service.environ),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _kill(process: subprocess.Popen[bytes]) -> None:
    """kill -9, the process and its children."""
    children = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(process.pid)], capture_output=True, text=True
    )
    for pid in [process.pid, *map(int, children.stdout.split())]:
        subprocess.run(["kill", f"-{signal.SIGKILL.value}", str(pid)], check=False, stderr=subprocess.DEVNULL)
    process.wait()

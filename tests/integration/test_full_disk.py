"""A disk that is full, or takes nothing: under the database, the spool, the mailbox, an export, the logs."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from newsletter.extensions import db
from tests.support.service import Done, Service, eventually, path, process_environment


@contextmanager
def full(service: Service) -> Iterator[None]:
    """SQLite's file may not grow within the block: what SQLite says then is what it says of a full disk."""
    with service.app.app_context():
        engine = db.engine

    def limit(connection: Any, *_: Any) -> None:
        connection.execute("PRAGMA max_page_count=1")  # what is there already is the least

    engine.dispose()
    event.listen(engine, "connect", limit)
    try:
        # Until no page has room for one more row.
        for number in range(1000):
            if service.sign_up(f"fill-{number}@example.org").status_code == 503:
                break
        yield
    finally:
        event.remove(engine, "connect", limit)
        engine.dispose()


def test_a_full_disk_refuses_sign_ups_in_words_and_takes_them_when_there_is_room(on_sqlite: Service) -> None:
    mail = on_sqlite.confirmed("bob@example.org")
    with full(on_sqlite):
        before = on_sqlite.counts()
        answer = on_sqlite.sign_up("ann@example.org")
        assert answer.status_code == 503
        assert "Nothing can be stored right now" in answer.text
        assert answer.headers["Retry-After"]
        assert on_sqlite.counts() == before
        # Who leaves is not asked to come back: the spool may lie on another disk, and needs little.
        assert on_sqlite.client.post(path(mail.link("unsubscribe"))).status_code == 200
        assert on_sqlite.client.get("/lists/daily").status_code == 200
    on_sqlite.work()
    assert on_sqlite.states()["bob@example.org"] == "unsubscribed"
    assert on_sqlite.sign_up("ann@example.org").status_code == 200
    assert "ann@example.org" in on_sqlite.states()


def _limited(service: Service, *arguments: str, largest_file: int | None = None, stderr: Any = None) -> Done:
    """Run `newsletter …` where no file may become larger than so many bytes, as on a disk that is full."""

    def limit() -> None:
        if largest_file is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))

    return subprocess.run(
        [sys.executable, "-m", "newsletter", *arguments],
        env=process_environment(service.environ),
        stdout=subprocess.PIPE,
        stderr=stderr or subprocess.PIPE,
        text=True,
        timeout=180,
        check=False,
        preexec_fn=limit,
    )


def test_a_mailbox_on_a_full_disk_delays_mail_and_loses_none(make_service: Callable[..., Service]) -> None:
    service = make_service("postgresql", NEWSLETTER_SMTP_URL="")
    service.sign_up("ann@example.org")
    ended = _limited(service, "worker", "--once", largest_file=512)
    assert ended.returncode == 1
    assert "mail cannot be kept in" in ended.stderr
    assert service.statuses() == ["queued"]
    assert _limited(service, "worker", "--once").returncode == 0
    assert service.statuses() == ["sent"]
    assert len(list((service.settings.mailbox_dir / "new").iterdir())) == 1


def test_an_export_to_a_full_disk_says_so_and_leaves_no_file(
    make_service: Callable[..., Service], tmp_path: Path
) -> None:
    service = make_service("postgresql")
    for number in range(20):
        service.sign_up(f"ann{number}@example.org")
    output = tmp_path / "out" / "all.csv"
    output.parent.mkdir()
    ended = _limited(service, "export", "daily", "--state", "all", "--output", str(output), largest_file=512)
    assert ended.returncode == 1
    assert f"{output} cannot be written: File too large" in ended.stderr
    assert list(output.parent.iterdir()) == []


@pytest.mark.parametrize("to", ["/dev/full", "closed"])
def test_a_log_that_cannot_be_written_stops_no_mail_and_doubles_none(on_sqlite: Service, to: str) -> None:
    for number in range(3):
        on_sqlite.sign_up(f"ann{number}@example.org")
    if to == "closed":
        # As where the program that reads the logs has ended.
        reader = subprocess.Popen(["true"], stdin=subprocess.PIPE)
        reader.wait()
        assert reader.stdin is not None
        with reader.stdin as stderr:
            _limited(on_sqlite, "worker", "--once", stderr=stderr)
    else:
        with Path(to).open("wb") as stderr:
            _limited(on_sqlite, "worker", "--once", stderr=stderr)
    assert on_sqlite.statuses() == ["sent"] * 3
    assert len(on_sqlite.sink.mails) == 3


def test_a_worker_goes_on_where_its_log_cannot_be_written(on_sqlite: Service) -> None:
    with (
        Path("/dev/full").open("wb") as full_log,
        subprocess.Popen(
            [sys.executable, "-m", "newsletter", "worker"],
            env=process_environment(on_sqlite.environ),
            stdout=subprocess.DEVNULL,
            stderr=full_log,
        ) as worker,
    ):
        for number in range(2):
            on_sqlite.sign_up(f"ann{number}@example.org")
            eventually(lambda number=number: on_sqlite.statuses() == ["sent"] * (number + 1))  # type: ignore[misc]
        assert worker.poll() is None
        worker.terminate()


def test_a_database_that_can_only_be_read_is_not_ready(make_service: Callable[..., Service]) -> None:
    service = make_service("postgresql")
    assert service.client.get("/readyz").status_code == 200
    name = service.one("SELECT current_database()")
    service.write(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    with service.app.app_context():
        db.engine.dispose()
    assert service.client.get("/readyz").status_code == 503
    assert service.sign_up().status_code == 503
    assert service.client.get("/lists/daily").status_code == 200

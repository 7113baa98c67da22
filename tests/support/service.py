"""The service under test: in this process for most tests, as real processes where that is the point."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from click.testing import CliRunner
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text
from werkzeug.test import TestResponse

from newsletter import create_app, create_core
from newsletter.cli import group, run
from newsletter.database import rfc3339
from newsletter.domain.links import Links
from newsletter.extensions import db
from newsletter.mail.compose import Composer
from newsletter.mail.worker import Worker
from newsletter.parts import parts
from newsletter.settings import Settings
from newsletter.work import errands
from newsletter.work.errands import run_once
from tests.support.postgres import free_port
from tests.support.smtp import Received, Sink

# A moment's place in each table, for `age`.
_MOMENTS = {
    "outbox": ("next_attempt_at", "created_at", "sent_at"),
    "subscriptions": ("created_at", "asked_at", "confirmed_at", "unsubscribed_at"),
    "consent_events": ("at",),
}

Done = subprocess.CompletedProcess[str]
# Every service that a test made, to be closed at its end.
MADE: list[Service] = []


@dataclass
class Service:
    """One service on one database, with the SMTP server that its mail goes to."""

    environ: dict[str, str]
    sink: Sink
    app: Flask = field(init=False)

    def __post_init__(self) -> None:
        self.app = create_app(Settings.from_environment(self.environ))
        MADE.append(self)

    def close(self) -> None:
        """Give back what it holds of the database."""
        self.app.extensions["newsletter.scans"].add()
        for app in (self.app, *([self._core] if "_core" in vars(self) else [])):
            with app.app_context():
                db.session.remove()
                db.engine.dispose()

    @cached_property
    def _core(self) -> Flask:
        """What commands run on: no pages."""
        return create_core(Settings.from_environment(self.environ))

    @property
    def settings(self) -> Settings:
        with self.app.app_context():
            return parts().settings

    @property
    def links(self) -> Links:
        with self.app.app_context():
            return parts().links

    @property
    def client(self) -> FlaskClient:
        return self.app.test_client()

    @property
    def on_postgresql(self) -> bool:
        return not self.settings.on_sqlite

    # What visitors and mail systems do

    def sign_up(self, email: str = "ann@example.org", slug: str = "daily", **more: Any) -> TestResponse:
        """What the form sends."""
        return self.client.post(f"/lists/{slug}/subscriptions", data={"email": email, **more})

    def send_mail(self) -> None:
        """What `newsletter worker --once` does."""
        settings = self.settings
        Worker(self.app, settings, Composer(settings, self.links), threading.Event()).run(once=True)

    def work(self) -> None:
        """What the worker does beside sending mail, until nothing is left."""
        run_once(errands(self.app, self.settings), threading.Event())

    def mail_to(self, address: str = "ann@example.org") -> list[Received]:
        """All mail that an address got, what is due included."""
        self.send_mail()
        return self.sink.to(address)

    def confirmed(self, email: str = "ann@example.org", slug: str = "daily") -> Received:
        """Sign up, open the mail, press the button; returns that mail."""
        self.sign_up(email, slug)
        mail = self.mail_to(email)[-1]
        assert self.client.post(path(mail.link("confirm"))).status_code == 200
        return mail

    # What is stored

    def rows(self, sql: str, **values: Any) -> list[Any]:
        """Rows of the database, read afresh."""
        with self.app.app_context(), db.engine.connect() as connection:
            return list(connection.execute(text(sql), values).all())

    def one(self, sql: str, **values: Any) -> Any:
        """The single value that a query gives."""
        ((value,),) = self.rows(sql, **values)
        return value

    def write(self, sql: str, **values: Any) -> None:
        with self.app.app_context():
            db.session.execute(text(sql), values)
            db.session.commit()

    def states(self) -> dict[str, str]:
        """Every subscriber's state on the list `daily`."""
        found = self.rows(
            "SELECT p.address, s.state FROM subscriptions s JOIN subscribers p ON p.id = s.subscriber_id "
            "JOIN mailing_lists l ON l.id = s.list_id WHERE l.slug = 'daily'"
        )
        return dict(found)

    def events(self) -> list[str]:
        """The kinds of all consent events, in their order."""
        return [kind for (kind,) in self.rows("SELECT kind FROM consent_events ORDER BY id")]

    def statuses(self) -> list[str]:
        """The status of every message in the outbox, in the order in which they were made."""
        return [status for (status,) in self.rows("SELECT status FROM outbox ORDER BY id")]

    def counts(self) -> dict[str, int]:
        """How many rows each table holds."""
        tables = ("subscribers", "subscriptions", "consent_events", "outbox", "suppressions")
        return {table: self.one(f"SELECT count(*) FROM {table}") for table in tables}

    def age(self, **by: float) -> None:
        """Let time pass for all that is stored."""
        # An idempotency key names a stretch of time too.
        self.write("UPDATE outbox SET idempotency_key = 'aged ' || CAST(id AS VARCHAR)")
        for table, columns in _MOMENTS.items():
            keys = self.rows(f"SELECT id, {', '.join(columns)} FROM {table}")
            for key, *moments in keys:
                for column, moment in zip(columns, moments, strict=True):
                    if moment is None:
                        continue
                    then = datetime.fromisoformat(str(moment)) - timedelta(**by)
                    value = then if self.on_postgresql else rfc3339(then)
                    self.write(f"UPDATE {table} SET {column} = :value WHERE id = :key", value=value, key=key)

    def command(self, *arguments: str, check: bool = True, **environ: str) -> Done:
        """Run `newsletter …` in this process, where nothing depends on its being one of its own."""

        def make() -> Flask:
            return create_core(Settings.from_environment(self.environ | environ)) if environ else self._core

        code, umask, handlers = 0, os.umask(0o022), logging.root.handlers[:]
        with CliRunner().isolation() as (out, err, _):
            try:
                run(lambda: group(make).main(list(arguments), prog_name="newsletter"))
            except SystemExit as end:
                code = int(end.code or 0)
            finally:
                os.umask(umask)
                logging.root.handlers[:] = handlers
        written = [stream.getvalue().decode().replace("\r\n", "\n") for stream in (out, err)]
        done = Done(arguments, code, *written)
        if check:
            done.check_returncode()
        return done

    # As real processes

    def as_process(self, *arguments: str, check: bool = True, **environ: str) -> Done:
        """Run `newsletter …` as its own process."""
        return subprocess.run(
            [sys.executable, "-m", "newsletter", *arguments],
            env=process_environment(self.environ | environ),
            capture_output=True,
            text=True,
            timeout=180,
            check=check,
        )

    @contextmanager
    def process(
        self, *arguments: str, files: int | None = None, **environ: str
    ) -> Iterator[subprocess.Popen[bytes]]:
        """`newsletter …` as a process that is ended when the block ends, and may open so many `files`."""
        limited = (
            f"import resource, runpy; resource.setrlimit(resource.RLIMIT_NOFILE, ({files}, {files})); "
            "runpy.run_module('newsletter', run_name='__main__')"
        )
        process = subprocess.Popen(
            [sys.executable, *(["-m", "newsletter"] if files is None else ["-c", limited]), *arguments],
            env=process_environment(self.environ | environ),
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    @contextmanager
    def served(self, *options: str, **environ: str) -> Iterator[str]:
        """The real server on a free port; gives its address."""
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        environ = {"NEWSLETTER_BASE_URL": url, **environ}
        with self.process("serve", "--port", str(port), *options, files=None, **environ) as process:
            eventually(lambda: process.poll() is None and answers(f"{url}/readyz"))
            yield url


def process_environment(own: dict[str, str]) -> dict[str, str]:
    """The environment of a child process: this one's, without settings that are not the test's."""
    outer = {key: value for key, value in os.environ.items() if not key.startswith("NEWSLETTER_")}
    return outer | own


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def answers_on(port: int) -> bool:
    """Whether something listens on a port of this machine."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True


def eventually(condition: Callable[[], object], *, seconds: float = 120, every: float = 0.05) -> None:
    """Wait until something holds, looking again `every` so many seconds; fail where it does not hold in time. A busy
    machine is slow, not wrong, and who waits less gains nothing: the bound is for what never comes."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(every)


def path(url: str) -> str:
    """The path of a link in a mail."""
    match = re.match(r"https?://[^/]+(/.*)", url)
    assert match
    return match[1]


def now() -> datetime:
    return datetime.now(UTC)


def environment(folder: Path, sink: Sink, database_url: str | None) -> dict[str, str]:
    """The settings of a service under test."""
    environ = {
        "NEWSLETTER_DATA_DIR": str(folder),
        "NEWSLETTER_SMTP_URL": sink.url,
        "NEWSLETTER_MAIL_FROM": "Daily News <news@news.example>",
        "NEWSLETTER_BASE_URL": "https://news.example",
        "NEWSLETTER_SECRET_KEYS": "k" * 40,
        "NEWSLETTER_SIGNUP_LIMIT": "off",
        "NEWSLETTER_SQLITE_SYNCHRONOUS": "normal",
    }
    if database_url is not None:
        environ["NEWSLETTER_DATABASE_URL"] = database_url
    return environ

"""Fixtures: a test gets a service on a fresh database, on SQLite and on PostgreSQL unless it says otherwise."""

from __future__ import annotations

import gc
import itertools
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import flask_migrate
import pytest
from argon2 import PasswordHasher
from hypothesis import HealthCheck, settings

from newsletter.cli.serving import FIRST_LIST
from newsletter.database import write_transaction
from newsletter.domain import passwords
from newsletter.extensions import db
from newsletter.paths import MIGRATIONS
from newsletter.services import lists
from tests.support import postgres as pg
from tests.support import redis
from tests.support.service import MADE, Service, environment, now
from tests.support.smtp import Sink

_ANYHOW = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
# The same examples in every run. `--hypothesis-profile=explore` draws others.
settings.register_profile("suite", deadline=None, derandomize=True, suppress_health_check=_ANYHOW)
settings.register_profile("explore", deadline=None, suppress_health_check=_ANYHOW)
settings.load_profile("suite")
_numbers = itertools.count()


def pytest_collection_finish() -> None:
    """Each test makes a service of its own: what was there before them all need not be looked through again and
    again for garbage."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 10, 10)


@pytest.fixture(autouse=True)
def _quick_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashing a password takes a tenth of a second on purpose; that it does is tested by itself."""
    monkeypatch.setattr(passwords, "_hasher", PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in [name for name in os.environ if name.startswith("NEWSLETTER_")]:
        monkeypatch.delenv(variable)


@pytest.fixture(autouse=True)
def _own_logging() -> Iterator[None]:
    """`create_app` sends logs to standard error; pytest's own handlers come back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


@pytest.fixture(autouse=True)
def _close_services() -> Iterator[None]:
    yield
    _close_all()


def _close_all() -> None:
    while MADE:
        MADE.pop().close()


@pytest.fixture(scope="session")
def postgres() -> Iterator[pg.Postgres]:
    """A PostgreSQL server for this run."""
    if pg.binaries() is None:
        if os.environ.get("CI"):
            pytest.fail(pg.HOW_TO_GET)
        pytest.skip(pg.HOW_TO_GET)
    server = pg.Postgres.start()
    yield server
    server.remove()


@pytest.fixture
def redis_url() -> Iterator[str]:
    if redis.executable() is None:
        if os.environ.get("CI"):
            pytest.fail(redis.HOW_TO_GET)
        pytest.skip(redis.HOW_TO_GET)
    with redis.running() as url:
        yield url


@pytest.fixture
def sink() -> Iterator[Sink]:
    """A real SMTP server."""
    sink = Sink()
    sink.start()
    yield sink
    sink.stop()


def _migrate(service: Service) -> None:
    with service.app.app_context():
        flask_migrate.upgrade(directory=str(MIGRATIONS))
        with write_transaction(db.session()):
            lists.add(db.session(), now(), **FIRST_LIST)
        db.session.remove()
        db.engine.dispose()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite database, to be copied."""
    folder = tmp_path_factory.mktemp("template")
    _migrate(Service(environment(folder, Sink(), None), Sink()))
    return folder / "newsletter.sqlite3"


@pytest.fixture(scope="session")
def postgres_template(postgres: pg.Postgres, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of a migrated PostgreSQL database, to be copied."""
    folder = tmp_path_factory.mktemp("template-pg")
    _migrate(Service(environment(folder, Sink(), postgres.make("template_newsletter")), Sink()))
    return "template_newsletter"


@pytest.fixture
def make_service(
    request: pytest.FixtureRequest, tmp_path: Path, sink: Sink
) -> Iterator[Callable[..., Service]]:
    """Make a service on a fresh database of a kind: `make_service("sqlite", NEWSLETTER_…="…")`."""
    databases: list[tuple[pg.Postgres, str]] = []

    def make(kind: str, **environ: str) -> Service:
        folder = tmp_path / f"data-{next(_numbers)}"
        folder.mkdir()
        url = None
        if kind == "sqlite":
            shutil.copy(request.getfixturevalue("sqlite_template"), folder / "newsletter.sqlite3")
        else:
            template = request.getfixturevalue("postgres_template")
            server: pg.Postgres = request.getfixturevalue("postgres")
            name = f"test_{next(_numbers)}"
            url = server.make(name, template=template)
            databases.append((server, name))
        return Service(environment(folder, sink, url) | environ, sink)

    yield make
    _close_all()
    for server, name in databases:
        server.drop(name)


@pytest.fixture(params=["sqlite", "postgresql"])
def service(request: pytest.FixtureRequest, make_service: Callable[..., Service]) -> Service:
    """A service on each database."""
    return make_service(request.param)


@pytest.fixture
def on_sqlite(make_service: Callable[..., Service]) -> Service:
    """A service on SQLite, for what has nothing to do with the database."""
    return make_service("sqlite")

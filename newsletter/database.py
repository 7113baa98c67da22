"""What both databases need to behave alike: how a transaction begins, who may write, how time is kept.

SQLite has one writer at a time. Left to itself it lets writers poll for the lock, which stalls some of
them for seconds; here they stand in line (a lock inside the process, a file lock between processes)
and every writing transaction takes the database's lock at its start.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import (
    JSON,
    TIMESTAMP,
    Connection,
    Dialect,
    Engine,
    MetaData,
    String,
    Table,
    event,
    make_url,
    text,
)
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import DeclarativeBase, Session, registry
from sqlalchemy.types import TypeDecorator, TypeEngine

from newsletter.paths import MIGRATIONS
from newsletter.settings import Settings

_BEGIN = "newsletter_begin"
_PATIENCE_WITH_READERS = 5.0  # seconds
# By the file: two databases in one process have nothing to wait for.
_process_locks: dict[str, threading.Lock] = {}


class DatabaseNotReady(Exception):
    """The database does not answer, or is not at the newest migration. The message is one line."""


class DatabaseAway(DatabaseNotReady):
    """The database does not answer: trying again may be the answer."""


class Conflict(Exception):
    """Another transaction changed what this one relied on: trying again is the answer."""


class UtcDateTime(TypeDecorator[datetime]):
    """An aware moment in UTC. SQLite keeps it as RFC 3339 text of one width, which sorts by time."""

    impl = TIMESTAMP(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "sqlite":
            return dialect.type_descriptor(String(27))
        return dialect.type_descriptor(TIMESTAMP(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment without a time zone cannot be stored")
        return rfc3339(value) if dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        if value is None:
            return None
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        return moment.astimezone(UTC)


def rfc3339(moment: datetime) -> str:
    """A moment as RFC 3339 in UTC with microseconds, such as 2026-01-31T08:00:00.000000Z."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


class Base(DeclarativeBase):
    """The base of all tables: named constraints, so that every migration can name what it changes."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    registry = registry(
        metadata=metadata,
        type_annotation_map={datetime: UtcDateTime(), dict[str, Any]: JSON(), list[str]: JSON()},
    )


def canonical_json(value: Any) -> str:
    """JSON that is the same text wherever it is written: exports of both databases agree on it."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def engine_options(settings: Settings) -> dict[str, Any]:
    """Options for `create_engine`, per database."""
    if settings.on_sqlite:
        # isolation_level=None: the driver must not begin transactions of its own (see _prepare_sqlite).
        own: dict[str, Any] = {"connect_args": {"isolation_level": None, "timeout": 10}}
    else:
        own = {
            "connect_args": {
                "connect_timeout": 5,
                "application_name": "newsletter",
                # A server that is gone without a word is given up, rather than waited for by the hour.
                "tcp_user_timeout": 10_000,
                "keepalives_idle": 10,
                "keepalives_interval": 5,
                "keepalives_count": 2,
            },
            "pool_pre_ping": True,
        }
    lasting = min(8, settings.database_connections)  # those beyond are given up when they are not needed
    return {
        "json_serializer": canonical_json,
        "pool_size": lasting,
        "max_overflow": settings.database_connections - lasting,
        "pool_timeout": 10,
    } | own


def prepare_engine(engine: Engine, settings: Settings) -> None:
    """Attach what every connection of this engine needs."""
    if engine.dialect.name == "sqlite":
        _prepare_sqlite(engine, settings)
    else:
        event.listen(engine, "connect", _plan_anew)


def _plan_anew(connection: Any, _record: Any) -> None:
    """A plan that PostgreSQL kept from when the tables were small scans them whole when they are large."""
    connection.execute("SET plan_cache_mode = force_custom_plan")
    connection.commit()


def _prepare_sqlite(engine: Engine, settings: Settings) -> None:
    @event.listens_for(engine, "connect")
    def set_pragmas(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        # FULL: a consent that was answered for survives a power cut.
        cursor.execute(f"PRAGMA synchronous={settings.sqlite_synchronous}")
        cursor.execute("PRAGMA foreign_keys=ON")
        # What is removed is overwritten: who was erased stands in no free page either.
        cursor.execute("PRAGMA secure_delete=ON")
        cursor.execute("PRAGMA cache_size=-4000")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A deferred BEGIN that writes later fails at once with "database is locked", whatever the timeout.
        connection.exec_driver_sql(connection.get_execution_options().get(_BEGIN, "BEGIN"))


@contextmanager
def write_transaction(session: Session) -> Iterator[None]:
    """One transaction that may write: committed at the end of the block, rolled back by an error in it."""
    engine = session.get_bind()
    assert isinstance(engine, Engine)
    session.rollback()
    with _writers_line(engine):
        try:
            session.connection(execution_options={_BEGIN: "BEGIN IMMEDIATE"})
            yield
            session.commit()
        except BaseException:
            session.rollback()
            raise


@contextmanager
def snapshot(engine: Engine) -> Iterator[Connection]:
    """A connection that sees the database as it is at its first statement, until the end."""
    with engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            connection = connection.execution_options(  # noqa: PLW2901
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
        with connection.begin():
            yield connection


@contextmanager
def transaction_on(connection: Connection, *, writing: bool) -> Iterator[None]:
    """A transaction on a connection whose temporary tables are needed. Only one that is `writing` waits for
    its turn on SQLite; another may write to temporary tables alone."""
    with _writers_line(connection.engine) if writing else nullcontext():
        connection.execution_options(**{_BEGIN: "BEGIN IMMEDIATE" if writing else "BEGIN"})
        try:
            with connection.begin():
                yield
        finally:
            connection.execution_options(**{_BEGIN: "BEGIN"})


def database_now(session: Session) -> datetime:
    """The time by which leases are counted: the database's own where workers on several machines share it."""
    if session.get_bind().dialect.name == "postgresql":
        moment = session.scalar(text("SELECT clock_timestamp()"))
        assert isinstance(moment, datetime)
        return moment.astimezone(UTC)
    return datetime.now(UTC)


@contextmanager
def _writers_line(engine: Engine) -> Iterator[None]:
    """Wait for one's turn to write to SQLite; PostgreSQL lets many write at once."""
    path = engine.url.database
    if engine.dialect.name != "sqlite" or not path or path == ":memory:":
        yield
        return
    with _process_locks.setdefault(path, threading.Lock()):
        try:
            file = open(f"{path}-writers", "a", opener=owner_only)  # noqa: SIM115
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError as error:
            raise DatabaseNotReady(f"the database cannot be written to: {error.strerror}") from error
        with file:
            yield


def owner_only(path: str, flags: int) -> int:
    """An opener for files that nobody but their owner may read."""
    return os.open(path, flags, 0o600)


def prepare_file(settings: Settings) -> None:
    """Make the file of an SQLite database, for its owner only; SQLite gives its other files the same mode."""
    path = make_url(settings.database_url).database
    if settings.on_sqlite and path:
        with open(path, "a", opener=owner_only):
            pass


def empty_log(engine: Engine) -> None:
    """Wait a moment for SQLite's log of writes to be empty: where somebody reads all the time it grows on."""
    end = time.monotonic() + _PATIENCE_WITH_READERS
    while not drop_old_pages(engine) and time.monotonic() < end:
        time.sleep(0.05)


def drop_old_pages(engine: Engine) -> bool:
    """Let no page stay that was replaced: SQLite keeps them beside the database, in its log of writes. Where
    somebody reads at this moment, they stay until the next time. PostgreSQL sees to that itself (VACUUM).
    Returns whether none is left."""
    if engine.dialect.name != "sqlite":
        return True
    with engine.connect() as connection:
        raw = connection.connection.driver_connection
        assert raw is not None
        # Not to wait: writers would wait along.
        (patience,) = raw.execute("PRAGMA busy_timeout").fetchone()
        raw.execute("PRAGMA busy_timeout=0")
        try:
            with suppress(connection.dialect.loaded_dbapi.OperationalError):
                (busy, _, _) = raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                return not busy
        finally:
            raw.execute(f"PRAGMA busy_timeout={int(patience)}")
    return False


def table_of(model: type[Base]) -> Table:
    """The table of a model, for statements that hot paths build once and run as Core."""
    table = model.__table__
    assert isinstance(table, Table)
    return table


def is_disconnect(error: SQLAlchemyError) -> bool:
    """Whether the database itself is away, rather than the statement being at fault."""
    cause = getattr(error, "orig", None)
    state = getattr(cause, "sqlstate", None) or ""
    if getattr(error, "connection_invalidated", False) or state.startswith(("08", "57P", "53")):
        return True
    if cause is not None and type(cause).__module__.startswith("psycopg"):
        return not state  # psycopg could not even ask
    return (
        "unable to open database" in str(cause) or "disk I/O error" in str(cause) or "readonly" in str(cause)
    )


def is_in_models(item: object, name: str | None, *_: object) -> bool:  # noqa: ARG001
    """Whether a table or an index is in the models: the search has its own on each database, in the
    migrations."""
    return not (name or "").startswith(("subscribers_search", "subscriber_numbers", "ix_subscribers_search"))


def migration_config() -> Config:
    """Alembic's configuration for the migrations that this version brings."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config


def newest_migration() -> str | None:
    """The revision that this version of the code needs."""
    return ScriptDirectory.from_config(migration_config()).get_current_head()


def check_ready(engine: Engine, *, head: str | None) -> None:
    """Raise `DatabaseNotReady` unless the database answers and is at migration `head`; where it is away,
    `DatabaseAway`."""
    where = engine.url.render_as_string(hide_password=True)
    if engine.dialect.name == "sqlite" and engine.url.database and not Path(engine.url.database).exists():
        raise DatabaseNotReady(f"there is no database at {engine.url.database} yet: run `newsletter init`")
    try:
        with engine.connect() as connection:
            current = MigrationContext.configure(connection).get_current_revision()
            connection.execute(text("SELECT 1"))
    except SQLAlchemyError as error:
        kind = DatabaseAway if is_disconnect(error) else DatabaseNotReady
        raise kind(f"the database at {where} does not answer: {first_line(error)}") from error
    if current != head:
        raise DatabaseNotReady(
            f"the database at {where} is at migration {current or 'none'}, this version needs {head}: "
            "run `newsletter db upgrade`"
        )


def check_writable(engine: Engine) -> None:
    """Raise `DatabaseNotReady` where the database can only be read: its disk takes nothing (the system makes
    a faulty one read-only), or the server is a standby."""
    if engine.dialect.name == "sqlite":
        path = Path(engine.url.database or "")
        writable = os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
    else:
        with engine.connect() as connection:
            writable = connection.scalar(text("SHOW transaction_read_only")) == "off"
    if not writable:
        raise DatabaseNotReady("the database can only be read")


def first_line(error: Exception) -> str:
    """What the driver said, in one line."""
    said = str(getattr(error, "orig", None) or error).strip()
    return said.splitlines()[0] if said else type(error).__name__

"""Migrations: one head, they make what the models say, and they go both ways on both databases."""

from __future__ import annotations

from collections.abc import Callable

import flask_migrate
import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text
from sqlalchemy.exc import IntegrityError

from newsletter.database import is_in_models, migration_config
from newsletter.extensions import db
from newsletter.paths import MIGRATIONS
from tests.support.service import Service


def test_there_is_one_head() -> None:
    assert len(ScriptDirectory.from_config(migration_config()).get_heads()) == 1


def test_the_migrated_database_is_what_the_models_say(service: Service) -> None:
    with service.app.app_context(), db.engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "include_object": is_in_models}
        )
        assert compare_metadata(context, db.metadata) == []


def test_down_and_up_again_leaves_a_database_that_works(service: Service) -> None:
    with service.app.app_context():
        flask_migrate.downgrade(directory=str(MIGRATIONS), revision="base")
        assert set(inspect(db.engine).get_table_names()) <= {"alembic_version"}
        flask_migrate.upgrade(directory=str(MIGRATIONS))
    service.as_process("init")
    service.confirmed("ann@example.org")

    assert service.states() == {"ann@example.org": "confirmed"}


def test_references_are_enforced(service: Service) -> None:
    service.confirmed("ann@example.org")
    service.write("DELETE FROM subscribers")

    assert service.counts() | {"consent_events": 0} == {
        "subscribers": 0, "subscriptions": 0, "consent_events": 0, "outbox": 0, "suppressions": 0,
    }  # fmt: skip


def test_a_migration_waits_for_a_long_read_no_longer_than_visitors_can(
    make_service: Callable[..., Service],
) -> None:
    service = make_service("postgresql")
    service.confirmed("ann@example.org")
    service.command("db", "downgrade", "0006")
    with psycopg.connect(service.environ["NEWSLETTER_DATABASE_URL"]) as reader:
        reader.execute("SELECT count(*) FROM subscribers")  # until its transaction ends, as an export does
        ended = service.command("db", "upgrade", check=False)
        assert ended.returncode == 1
        assert (
            "a table was in use for longer than 5s, by an export perhaps; nothing was changed" in ended.stderr
        )
    service.command("db", "upgrade")
    assert service.states() == {"ann@example.org": "confirmed"}


def _schema(service: Service) -> list[tuple[str, str]]:
    """Indexes and triggers, each as it was written."""
    return service.rows(
        "SELECT type, sql FROM sqlite_schema WHERE type <> 'table' AND sql IS NOT NULL ORDER BY 2"
    )


def test_each_table_on_sqlite_checks_the_types_of_all_its_columns(on_sqlite: Service) -> None:
    unchecked = []
    for table in db.metadata.tables.values():
        written = on_sqlite.one("SELECT sql FROM sqlite_schema WHERE name = :name", name=table.name)
        check = written.partition("/* types */ CHECK ")[2]
        unchecked += [
            f"{table.name}.{column.name}" for column in table.columns if f'"{column.name}"' not in check
        ]

    assert unchecked == []


def test_types_are_enforced_without_loss_of_a_row_an_index_or_a_trigger(on_sqlite: Service) -> None:
    on_sqlite.confirmed("ann@example.org")
    on_sqlite.work()
    on_sqlite.command("operators", "add", "ann@example.org")
    tables = sorted(db.metadata.tables)
    rows, schema = {table: on_sqlite.rows(f"SELECT * FROM {table}") for table in tables}, _schema(on_sqlite)
    with on_sqlite.app.app_context():
        flask_migrate.downgrade(directory=str(MIGRATIONS), revision="0008")
        without = db.session.execute(
            text("SELECT count(*) FROM sqlite_schema WHERE sql LIKE '%/* types */%'")
        ).scalar()
        flask_migrate.upgrade(directory=str(MIGRATIONS))

    assert without == 0
    assert {table: on_sqlite.rows(f"SELECT * FROM {table}") for table in tables} == rows
    assert _schema(on_sqlite) == schema
    with pytest.raises(IntegrityError, match="append-only"):
        on_sqlite.write("DELETE FROM audit_events")


def test_an_upgrade_names_what_is_of_another_type_and_changes_nothing(on_sqlite: Service) -> None:
    on_sqlite.confirmed("ann@example.org")
    with on_sqlite.app.app_context():
        flask_migrate.downgrade(directory=str(MIGRATIONS), revision="0008")
    on_sqlite.write("UPDATE consent_events SET seq = 'x' WHERE id = 2")
    refused = on_sqlite.command("db", "upgrade", check=False)
    on_sqlite.write("UPDATE consent_events SET seq = NULL WHERE id = 2")
    taken = on_sqlite.command("db", "upgrade", check=False)

    assert (refused.returncode, taken.returncode) == (1, 0)
    assert "1 rows of the table consent_events" in refused.stderr
    assert "rowid 2" in refused.stderr

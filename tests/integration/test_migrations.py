"""Migrations: one head, they make what the models say, and they go both ways on both databases."""

from __future__ import annotations

from collections.abc import Callable

import flask_migrate
import psycopg
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect

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

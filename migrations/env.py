"""How Alembic reaches the database: the application's own engine, one migration run at a time."""

from typing import Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from flask import current_app
from sqlalchemy import text

from newsletter.database import UtcDateTime, is_in_models

_LOCK = 0x6E6577736C657474  # "newslett": one migration run at a time on PostgreSQL


def _render_item(kind: str, item: object, autogen_context: AutogenContext) -> str | Literal[False]:
    """Write our own column type by its name in new migrations."""
    if kind == "type" and isinstance(item, UtcDateTime):
        autogen_context.imports.add("from newsletter.database import UtcDateTime")
        return "UtcDateTime()"
    return False


def run() -> None:
    """Migrate in one transaction. Where anything fails, nothing has changed."""
    database = current_app.extensions["migrate"].db
    engine = database.engine
    on_sqlite = engine.dialect.name == "sqlite"
    with engine.connect() as connection:
        if on_sqlite:
            # With foreign keys on, rebuilding a parent table would empty its children by cascade. The
            # pragma does nothing inside a transaction, so it is set on the raw connection before BEGIN.
            raw = connection.connection.driver_connection
            raw.execute("PRAGMA foreign_keys=OFF")
            connection.execution_options(newsletter_begin="BEGIN IMMEDIATE")
        try:
            with connection.begin():
                if not on_sqlite:
                    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
                context.configure(
                    connection=connection,
                    target_metadata=database.metadata,
                    render_as_batch=True,
                    compare_type=True,
                    render_item=_render_item,
                    include_object=is_in_models,
                )
                context.run_migrations()
                if on_sqlite:
                    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
                    if broken:
                        raise RuntimeError(
                            f"the migration would break {len(broken)} references: {broken[:3]}"
                        )
        finally:
            if on_sqlite:
                raw.execute("PRAGMA foreign_keys=ON")


run()

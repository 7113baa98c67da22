"""How Alembic reaches the database: the application's own engine, one migration run at a time."""

import warnings
from typing import Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from flask import current_app
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from newsletter.database import DatabaseNotReady, UtcDateTime, is_in_models, transaction_on
from newsletter.sqlite_types import enforce_types, has_types

_LOCK = 0x6E6577736C657474  # "newslett": one migration run at a time on PostgreSQL
# Whoever wants a table after us waits while we wait for it: not for as long as an export takes.
_LOCK_TIMEOUT = "5s"
_LOCK_NOT_AVAILABLE = "55P03"  # SQLSTATE


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
        try:
            with transaction_on(connection, writing=True):
                if not on_sqlite:
                    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
                    connection.execute(text(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'"))
                context.configure(
                    connection=connection,
                    target_metadata=database.metadata,
                    render_as_batch=True,
                    compare_type=True,
                    render_item=_render_item,
                    include_object=is_in_models,
                )
                with warnings.catch_warnings():
                    # A table that is rebuilt loses the check of its types, and gets a fitting one below.
                    warnings.filterwarnings("ignore", "Unnamed CHECK constraint on reflected table")
                    context.run_migrations()
                if on_sqlite:
                    if has_types(connection):
                        enforce_types(connection)
                    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
                    if broken:
                        raise RuntimeError(
                            f"the migration would break {len(broken)} references: {broken[:3]}"
                        )
        except OperationalError as error:
            if getattr(error.orig, "sqlstate", None) != _LOCK_NOT_AVAILABLE:
                raise
            raise DatabaseNotReady(
                f"a table was in use for longer than {_LOCK_TIMEOUT}, by an export perhaps; nothing was "
                "changed: run `newsletter db upgrade` again"
            ) from error
        finally:
            if on_sqlite:
                raw.execute("PRAGMA foreign_keys=ON")


run()

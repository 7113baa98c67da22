"""Rows of an export a batch at a time, for formats that are not written by the database itself."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

from sqlalchemy import Connection

from newsletter.queries import driver_cursor
from newsletter.services.exports.columns import Column
from newsletter.services.exports.request import ExportRequest
from newsletter.services.exports.selecting import POSTGRESQL, dialect_of, select


def batches(
    connection: Connection, request: ExportRequest, columns: Sequence[Column], *, size: int
) -> Generator[Sequence[Sequence[Any]]]:
    """The values of `columns` of the request's subscriptions: texts, numbers or None."""
    dialect = dialect_of(connection)
    chosen = select(request, dialect)
    values = ", ".join(dialect.expression(column) for column in columns)
    # A cursor with a name stays on PostgreSQL's server; without one, all rows would come at once.
    options = {"name": "export"} if dialect is POSTGRESQL else {}
    with driver_cursor(connection, **options) as cursor:
        cursor.execute(f"SELECT {values} {chosen.sql}", chosen.values)
        while rows := cursor.fetchmany(size):
            yield rows

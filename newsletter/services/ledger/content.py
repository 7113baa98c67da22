"""What of an event is evidence, as text that says the same on both databases, and says it whatever was put
into a column: what nobody can read as a time or an id is still read, and then is not what was stored."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Text, Uuid
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

from newsletter.database import table_of
from newsletter.models import ConsentEvent

EVENTS = table_of(ConsentEvent)


class told(ColumnElement[str]):  # noqa: N801 - reads as SQL
    """A moment as newsletter.database.rfc3339 writes it, or an id as 32 hexadecimal digits: what SQLite keeps
    as text."""

    inherit_cache = False
    type = Text()

    def __init__(self, column: ColumnElement[Any]) -> None:
        self.column = column


@compiles(told)
def _tell(element: told, compiler: SQLCompiler, **options: Any) -> str:
    column = compiler.process(element.column, **options)
    if compiler.dialect.name == "sqlite":
        return column
    if isinstance(element.column.type, Uuid):
        return f"replace(CAST({column} AS text), '-', '')"
    written = f"""to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""
    # Years before the first are counted upwards: without this, 44 BC would be 44.
    return f"{written} || CASE WHEN {column} < '0001-01-01 00:00:00Z' THEN ' BC' ELSE '' END"


# Each of them counts, and so does their order. `id` is among them: histories are told in its order.
CONTENT = (
    EVENTS.c.seq,
    EVENTS.c.id,
    told(EVENTS.c.list_id).label("list"),
    told(EVENTS.c.subscription_id).label("subscription"),
    EVENTS.c.kind,
    EVENTS.c.before,
    EVENTS.c.after,
    told(EVENTS.c.at).label("moment"),
    EVENTS.c.way,
    EVENTS.c.wording,
    EVENTS.c.origin,
    EVENTS.c.page,
    EVENTS.c.network,
    EVENTS.c.agent,
    EVENTS.c.message_id,
)

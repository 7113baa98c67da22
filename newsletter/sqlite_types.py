"""SQLite keeps anything in any column. So each table there has a CHECK that its columns hold what their
declared types say, which PostgreSQL sees to by itself.

It is made from the types themselves, for every table, after each run of migrations (migrations/env.py). So
no migration need think of it, save one that removes a column without rebuilding its table: `drop_types`
first."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sqlalchemy import Connection

from newsletter.database import DatabaseNotReady, is_in_models

# What a column of a declared type holds, by the whole of the type or by its name.
_HOLDS = {
    "CHAR(32)": "typeof({0}) = 'text' AND length({0}) = 32",  # an id
    "VARCHAR(27)": "typeof({0}) = 'text' AND length({0}) = 27",  # a moment: newsletter.database.rfc3339
    "VARCHAR": "typeof({0}) = 'text'",
    "TEXT": "typeof({0}) = 'text'",
    "JSON": "typeof({0}) = 'text'",
    "INTEGER": "typeof({0}) = 'integer'",
    "BIGINT": "typeof({0}) = 'integer'",
    "SMALLINT": "typeof({0}) = 'integer'",
    "BOOLEAN": "{0} IN (0, 1)",
    "BLOB": "typeof({0}) = 'blob'",
}
# Without a name: Alembic, where it rebuilds a table, takes named checks along, with columns that are gone.
_MARK = ", /* types */ CHECK "
_REBUILT = "table_being_rebuilt"


def enforce_types(connection: Connection) -> None:
    """Give every table the check that fits its columns. Foreign keys are off, and a transaction is open.

    Raises `DatabaseNotReady` where a table holds what does not fit."""
    for name, written in _tables(connection):
        holds = _columns_hold(connection, name)
        check = f"{_MARK}({holds}))"
        if not written.endswith(check):
            _refuse_misfits(connection, name, holds)
            _rebuild(connection, name, _without_check(written) + check)


def has_types(connection: Connection) -> bool:
    """Whether tables have such checks: from migration 0009 on."""
    return any(_MARK in written for _, written in _tables(connection))


def drop_types(connection: Connection, *tables: str) -> None:
    """Take the checks away from these tables, or from all of them."""
    for name, written in _tables(connection):
        if _MARK in written and (not tables or name in tables):
            _rebuild(connection, name, f"{_without_check(written)})")


def _tables(connection: Connection) -> Iterator[tuple[str, str]]:
    """The tables of the models, each with the statement that made it."""
    found = connection.exec_driver_sql(
        "SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite~_%' ESCAPE '~' "
        "AND name <> 'alembic_version' ORDER BY name"
    ).all()
    return ((name, written) for name, written in found if is_in_models(None, name))


def _columns_hold(connection: Connection, table: str) -> str:
    holds = []
    for column in connection.exec_driver_sql(f'PRAGMA table_info("{table}")').mappings():
        declared = column["type"].upper()
        pattern = _HOLDS.get(declared) or _HOLDS[declared.partition("(")[0]]
        condition = pattern.format(f'"{column["name"]}"')
        holds.append(condition if column["notnull"] else f'("{column["name"]}" IS NULL OR ({condition}))')
    return " AND ".join(holds)


def _refuse_misfits(connection: Connection, table: str, holds: str) -> None:
    number, first = connection.exec_driver_sql(
        f'SELECT count(*), min(rowid) FROM "{table}" WHERE NOT ({holds})'  # noqa: S608
    ).one()
    if number:
        raise DatabaseNotReady(
            f"{number} rows of the table {table} hold values of other types than their columns, the first "
            f"with the rowid {first}: nothing was changed; correct them, then run `newsletter db upgrade`"
        )


def _without_check(written: str) -> str:
    """The statement up to our check, or to its closing parenthesis."""
    return written.partition(_MARK)[0] if _MARK in written else written[: written.rindex(")")].rstrip()


def _rebuild(connection: Connection, table: str, statement: str) -> None:
    """As https://sqlite.org/lang_altertable.html#otheralter says. What belongs to the table, its indexes and
    triggers, goes with the old one and is made again as it was written."""
    belongs = connection.exec_driver_sql(
        "SELECT sql FROM sqlite_schema WHERE tbl_name = ? AND type <> 'table' AND sql IS NOT NULL",
        (table,),
    ).scalars()
    statements = list(belongs)
    connection.exec_driver_sql(re.sub(rf'^CREATE TABLE\s+"?{table}"?', f"CREATE TABLE {_REBUILT}", statement))
    connection.exec_driver_sql(f'INSERT INTO {_REBUILT} SELECT * FROM "{table}"')  # noqa: S608
    connection.exec_driver_sql(f'DROP TABLE "{table}"')
    connection.exec_driver_sql(f'ALTER TABLE {_REBUILT} RENAME TO "{table}"')
    for each in statements:
        connection.exec_driver_sql(each)

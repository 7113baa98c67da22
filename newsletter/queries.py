"""Statements of hot paths: written in SQLAlchemy's words, compiled once, run by the driver itself.

SQLAlchemy's own execution costs several times what the query does (bench/README.md has figures). A `Query`
keeps what matters of it, one statement for both databases and typed values on the way in and out, and
leaves out what is done anew at every execution.
"""

from __future__ import annotations

import json
from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ARRAY,
    BindParameter,
    ColumnElement,
    Connection,
    Delete,
    Dialect,
    Insert,
    Select,
    Table,
    Text,
    Update,
    bindparam,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import NULLTYPE, TypeDecorator, TypeEngine

_Convert = Callable[[Any], Any] | None


class among(ColumnElement[Any]):  # noqa: N801 - reads as SQL
    """`column` is one of the values bound as `name`: the same statement however many they are."""

    inherit_cache = False
    type = NULLTYPE  # SQLite has no booleans, and would be asked whether it equals 1

    def __init__(self, column: ColumnElement[Any], name: str) -> None:
        self.column = column
        self.values: BindParameter[Any] = bindparam(name, type_=_Many(column.type))


class _Many(TypeDecorator[Sequence[Any]]):
    """Several values in one parameter: an array on PostgreSQL, JSON text on SQLite."""

    impl = Text
    cache_ok = False

    def __init__(self, item: TypeEngine[Any]) -> None:
        super().__init__()
        self._item = item

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else ARRAY(self._item))

    def process_bind_param(self, value: Sequence[Any] | None, dialect: Dialect) -> Any:
        if dialect.name != "sqlite" or value is None:
            return value
        convert = self._item.dialect_impl(dialect).bind_processor(dialect)
        return json.dumps([convert(item) for item in value] if convert else list(value))


@compiles(among)
def _among(element: among, compiler: SQLCompiler, **options: Any) -> str:
    column, values = compiler.process(element.column, **options), compiler.process(element.values, **options)
    if compiler.dialect.name == "sqlite":
        return f"{column} IN (SELECT value FROM json_each({values}))"  # noqa: S608
    return f"{column} = ANY ({values})"


class insert_missing(Insert):  # noqa: N801 - reads as SQL
    """Insert into `table`, leaving rows as they are whose `key` is there already."""

    inherit_cache = False

    def __init__(self, table: Table, key: str = "") -> None:
        super().__init__(table)
        self.key_column = key or table.primary_key.columns[0].name


@compiles(insert_missing)
def _insert_missing(element: insert_missing, compiler: SQLCompiler, **options: Any) -> str:
    inserting = compiler.visit_insert(element, **options)  # type: ignore[no-untyped-call]
    return f"{inserting} ON CONFLICT ({element.key_column}) DO NOTHING"


class insert_or_add(Insert):  # noqa: N801 - reads as SQL
    """Insert into `table`; where the row is there already, add to its `number`. Where a row counts for a
    stretch of time, from its column `starts` to its column `ends`, and that is over when the new one starts,
    it begins anew."""

    inherit_cache = False

    def __init__(self, table: Table, number: str, *, starts: str = "", ends: str = "") -> None:
        super().__init__(table)
        self.number, self.starts, self.ends = number, starts, ends


@compiles(insert_or_add)
def _insert_or_add(element: insert_or_add, compiler: SQLCompiler, **options: Any) -> str:
    inserting = compiler.visit_insert(element, **options)  # type: ignore[no-untyped-call]
    table, number = element.table, element.number
    assert isinstance(table, Table)
    keys = ", ".join(compiler.preparer.quote(column.name) for column in table.primary_key)
    there = table.name
    starts, ends = element.starts, element.ends
    if not starts:
        return (
            f"{inserting} ON CONFLICT ({keys}) DO UPDATE SET {number} = {there}.{number} + excluded.{number}"
        )
    is_over = f"{there}.{ends} <= excluded.{starts}"
    return (
        f"{inserting} ON CONFLICT ({keys}) DO UPDATE SET "
        f"{number} = CASE WHEN {is_over} THEN 0 ELSE {there}.{number} END + excluded.{number}, "
        f"{starts} = CASE WHEN {is_over} THEN excluded.{starts} ELSE {there}.{starts} END, "
        f"{ends} = CASE WHEN {there}.{ends} > excluded.{ends} THEN {there}.{ends} ELSE excluded.{ends} END"
    )


@contextmanager
def driver_cursor(connection: Connection, **options: Any) -> Iterator[Any]:
    """The driver's own cursor. Its errors become SQLAlchemy's, and a connection that is gone is given up."""
    dialect = connection.dialect
    driver_error = dialect.loaded_dbapi.Error
    cursor = connection.connection.cursor(**options)
    try:
        yield cursor
    except driver_error as error:
        gone = dialect.is_disconnect(error, connection.connection.dbapi_connection, cursor)
        if gone:
            connection.invalidate(error)
        # Without the statement and its values: they would end up in logs.
        raise DBAPIError.instance(
            None, None, error, driver_error, connection_invalidated=gone, dialect=dialect
        ) from error
    finally:
        cursor.close()


@dataclass(frozen=True)
class _Prepared:
    """A statement as one driver takes it."""

    sql: str
    names: tuple[str, ...]  # of the parameters, in their order where the driver counts them
    fixed: dict[str, Any]  # values that stand in the statement itself
    binds: dict[str, _Convert]
    row: Callable[..., Any] | None
    results: tuple[_Convert, ...]
    positional: bool

    def parameters(self, values: Mapping[str, Any]) -> Any:
        """One set of parameters, converted for the driver; what is missing is NULL."""
        converted = {}
        for name, convert in self.binds.items():
            value = values[name] if name in values else self.fixed.get(name)
            converted[name] = convert(value) if convert is not None else value
        return tuple([converted[name] for name in self.names]) if self.positional else converted


class Query:
    """One statement of a hot path. For an INSERT or UPDATE, `columns` names the columns that are set."""

    def __init__(
        self, statement: Select[Any] | Insert | Update | Delete, *, columns: Iterable[str] = ()
    ) -> None:
        self._statement = statement
        self._columns = tuple(columns)
        self._prepared: dict[str, _Prepared] = {}

    def rows(self, session: Session, **values: Any) -> list[Any]:
        """Run it once and return its rows, as named tuples."""
        connection = session.connection()
        prepared = self._for(connection.dialect)
        with driver_cursor(connection) as cursor:
            cursor.execute(prepared.sql, prepared.parameters(values))
            found = cursor.fetchall()
        make, converts = prepared.row, prepared.results
        assert make is not None
        if not any(converts):
            return [make(*row) for row in found]
        return [
            make(
                *[
                    value if convert is None else convert(value)
                    for value, convert in zip(row, converts, strict=True)
                ]
            )
            for row in found
        ]

    def run(self, session: Session, rows: Sequence[Mapping[str, Any]]) -> None:
        """Run it once a row of values; not at all where there is none."""
        if not rows:
            return
        connection = session.connection()
        prepared = self._for(connection.dialect)
        parameters = [prepared.parameters(row) for row in rows]
        with driver_cursor(connection) as cursor:
            if len(parameters) == 1:
                cursor.execute(prepared.sql, parameters[0])
            else:
                cursor.executemany(prepared.sql, parameters)

    def _for(self, dialect: Dialect) -> _Prepared:
        prepared = self._prepared.get(dialect.name)
        if prepared is None:
            prepared = self._prepared[dialect.name] = self._prepare(dialect)
        return prepared

    def _prepare(self, dialect: Dialect) -> _Prepared:
        compiled = self._statement.compile(dialect=dialect, column_keys=list(self._columns) or None)
        parameters = {name: bind for bind, name in compiled.bind_names.items()}
        selected = list(self._statement.selected_columns) if isinstance(self._statement, Select) else []
        return _Prepared(
            sql=str(compiled),
            names=tuple(compiled.positiontup or parameters),
            fixed={name: bind.value for name, bind in parameters.items() if not bind.required},
            binds={
                name: bind.type.dialect_impl(dialect).bind_processor(dialect)
                for name, bind in parameters.items()
            },
            row=namedtuple("Row", [column.key for column in selected]) if selected else None,  # type: ignore[misc]
            results=tuple(
                column.type.dialect_impl(dialect).result_processor(dialect, None) for column in selected
            ),
            positional=compiled.positional,
        )

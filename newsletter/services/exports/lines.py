"""CSV and JSONL: a named fast path of its own on each database (COPY on PostgreSQL, lines built in SQL on
SQLite); a test holds their bytes against each other."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection

from newsletter.domain.formulas import STARTS
from newsletter.queries import driver_cursor
from newsletter.services.exports.columns import Column, Kind
from newsletter.services.exports.request import ExportRequest
from newsletter.services.exports.selecting import (
    POSTGRESQL,
    SQLITE,
    Dialect,
    Selection,
    dialect_of,
    place,
    select,
)

CHUNK = 64 * 1024  # bytes: handing over row by row is several times slower
ROWS = 2000  # of a batch, where rows come one by one
_AT_ONCE = 5000  # rows
_WRITTEN = (Kind.WORD, Kind.TEXT)
_FORMULAS = f"({', '.join(str(ord(start)) for start in STARTS)})"


class Piece(NamedTuple):
    """Whole bytes of an export, and how many subscriptions are in them."""

    data: bytes
    rows: int


def lines(connection: Connection, request: ExportRequest) -> Generator[Piece]:
    """The request's subscriptions as CSV or as JSONL."""
    dialect = dialect_of(connection)
    if request.format.is_csv:
        yield Piece((",".join(request.headings) + "\r\n").encode(), 0)
    if dialect is POSTGRESQL:
        yield from _from_postgresql(connection, request)
    else:
        yield from _from_sqlite(connection, request)


def _from_postgresql(connection: Connection, request: ExportRequest) -> Generator[Piece]:
    if request.format.is_csv:
        values = [_postgresql_cell(column, safe=request.safe) for column in request.written]
        line, options, end = ", ".join(values), "FORMAT csv", b"\r\n"
    else:
        # JSON holds no control characters, so nothing is quoted: each line leaves as it is.
        line, options = (
            _json_line(request.written, POSTGRESQL),
            "FORMAT csv, DELIMITER E'\\x02', QUOTE E'\\x01'",
        )
        end = b"\n"
    with driver_cursor(connection) as cursor:
        for chosen in _parts(cursor, request):
            query = f"COPY (SELECT {line} {chosen.sql}) TO STDOUT ({options})"
            with cursor.copy(query, chosen.values) as copy:
                buffer, rows = bytearray(), 0
                for data in copy:  # one row each
                    buffer += data[:-1]
                    buffer += end
                    rows += 1
                    if len(buffer) >= CHUNK:
                        yield Piece(bytes(buffer), rows)
                        buffer, rows = bytearray(), 0
                yield Piece(bytes(buffer), rows)


def _parts(cursor: Any, request: ExportRequest) -> Iterator[Selection]:
    """All of the request's subscriptions, in two parts. PostgreSQL reads many rows fastest by sorting them,
    and gives none before it has read all; a few it finds by an index, at once."""
    first = place(request, POSTGRESQL, _AT_ONCE)
    found = cursor.execute(first.sql, first.values).fetchone()
    if found is None:
        yield select(request, POSTGRESQL)
        return
    yield select(request, POSTGRESQL, until=found[0])
    yield select(request, POSTGRESQL, after=found[0])


def _from_sqlite(connection: Connection, request: ExportRequest) -> Generator[Piece]:
    if request.format.is_csv:
        alone = len(request.written) == 1
        cells = [_sqlite_cell(column, safe=request.safe, alone=alone) for column in request.written]
        line, end = " || ',' || ".join(cells), "\r\n"
    else:
        line, end = _json_line(request.written, SQLITE), "\n"
    chosen = select(request, SQLITE)
    with driver_cursor(connection) as cursor:
        cursor.execute(f"SELECT {line} || :end {chosen.sql}", chosen.values | {"end": end})
        while rows := cursor.fetchmany(ROWS):
            yield Piece("".join([row[0] for row in rows]).encode(), len(rows))


def _postgresql_cell(column: Column, *, safe: bool) -> str:
    """A cell, to be quoted by COPY."""
    value = column.postgresql
    if not safe or column.kind not in _WRITTEN:
        return value
    return f"CASE WHEN ascii(ltrim({value}, '''')) IN {_FORMULAS} THEN '''' || {value} ELSE {value} END"


def _sqlite_cell(column: Column, *, safe: bool, alone: bool) -> str:
    """A cell quoted as COPY quotes it: only where it must be, and an empty text apart from none."""
    value = column.sqlite
    if column.kind is Kind.PLAIN:
        return f"coalesce({value}, '')"
    must = f"""{value} = '' OR instr({value}, ',') OR instr({value}, '"')"""
    if column.kind is Kind.TEXT:
        must += f" OR instr({value}, char(10)) OR instr({value}, char(13))"
    if alone:
        must += rf" OR {value} = '\.'"
    quoted, bare = f"""replace({value}, '"', '""')""", value
    if safe and column.kind in _WRITTEN:
        defused = f"CASE WHEN unicode(ltrim({value}, '''')) IN {_FORMULAS} THEN '''' ELSE '' END"
        quoted, bare = f"{defused} || {quoted}", f"{defused} || {bare}"
    return f"""CASE WHEN {value} IS NULL THEN '' WHEN {must} THEN '"' || {quoted} || '"' ELSE {bare} END"""


def _json_line(columns: Sequence[Column], dialect: Dialect) -> str:
    """An SQL expression for one JSON object, its keys in the order of the columns."""
    parts = []
    for column in columns:
        value = dialect.expression(column)
        text = value if column.kind is Kind.JSON else dialect.json.format(value)
        parts.append(f"""'"{column.name}":' || coalesce({text}, 'null')""")
    return "'{' || " + " || ',' || ".join(parts) + " || '}'"

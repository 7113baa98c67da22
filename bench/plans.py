"""The plans of the statements that a piece of work runs, as the database itself tells them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, event

from newsletter import queries


@contextmanager
def recorded(engine: Engine) -> Iterator[list[tuple[str, Any]]]:
    """Every statement that reads in the block, by SQLAlchemy or by a `Query`, with its parameters."""
    said: list[tuple[str, Any]] = []

    def heard(_c: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
        said.append((statement, parameters))

    own = queries.driver_cursor

    @contextmanager
    def listening(connection: Connection, **options: Any) -> Iterator[Any]:
        with own(connection, **options) as cursor:
            yield _Listening(cursor, said)

    event.listen(engine, "before_cursor_execute", heard)
    queries.driver_cursor = listening
    try:
        yield said
    finally:
        queries.driver_cursor = own
        event.remove(engine, "before_cursor_execute", heard)


class _Listening:
    def __init__(self, cursor: Any, said: list[tuple[str, Any]]) -> None:
        self._cursor, self._said = cursor, said

    def execute(self, statement: str, parameters: Any = None) -> Any:
        self._said.append((statement, parameters))
        return self._cursor.execute(statement, parameters)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)


def plans(engine: Engine, work: Callable[[], object]) -> Iterator[str]:
    """Do the work; then each statement that it read by, with its plan."""
    with recorded(engine) as said:
        work()
    on_sqlite = engine.dialect.name == "sqlite"
    explain = "EXPLAIN QUERY PLAN " if on_sqlite else "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) "
    with engine.connect() as connection:
        for statement, parameters in said:
            if not statement.lstrip().upper().startswith("SELECT"):
                continue
            with queries.driver_cursor(connection) as cursor:
                cursor.execute(explain + statement, parameters)
                lines = [str(row[-1]) for row in cursor.fetchall()]
            yield "\n".join([" ".join(statement.split()), *(f"    {line}" for line in lines)])

"""Reading what anybody may have written. SQLite holds texts that are no UTF-8, and then refuses to give them
out: here they come with what cannot be read escaped, and so as something that was never stored."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from newsletter.queries import Query


class Reader:
    """Runs queries in the transaction of a session."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def rows(self, query: Query, **values: Any) -> list[Any]:
        try:
            return query.rows(self.session, **values)
        except DBAPIError as error:
            if "Could not decode to UTF-8" not in str(error.orig):
                raise
        with self._any_text():
            return query.rows(self.session, **values)

    @contextmanager
    def _any_text(self) -> Iterator[None]:
        connection: Any = self.session.connection().connection.driver_connection
        usual = connection.text_factory
        connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
        try:
            yield
        finally:
            connection.text_factory = usual

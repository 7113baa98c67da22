"""What is done on a publisher's behalf, in a transaction of its own, as a view does it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy.orm import Session

from newsletter.database import write_transaction
from newsletter.extensions import db
from newsletter.services import lists
from newsletter.services.evidence import Seen
from newsletter.services.lists import ListView
from tests.support.service import Service

BY_HAND = Seen("operator", network="192.0.2.9", agent="Mozilla/5.0")
_Result = TypeVar("_Result")


def reading(service: Service, use: Callable[[Session], _Result]) -> _Result:
    """What `use` finds in the database."""
    with service.app.app_context():
        return use(db.session())


def writing(service: Service, use: Callable[[Session], _Result]) -> _Result:
    """What `use` returns, its changes committed."""
    with service.app.app_context():
        session = db.session()
        with write_transaction(session):
            return use(session)


def the_list(service: Service, slug: str = "daily") -> ListView:
    found = reading(service, lambda session: lists.find(session, slug))
    assert found is not None
    return found


def audited(service: Service) -> list[tuple[Any, ...]]:
    """What the audit log says: action and subject."""
    return [tuple(row) for row in service.rows("SELECT action, subject FROM audit_events ORDER BY id")]


def everywhere(service: Service) -> dict[str, str]:
    """Every row of every table, as text: what somebody who stole the database could read."""
    with service.app.app_context():
        tables = db.inspect(db.engine).get_table_names()
    return {
        table: "\n".join(str(tuple(row)) for row in service.rows(f'SELECT * FROM "{table}"'))
        for table in tables
    }

"""Importing as the console and the API do it: a file comes in, is checked, and the worker does the rest."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from newsletter.database import write_transaction
from newsletter.extensions import db
from newsletter.services import lists
from newsletter.services.access import COMMAND_LINE, Actor
from newsletter.services.importing import (
    ImportView,
    Look,
    Options,
    Refusal,
    check_import,
    create_import,
    find_import,
    look,
    refusals,
    spooled,
    start_import,
)
from tests.support.service import Service, now

STATED = "Signed up on paper at the fair in May."


def uploaded(
    service: Service,
    data: bytes | str,
    filename: str = "people.csv",
    slug: str = "daily",
    actor: Actor = COMMAND_LINE,
) -> UUID:
    """Bring a file."""
    data = data.encode() if isinstance(data, str) else data
    with service.app.app_context():
        session = db.session()
        mailing_list = lists.find(session, slug)
        assert mailing_list is not None
        parts = [data[start : start + 100_000] for start in range(0, len(data), 100_000)]
        with spooled(parts, largest=service.settings.largest_import) as file, write_transaction(session):
            return create_import(session, now(), actor, mailing_list.id, filename, file)


def looked_at(service: Service, import_id: UUID, **given: Any) -> Look:
    with service.app.app_context():
        return look(db.session(), import_id, **given)


def started(
    service: Service,
    data: bytes | str,
    *,
    checks: bool = False,
    given: dict[str, Any] | None = None,
    slug: str = "daily",
    actor: Actor = COMMAND_LINE,
    **options: Any,
) -> UUID:
    """Bring a file and put it to work by what it seems to be, and by `options`."""
    import_id = uploaded(service, data, slug=slug, actor=actor)
    seen = looked_at(service, import_id, **(given or {}))
    options["mapping"] = seen.mapping | options.get("mapping", {})
    start(service, import_id, seen.options(**options), checks=checks, actor=actor)
    return import_id


def start(
    service: Service,
    import_id: UUID,
    options: Options,
    *,
    checks: bool = False,
    actor: Actor = COMMAND_LINE,
) -> None:
    """Put a file to work."""
    put = check_import if checks else start_import
    with service.app.app_context(), write_transaction(db.session()):
        put(db.session(), now(), actor, import_id, options)


def imported(service: Service, data: bytes | str, **options: Any) -> ImportView:
    """Import a file to its end."""
    import_id = started(service, data, **options)
    service.work()
    return found(service, import_id)


def found(service: Service, import_id: UUID) -> ImportView:
    with service.app.app_context():
        view = find_import(db.session(), import_id)
    assert view is not None
    return view


def refused(service: Service, import_id: UUID) -> list[Refusal]:
    with service.app.app_context():
        return refusals(db.session(), import_id)


def reasons(service: Service, import_id: UUID) -> dict[int, str]:
    """Why each line was refused."""
    return {one.line: one.reason for one in refused(service, import_id)}

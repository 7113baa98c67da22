"""People to export, and exports as the console, the API and the command make them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from newsletter.database import write_transaction
from newsletter.domain.lifecycle import State
from newsletter.extensions import db
from newsletter.models import Subscriber, Subscription
from newsletter.parts import parts
from newsletter.services.access import COMMAND_LINE
from newsletter.services.exports import ExportRequest, start_export, stream_export
from tests.support.service import Service, now

JOINED = datetime(2026, 1, 31, 8, 0, 0, 123456, UTC)


def person(number: int, email: str = "ann@example.org", **more: Any) -> dict[str, Any]:
    """Somebody to be inserted; `number` is their place in an export."""
    usual = {
        "key": UUID(int=number), "email": email, "identity": email.lower(), "name": None, "attributes": {},
        "state": "confirmed", "source": "form", "at": JOINED, "confirmed": JOINED, "slug": "daily",
    }  # fmt: skip
    return usual | more


def insert(service: Service, people: Iterable[dict[str, Any]]) -> None:
    """Put these people in the place of all that there are."""
    with service.app.app_context(), write_transaction(db.session()):
        session = db.session()
        session.query(Subscription).delete()
        session.query(Subscriber).delete()
        for one in people:
            session.add(
                Subscriber(
                    id=one["key"], address=one["email"], identity=one["identity"], name=one["name"], search="",
                    locale="en", attributes=one["attributes"], created_at=one["at"],
                )
            )  # fmt: skip
            session.flush()
            session.add(
                Subscription(
                    id=one["key"], subscriber_id=one["key"], list_id=list_id(service, one["slug"]), state=one["state"],
                    generation=1, source=one["source"], created_at=one["at"], asked_at=one["at"],
                    confirmed_at=one["confirmed"], unsubscribed_at=None,
                )
            )  # fmt: skip


def insert_many(service: Service, count: int) -> None:
    """So many confirmed subscribers of the list `daily`, in the place of all that there are."""
    service.write("DELETE FROM subscriptions")
    service.write("DELETE FROM subscribers")
    if service.on_postgresql:
        numbers = "SELECT n AS i, ('00000000-0000-0000-0000-' || lpad(to_hex(n), 12, '0'))::uuid AS id, md5(n::text) AS name "
        numbers += "FROM generate_series(1, CAST(:count AS int)) n"
    else:
        numbers = "SELECT i, printf('%032x', i) AS id, hex(randomblob(16)) AS name FROM "
        numbers += "(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count) SELECT i FROM n)"
    moment = "'2026-01-01T00:00:00.000000Z'" if not service.on_postgresql else "now()"
    service.write(
        "INSERT INTO subscribers (id, address, identity, name, search, locale, attributes, created_at) "
        f"SELECT id, 'u' || i || '@example.org', 'u' || i || '@example.org', name, '', 'en', '{{}}', {moment} FROM ({numbers}) numbered",
        count=count,
    )
    service.write(
        "INSERT INTO subscriptions (id, subscriber_id, list_id, state, generation, source, created_at, asked_at) "
        "SELECT id, id, (SELECT id FROM mailing_lists), 'confirmed', 1, 'form', created_at, created_at FROM subscribers"
    )


def list_id(service: Service, slug: str = "daily") -> UUID:
    """The id of a list."""
    return UUID(str(service.one("SELECT id FROM mailing_lists WHERE slug = :slug", slug=slug)))


def begin(service: Service, request: ExportRequest, at: datetime | None = None) -> UUID:
    """Begin an export."""
    with service.app.app_context(), write_transaction(db.session()):
        return start_export(db.session(), at or now(), COMMAND_LINE, request)


def stream(service: Service, request: ExportRequest, export_id: UUID | None = None) -> Any:
    """The bytes of an export, as they come."""
    export_id = export_id or begin(service, request)
    with service.app.app_context():
        return stream_export(db.engine, parts().settings, export_id, request)


def exported(service: Service, **request: Any) -> bytes:
    """All bytes of an export of the list `daily`, in every state unless told otherwise."""
    wanted: dict[str, Any] = {"list_id": list_id(service), "states": tuple(State)} | request
    return b"".join(stream(service, ExportRequest(**wanted)))

"""The audit log: what operators, tokens and commands did. It is read, and never written here."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields

from newsletter.domain.roles import Scope
from newsletter.extensions import db
from newsletter.services import audit, lists
from newsletter.web.api.access import list_or_404, must_see_all
from newsletter.web.api.paging import Paged, page, page_of, read_cursor
from newsletter.web.api.resource import Resource
from newsletter.web.api.schemas import Moment, line, told

resource = Resource("audit", "What was done on behalf of the publisher, and by whom.")

_EXAMPLE = {
    "id": 1207,
    "at": "2026-01-31T08:00:00.000000Z",
    "actor": "bea@example.org",
    "action": "list.edited",
    "list": "sport",
    "subject": "sport",
    "details": {"changed": ["name"]},
    "network": "198.51.100.7",
}
_LARGEST_ID = 2**63 - 1


class WantedEvents(Paged):
    """Which entries."""

    list = line(64, **told("About the list with this slug.", load_default=None))
    action = line(64, least=1, **told("Of this kind, such as `list.edited`.", load_default=None))


class AuditEntry(Schema):
    """Something that was done."""

    id = fields.Integer(required=True)
    at = Moment(required=True)
    actor = fields.String(required=True, **told("An operator's address, a token, or `command line`."))
    action = fields.String(required=True)
    list = fields.String(required=True, allow_none=True, **told("The list's slug, where it is about one."))
    subject = fields.String(required=True, allow_none=True, **told("To what it was done."))
    details = fields.Dict(required=True)
    network = fields.String(required=True, allow_none=True, **told("From where."))


@resource.get("/audit", scope=Scope.ADMIN)
@resource.arguments(WantedEvents, location="query")
@resource.response(200, page_of(AuditEntry), example={"items": [_EXAMPLE], "next": None})
def get_audit(asked: dict[str, Any]) -> Any:
    """Read the audit log, the newest first

    A token that is for certain lists reads it list by list.
    """
    if asked["list"] is None:
        must_see_all()
    chosen = list_or_404(asked["list"]) if asked["list"] is not None else None
    session, limit = db.session(), asked["limit"]
    found = audit.page(
        session,
        list_id=chosen.id if chosen is not None else None,
        action=asked["action"],
        before=read_cursor(asked["cursor"], _id),
        limit=limit + 1,
    )
    items, status, headers = page(found, limit, lambda one: one.id)
    slugs = {one.id: one.slug for one in lists.every(session)}
    shown = [vars(one) | {"list": slugs.get(one.list_id) if one.list_id else None} for one in items["items"]]
    return items | {"items": shown}, status, headers


def _id(text: str) -> int:
    number = int(text)
    if not 0 <= number <= _LARGEST_ID:
        raise ValueError(text)
    return number

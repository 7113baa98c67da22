"""The archive: all that is known of each subscription, the history of its consent included, one JSON object a
line. Importing it anywhere gives the same state.

Rows are read from a cursor that stays open; what belongs to them is looked up a batch at a time, in the same
snapshot.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Generator
from contextlib import closing
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, select
from sqlalchemy.orm import Session

from newsletter.database import rfc3339, table_of
from newsletter.models import ConsentEvent, Wording
from newsletter.queries import Query, among
from newsletter.services import suppress
from newsletter.services.exports.columns import ARCHIVE, IDENTITY
from newsletter.services.exports.lines import Piece
from newsletter.services.exports.request import ExportRequest
from newsletter.services.exports.rows import batches
from newsletter.settings import Settings

_BATCH = 500
_COLUMNS = (*ARCHIVE, IDENTITY)


def archive(connection: Connection, settings: Settings, request: ExportRequest) -> Generator[Piece]:
    """The request's subscriptions, with everything."""
    names = [column.name for column in _COLUMNS]
    with (
        Session(connection) as session,
        closing(batches(connection, request, _COLUMNS, size=_BATCH)) as found,
    ):
        for rows in found:
            people = [dict(zip(names, row, strict=True)) for row in rows]
            consents = _consents(session, [person["id"] for person in people])
            reasons = suppress.reasons(session, settings, [person["identity"] for person in people])
            for person in people:
                person["attributes"] = json.loads(person["attributes"])
                person["suppressed"] = reasons.get(person.pop("identity"))
                person["consent"] = consents[person["id"]]
            yield Piece("".join(f"{_json(person)}\n" for person in people).encode(), len(people))


def _consents(session: Session, subscriptions: list[str]) -> defaultdict[str, list[dict[str, Any]]]:
    """The history of each of these subscriptions, the oldest event first."""
    found: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in _HISTORY.rows(session, subscriptions=[UUID(identifier) for identifier in subscriptions]):
        event = row._asdict()
        event["at"] = rfc3339(event["at"])
        found[str(event.pop("subscription_id"))].append(event)
    return found


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


_EVENTS, _WORDINGS = table_of(ConsentEvent), table_of(Wording)
_HISTORY = Query(
    select(
        _EVENTS.c.subscription_id,
        _EVENTS.c.kind,
        _EVENTS.c.before,
        _EVENTS.c.after,
        _EVENTS.c.at,
        _EVENTS.c.way,
        _WORDINGS.c.text.label("words"),
        _EVENTS.c.origin,
        _EVENTS.c.page,
        _EVENTS.c.network,
        _EVENTS.c.agent,
        _EVENTS.c.message_id,
    )
    .select_from(_EVENTS.outerjoin(_WORDINGS, _WORDINGS.c.digest == _EVENTS.c.wording))
    .where(among(_EVENTS.c.subscription_id, "subscriptions"))
    .order_by(_EVENTS.c.id)
)

"""Webhooks of a list: adding, changing and removing them, and putting down what they are to be told.

What is put down are ids. The message is written when it is sent (newsletter.services.notify)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, delete, func, insert, select, text, update
from sqlalchemy.orm import Session

from newsletter.database import table_of
from newsletter.domain.endpoints import EndpointError, parse_endpoint
from newsletter.domain.ids import new_id
from newsletter.domain.webhooks import ROTATION, Notice, new_secret, notice_of
from newsletter.models import Webhook, WebhookDelivery
from newsletter.models.outbox import Status
from newsletter.models.webhook import IS_DUE
from newsletter.queries import Query, among
from newsletter.services import audit
from newsletter.services.access import Actor
from newsletter.services.journal import Entry
from newsletter.settings import Settings

MOST = 10  # of one list: each is one more message for every event


class WebhookError(Exception):
    """A webhook cannot be as asked. The message says why, in one line; `field` names what is wrong, where
    that is one."""

    def __init__(self, message: str, field: str = "url") -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True)
class WebhookView:
    """A webhook, without its secret."""

    id: UUID
    list_id: UUID
    url: str
    notices: tuple[Notice, ...]
    created_by: str
    created_at: datetime
    old_secret_until: datetime | None
    failing_since: datetime | None
    disabled_at: datetime | None
    disabled_because: str | None


def of_list(session: Session, list_id: UUID) -> list[WebhookView]:
    """All of a list, the oldest first."""
    rows = session.connection().execute(
        select(*_COLUMNS).where(_WEBHOOKS.c.list_id == list_id).order_by(_WEBHOOKS.c.id)
    )
    return [_view(row) for row in rows]


def find(session: Session, list_id: UUID, webhook_id: UUID) -> WebhookView | None:
    """One of a list; None where it is another list's."""
    row = session.connection().execute(
        select(*_COLUMNS).where(_WEBHOOKS.c.list_id == list_id, _WEBHOOKS.c.id == webhook_id)
    )
    found = row.first()
    return _view(found) if found is not None else None


def add(
    session: Session,
    settings: Settings,
    now: datetime,
    actor: Actor,
    list_id: UUID,
    *,
    url: str,
    notices: Iterable[str],
) -> tuple[UUID, str]:
    """Make a webhook; returns its id and its secret, which is never shown again. Raises `WebhookError`."""
    checked = _checked(settings, url, notices)
    connection = session.connection()
    there = select(func.count()).where(_WEBHOOKS.c.list_id == list_id)
    if connection.execute(there).scalar_one() >= MOST:
        raise WebhookError(f"A list has at most {MOST} webhooks: remove one first.", "")
    webhook_id, secret = new_id(now), new_secret()
    own = {
        "id": webhook_id,
        "list_id": list_id,
        "secret": secret,
        "created_by": actor.name,
        "created_at": now,
    }
    connection.execute(insert(_WEBHOOKS), [own | checked])
    _note(session, now, actor, "added", list_id, webhook_id, **_told(settings, checked))
    return webhook_id, secret


def edit(
    session: Session,
    settings: Settings,
    now: datetime,
    actor: Actor,
    webhook: WebhookView,
    *,
    url: str,
    notices: Iterable[str],
) -> None:
    """Lead it elsewhere, or tell it other things. Raises `WebhookError`."""
    checked = _checked(settings, url, notices)
    _set(session, webhook, **checked)
    _note(session, now, actor, "edited", webhook.list_id, webhook.id, **_told(settings, checked))


def rotate(session: Session, now: datetime, actor: Actor, webhook: WebhookView) -> str:
    """A new secret, which is never shown again. The old one signs as well for a day."""
    secret = new_secret()
    _set(session, webhook, old_secret=_WEBHOOKS.c.secret, old_secret_until=now + ROTATION, secret=secret)
    _note(session, now, actor, "rotated", webhook.list_id, webhook.id)
    return secret


def disable(
    session: Session,
    now: datetime,
    actor: Actor,
    list_id: UUID,
    webhook_id: UUID,
    *,
    because: str | None = None,
) -> None:
    """Tell it nothing any more. What waits is not sent."""
    done = session.connection().execute(
        update(_WEBHOOKS)
        .where(_WEBHOOKS.c.id == webhook_id, _WEBHOOKS.c.disabled_at.is_(None))
        .values(disabled_at=now, disabled_because=because)
    )
    if done.rowcount:
        _cancel(session, webhook_id)
        why = {"because": because} if because else {}
        _note(session, now, actor, "disabled", list_id, webhook_id, **why)


def enable(session: Session, now: datetime, actor: Actor, webhook: WebhookView) -> None:
    """Tell it what happens from now on."""
    _set(session, webhook, disabled_at=None, disabled_because=None, failing_since=None)
    # Put down by a transaction that ran while it was disabled.
    _cancel(session, webhook.id)
    _note(session, now, actor, "enabled", webhook.list_id, webhook.id)


def remove(session: Session, now: datetime, actor: Actor, webhook: WebhookView) -> None:
    """Remove it, and the log of what it was told."""
    session.connection().execute(delete(_WEBHOOKS).where(_WEBHOOKS.c.id == webhook.id))
    _note(session, now, actor, "removed", webhook.list_id, webhook.id)


def fan_out(session: Session, now: datetime, entries: Sequence[Entry]) -> int:
    """Put down who is to be told of these events, in the transaction that numbers them; returns how many
    messages that makes. One look where no webhook is concerned."""
    told = [
        (entry, notice)
        for entry in entries
        if (notice := notice_of(entry.kind, entry.before, entry.after, way=entry.way, age=now - entry.at))
        is not None
    ]
    if not told:
        return 0
    webhooks: dict[UUID, list[tuple[UUID, frozenset[str]]]] = {}
    for row in _LIVE.rows(session, lists=list({entry.list_id for entry, _ in told})):
        webhooks.setdefault(row.list_id, []).append((row.id, frozenset(row.events)))
    wanted = [
        (webhook_id, entry, notice)
        for entry, notice in told
        for webhook_id, events in webhooks.get(entry.list_id, ())
        if notice in events
    ]
    # In order of id they are in the order of the events: the log is read by it.
    ids = sorted(new_id(now) for _ in wanted)
    put_down(
        session,
        [
            delivery_row(
                identifier,
                webhook_id,
                now,
                kind=notice.type,
                happened_at=entry.at,
                seq=entry.seq,
                subscription_id=entry.subscription_id,
                state=entry.after,
            )
            for identifier, (webhook_id, entry, notice) in zip(ids, wanted, strict=True)
        ],
    )
    return len(wanted)


def delivery_row(
    identifier: UUID,
    webhook_id: UUID,
    now: datetime,
    *,
    kind: str,
    happened_at: datetime,
    **more: Any,
) -> dict[str, Any]:
    """A message that is due at once, ready for `put_down`. `more` may name its event, and the `message_id` of
    one that is sent again."""
    return {
        "id": identifier,
        "webhook_id": webhook_id,
        "message_id": f"msg_{identifier.hex}",
        "type": kind,
        "happened_at": happened_at,
        "status": Status.QUEUED.value,
        "attempts": 0,
        "next_attempt_at": now,
        "created_at": now,
    } | more


def put_down(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    """Store messages that are to be sent."""
    _PUT_DOWN.run(session, rows)


def _checked(settings: Settings, url: str, notices: Iterable[str]) -> dict[str, Any]:
    url = url.strip()
    try:
        parse_endpoint(url, to_private=settings.webhooks_to_private)
    except EndpointError as error:
        raise WebhookError(f"This address cannot be used: {error}.") from error
    wanted = set(notices)
    if not wanted <= set(Notice):
        raise WebhookError("There are events among these that do not exist.", "events")
    if not wanted:
        raise WebhookError("Choose at least one event.", "events")
    return {"url": url, "events": [notice.value for notice in Notice if notice in wanted]}


def _told(settings: Settings, checked: dict[str, Any]) -> dict[str, Any]:
    """What the audit log is told: not the path, which may hold a key to the receiver."""
    endpoint = parse_endpoint(checked["url"], to_private=settings.webhooks_to_private)
    return {"host": endpoint.authority, "events": checked["events"]}


def _note(
    session: Session, now: datetime, actor: Actor, deed: str, list_id: UUID, webhook_id: UUID, **details: Any
) -> None:
    audit.record(session, now, actor, f"webhook.{deed}", list_id=list_id, subject=str(webhook_id), **details)


def _set(session: Session, webhook: WebhookView, **values: Any) -> None:
    session.connection().execute(update(_WEBHOOKS).where(_WEBHOOKS.c.id == webhook.id).values(**values))


def _cancel(session: Session, webhook_id: UUID) -> None:
    session.connection().execute(
        update(_DELIVERIES)
        .where(_DELIVERIES.c.webhook_id == webhook_id, text(IS_DUE))
        .values(status=Status.CANCELLED.value)
    )


def _view(row: Row[Any]) -> WebhookView:
    values = row._asdict()
    notices = tuple(Notice(name) for name in values.pop("events"))
    return WebhookView(notices=notices, **values)


_WEBHOOKS, _DELIVERIES = table_of(Webhook), table_of(WebhookDelivery)
_COLUMNS = tuple(
    _WEBHOOKS.c[name]
    for name in (
        "id", "list_id", "url", "events", "created_by", "created_at", "old_secret_until", "failing_since",
        "disabled_at", "disabled_because",
    )
)  # fmt: skip
# Locked against removal only: a message to a webhook that is gone could not be stored.
_LIVE = Query(
    select(_WEBHOOKS.c.id, _WEBHOOKS.c.list_id, _WEBHOOKS.c.events)
    .where(among(_WEBHOOKS.c.list_id, "lists"), _WEBHOOKS.c.disabled_at.is_(None))
    .order_by(_WEBHOOKS.c.id)
    .with_for_update(read=True, key_share=True)
)
_PUT_DOWN = Query(
    insert(_DELIVERIES),
    columns=(
        "id", "webhook_id", "message_id", "type", "seq", "subscription_id", "state", "happened_at", "status",
        "attempts", "next_attempt_at", "created_at",
    ),
)  # fmt: skip

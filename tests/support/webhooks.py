"""Keeping and following webhooks of a service under test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from newsletter.database import rfc3339, write_transaction
from newsletter.domain.webhooks import Notice
from newsletter.extensions import db
from newsletter.services import lists, webhooks
from newsletter.services.access import COMMAND_LINE
from newsletter.services.webhooks import WebhookView
from tests.support.service import Service, now


def stored(service: Service, moment: datetime) -> Any:
    """A moment as the database takes it."""
    return moment if service.on_postgresql else rfc3339(moment)


def add(
    service: Service, url: str, notices: Sequence[str] = tuple(Notice), slug: str = "daily"
) -> tuple[UUID, str]:
    """A webhook of a list; gives its id and its secret."""
    with service.app.app_context():
        session = db.session()
        with write_transaction(session):
            found = lists.find(session, slug)
            assert found is not None
            return webhooks.add(
                session, service.settings, now(), COMMAND_LINE, found.id, url=url, notices=notices
            )


def view(service: Service, webhook_id: UUID) -> WebhookView:
    with service.app.app_context():
        found = lists.find(db.session(), "daily")
        assert found is not None
        webhook = webhooks.find(db.session(), found.id, webhook_id)
        db.session.rollback()
    assert webhook is not None
    return webhook


def hurry(service: Service) -> None:
    """Let what waits for its next attempt be due, and what is held by a dead worker come free."""
    past = stored(service, now() - timedelta(seconds=1))
    service.write("UPDATE webhook_deliveries SET next_attempt_at = :past", past=past)


def doing(service: Service, act: Callable[..., Any], webhook_id: UUID, *arguments: Any, **more: Any) -> Any:
    """Do something to a webhook as whoever runs commands."""
    webhook = view(service, webhook_id)
    with service.app.app_context(), write_transaction(db.session()):
        return act(db.session(), now(), COMMAND_LINE, webhook, *arguments, **more)


def disable(service: Service, webhook_id: UUID) -> None:
    webhook = view(service, webhook_id)
    with service.app.app_context(), write_transaction(db.session()):
        webhooks.disable(db.session(), now(), COMMAND_LINE, webhook.list_id, webhook.id)


def statuses(service: Service) -> list[str]:
    return [status for (status,) in service.rows("SELECT status FROM webhook_deliveries ORDER BY id")]

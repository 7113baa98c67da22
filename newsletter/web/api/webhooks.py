"""Webhooks of a list: who is told what happens to it, and what they were told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from flask import Response
from marshmallow import Schema, fields, validate
from sqlalchemy.orm import Session

from newsletter.database import write_transaction
from newsletter.domain.roles import Scope
from newsletter.domain.webhooks import Notice
from newsletter.extensions import db
from newsletter.models.outbox import Status
from newsletter.parts import parts
from newsletter.services import webhook_log, webhooks
from newsletter.services.webhooks import WebhookError, WebhookView
from newsletter.web.api.access import actor, list_or_404
from newsletter.web.api.creating import Made, create
from newsletter.web.api.paging import Paged, page, page_of, read_cursor
from newsletter.web.api.resource import Resource, nothing_there, whereabouts
from newsletter.web.api.schemas import Fields, Moment, TrueOrFalse, address, choice, line, told
from newsletter.web.problems import Problem, api_problem

resource = Resource("webhooks", "Who is told at once what happens to a list.")

_EXAMPLE = {
    "id": "019b2f6e-5c00-7d11-8a55-0f6f4bb3c002",
    "url": "https://hooks.example.org/newsletter",
    "events": ["confirmed", "unsubscribed"],
    "created_by": "token sync",
    "created_at": "2026-01-31T08:00:00.000000Z",
    "old_secret_until": None,
    "failing_since": None,
    "disabled_at": None,
    "disabled_because": None,
    "self": "https://news.example.org/api/v1/lists/sport/webhooks/019b2f6e-5c00-7d11-8a55-0f6f4bb3c002",
}
_SECRET = {"secret": "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"}


class NewWebhook(Fields):
    """Where to send what."""

    url = line(1000, least=1, **told("The address that takes the messages.", required=True))
    events = fields.List(
        choice(*Notice),
        validate=validate.Length(min=1, max=len(Notice)),
        **told("Of what it is told.", required=True),
    )


class WebhookChanges(Fields):
    """What is to be another at a webhook."""

    url = line(1000, least=1, **told("The address that takes the messages."))
    events = fields.List(
        choice(*Notice), validate=validate.Length(min=1, max=len(Notice)), **told("Of what it is told.")
    )
    enabled = TrueOrFalse(**told("false: tell it nothing any more."))


class Webhook(Schema):
    """A webhook."""

    id = fields.UUID(required=True)
    url = fields.String(required=True)
    events = fields.List(choice(*Notice), required=True)
    created_by = fields.String(required=True)
    created_at = Moment(required=True)
    old_secret_until = Moment(
        required=True, allow_none=True, **told("Until when the secret before signs, too.")
    )
    failing_since = Moment(required=True, allow_none=True)
    disabled_at = Moment(required=True, allow_none=True)
    disabled_because = fields.String(required=True, allow_none=True)
    self = address(required=True)


class FreshWebhook(Webhook):
    """A webhook and its secret, which is shown this once."""

    secret = fields.String(required=True, **told("Verifies the signatures (Standard Webhooks)."))


class Webhooks(Schema):
    """All webhooks of a list, the oldest first."""

    items = fields.List(fields.Nested(Webhook), required=True)


class Delivery(Schema):
    """One message to a webhook, and what became of it."""

    id = fields.UUID(required=True)
    message_id = fields.String(required=True, **told("The same for every attempt: `webhook-id`."))
    type = fields.String(required=True)
    seq = fields.Integer(required=True, allow_none=True, **told("Its place in the change feed."))
    subscription_id = fields.UUID(required=True, allow_none=True)
    state = fields.String(required=True, allow_none=True)
    happened_at = Moment(required=True)
    status = choice(*(status.value for status in Status), required=True)
    attempts = fields.Integer(required=True)
    next_attempt_at = Moment(required=True)
    answer = fields.Integer(required=True, allow_none=True, **told("The HTTP status that came back last."))
    last_error = fields.String(required=True, allow_none=True)
    created_at = Moment(required=True)
    delivered_at = Moment(required=True, allow_none=True)


class Replayed(Schema):
    """A message that is on its way."""

    id = fields.UUID(required=True, **told("The delivery."))


@resource.get("/lists/<slug>/webhooks", scope=Scope.WEBHOOKS)
@resource.response(200, Webhooks, example={"items": [_EXAMPLE]})
def get_webhooks(slug: str) -> dict[str, Any]:
    """Show the webhooks of a list"""
    mailing_list = list_or_404(slug)
    return {"items": [_shown(slug, one) for one in webhooks.of_list(db.session(), mailing_list.id)]}


@resource.post("/lists/<slug>/webhooks", scope=Scope.WEBHOOKS)
@resource.arguments(NewWebhook, example={"url": _EXAMPLE["url"], "events": _EXAMPLE["events"]})
@resource.creates(FreshWebhook, example=_EXAMPLE | _SECRET)
def add_webhook(sent: dict[str, Any], slug: str) -> Response:
    """Add a webhook

    The answer holds its secret, which is never shown again.
    """
    mailing_list = list_or_404(slug)

    def make(session: Session, now: datetime) -> Made:
        webhook_id, secret = webhooks.add(
            session, parts().settings, now, actor(), mailing_list.id, url=sent["url"], notices=sent["events"]
        )
        return Made(_shown(slug, _found(session, mailing_list.id, webhook_id)) | {"secret": secret})

    return create(make, FreshWebhook)


@resource.get("/lists/<slug>/webhooks/<id:webhook_id>", scope=Scope.WEBHOOKS)
@resource.response(200, Webhook, example=_EXAMPLE)
def get_webhook(slug: str, webhook_id: UUID) -> dict[str, Any]:
    """Show a webhook"""
    return _shown(slug, _found(db.session(), list_or_404(slug).id, webhook_id))


@resource.patch("/lists/<slug>/webhooks/<id:webhook_id>", scope=Scope.WEBHOOKS)
@resource.arguments(WebhookChanges, example={"enabled": False})
@resource.response(200, Webhook, example=_EXAMPLE)
def edit_webhook(changes: dict[str, Any], slug: str, webhook_id: UUID) -> dict[str, Any]:
    """Change a webhook, switch it off or on"""
    settings = parts().settings

    def change(session: Session, now: datetime, found: WebhookView) -> None:
        if "url" in changes or "events" in changes:
            url, notices = changes.get("url", found.url), changes.get("events", found.notices)
            webhooks.edit(session, settings, now, actor(), found, url=url, notices=notices)
        if changes.get("enabled") is False:
            webhooks.disable(session, now, actor(), found.list_id, found.id)
        elif changes.get("enabled") and found.disabled_at is not None:
            webhooks.enable(session, now, actor(), found)

    return _shown(slug, _changed(slug, webhook_id, change))


@resource.delete("/lists/<slug>/webhooks/<id:webhook_id>", scope=Scope.WEBHOOKS)
@resource.response(204)
def remove_webhook(slug: str, webhook_id: UUID) -> Response:
    """Remove a webhook, and its log"""
    mailing_list, session = list_or_404(slug), db.session()
    with write_transaction(session):
        webhooks.remove(session, _now(), actor(), _found(session, mailing_list.id, webhook_id))
    return Response(status=204)


@resource.post("/lists/<slug>/webhooks/<id:webhook_id>/secret", scope=Scope.WEBHOOKS)
@resource.response(200, FreshWebhook, example=_EXAMPLE | _SECRET)
def rotate_secret(slug: str, webhook_id: UUID) -> dict[str, Any]:
    """Renew the secret

    The old one signs as well for a day, so that the receiver can change over.
    """
    secrets: list[str] = []
    found = _changed(
        slug,
        webhook_id,
        lambda session, now, webhook: secrets.append(webhooks.rotate(session, now, actor(), webhook)),
    )
    return _shown(slug, found) | {"secret": secrets[0]}


@resource.post("/lists/<slug>/webhooks/<id:webhook_id>/test", scope=Scope.WEBHOOKS)
@resource.response(202, Replayed)
def test_webhook(slug: str, webhook_id: UUID) -> dict[str, Any]:
    """Send a test

    A message that means nothing, to see whether it arrives.
    """
    mailing_list, session = list_or_404(slug), db.session()
    with write_transaction(session):
        found = _found(session, mailing_list.id, webhook_id)
        return {"id": webhook_log.send_test(session, _now(), actor(), found)}


@resource.get("/lists/<slug>/webhooks/<id:webhook_id>/deliveries", scope=Scope.WEBHOOKS)
@resource.arguments(Paged, location="query")
@resource.response(200, page_of(Delivery))
def get_deliveries(asked: dict[str, Any], slug: str, webhook_id: UUID) -> Any:
    """Show what a webhook was told, the newest first"""
    session = db.session()
    found = _found(session, list_or_404(slug).id, webhook_id)
    before = read_cursor(asked["cursor"], UUID)
    log = webhook_log.read(session, found.id, before=before, limit=asked["limit"] + 1)
    return page(log, asked["limit"], lambda delivery: delivery.id)


@resource.post(
    "/lists/<slug>/webhooks/<id:webhook_id>/deliveries/<id:delivery_id>/replay", scope=Scope.WEBHOOKS
)
@resource.response(202, Replayed)
def replay_delivery(slug: str, webhook_id: UUID, delivery_id: UUID) -> dict[str, Any]:
    """Replay a delivery

    The webhook is told once more, under the same message id.
    """
    mailing_list, session = list_or_404(slug), db.session()
    with write_transaction(session):
        found = _found(session, mailing_list.id, webhook_id)
        again = webhook_log.send_again(session, _now(), actor(), found, delivery_id)
        if again is None:
            raise nothing_there("delivery")
    return {"id": again}


@resource.errorhandler(WebhookError)
def _refuse(error: WebhookError) -> Response:
    return api_problem(Problem(422, "invalid", str(error), errors={error.field: str(error)}))


def _now() -> datetime:
    return datetime.now(UTC)


def _changed(
    slug: str, webhook_id: UUID, change: Callable[[Session, datetime, WebhookView], None]
) -> WebhookView:
    """The webhook after a change of it."""
    mailing_list, session = list_or_404(slug), db.session()
    with write_transaction(session):
        change(session, _now(), _found(session, mailing_list.id, webhook_id))
        return _found(session, mailing_list.id, webhook_id)


def _found(session: Session, list_id: UUID, webhook_id: UUID) -> WebhookView:
    found = webhooks.find(session, list_id, webhook_id)
    if found is None:
        raise nothing_there("webhook")
    return found


def _shown(slug: str, webhook: WebhookView) -> dict[str, Any]:
    shown = asdict(webhook)
    shown["events"] = shown.pop("notices")
    return shown | {"self": whereabouts("lists", slug, "webhooks", webhook.id)}

"""The outbox of a list: what waits, what failed and why, what was sent; and trying again."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from marshmallow import Schema, fields

from newsletter.database import write_transaction
from newsletter.domain.roles import Scope
from newsletter.extensions import db
from newsletter.models.outbox import Kind, Status
from newsletter.services import outbox_log
from newsletter.services.outbox_log import CannotRetry, Entry, Part
from newsletter.web.api.access import actor, list_or_404
from newsletter.web.api.paging import Paged, following, page_of, read_cursor
from newsletter.web.api.resource import Resource, nothing_there, whereabouts
from newsletter.web.api.schemas import Moment, address, choice, told
from newsletter.web.problems import Problem, sentence

resource = Resource("outbox", "The mail of a list: what waits, failed or was sent, and trying again.")

_EXAMPLE = {
    "id": "019b2f6e-5c00-7d11-8a55-0f6f4bb3c00a",
    "subscription_id": "019b2f6e-5c00-7d11-8a55-0f6f4bb3c003",
    "email": "ann@example.org",
    "kind": "confirmation",
    "status": "failed",
    "attempts": 8,
    "last_error": "451 4.3.0 Try again later",
    "created_at": "2026-01-31T08:00:00.000000Z",
    "next_attempt_at": "2026-02-01T08:00:00.000000Z",
    "sent_at": None,
    "self": "https://news.example.org/api/v1/lists/sport/outbox/019b2f6e-5c00-7d11-8a55-0f6f4bb3c00a",
}


class WantedMessages(Paged):
    """Which messages."""

    part = choice(*Part, **told("Only what waits, or only what failed.", load_default=None))


class Message(Schema):
    """A mail to one subscriber."""

    id = fields.UUID(required=True)
    subscription_id = fields.UUID(required=True)
    email = fields.String(required=True)
    kind = choice(*Kind, required=True)
    status = choice(*Status, required=True)
    attempts = fields.Integer(required=True)
    last_error = fields.String(required=True, allow_none=True, **told("What the mail system said last."))
    created_at = Moment(required=True)
    next_attempt_at = Moment(required=True, **told("When it is tried, where it waits."))
    sent_at = Moment(required=True, allow_none=True)
    self = address(required=True)


class Retried(Schema):
    """How many messages are due now."""

    retried = fields.Integer(required=True)


@resource.get("/lists/<slug>/outbox", scope=Scope.OUTBOX)
@resource.arguments(WantedMessages, location="query")
@resource.response(200, page_of(Message), example={"items": [_EXAMPLE], "next": None})
def get_outbox(asked: dict[str, Any], slug: str) -> Any:
    """Show the mail of a list, the newest first

    A page costs the same however much waits: where mail of other lists lies between, it may hold fewer items
    than asked for, or none. `next` is null on the last.
    """
    mailing_list = list_or_404(slug)
    part = Part(asked["part"]) if asked["part"] is not None else None
    before = read_cursor(asked["cursor"], UUID)
    entries, key = outbox_log.page(db.session(), mailing_list.id, part, before, asked["limit"])
    return following([_shown(slug, one) for one in entries], key)


@resource.get("/lists/<slug>/outbox/<id:message_id>", scope=Scope.OUTBOX)
@resource.response(200, Message, example=_EXAMPLE)
def get_message(slug: str, message_id: UUID) -> dict[str, Any]:
    """Show a message"""
    return _shown(slug, _found(list_or_404(slug).id, message_id))


@resource.post("/lists/<slug>/outbox/<id:message_id>/retry", scope=Scope.OUTBOX)
@resource.response(200, Message, example=_EXAMPLE | {"status": "queued", "attempts": 0})
@resource.alt_response(409, "CONFLICT")
def retry_message(slug: str, message_id: UUID) -> dict[str, Any]:
    """Try a message again

    It is due now, as if it were new. Only what failed or waits can be tried again.
    """
    mailing_list, session = list_or_404(slug), db.session()
    _found(mailing_list.id, message_id)
    session.rollback()
    try:
        with write_transaction(session):
            outbox_log.retry(session, datetime.now(UTC), actor(), mailing_list.id, message_id)
    except CannotRetry as error:
        raise Problem(409, "not_now", sentence(error)) from error
    return _shown(slug, _found(mailing_list.id, message_id))


@resource.post("/lists/<slug>/outbox/retry", scope=Scope.OUTBOX)
@resource.response(200, Retried, example={"retried": 3})
def retry_failed_messages(slug: str) -> dict[str, int]:
    """Try again all that failed

    Of this list. They are due now, behind what a visitor waits for.
    """
    mailing_list, session = list_or_404(slug), db.session()
    with write_transaction(session):
        retried = outbox_log.retry_failed(session, datetime.now(UTC), actor(), mailing_list.id)
    return {"retried": retried}


def _found(list_id: UUID, message_id: UUID) -> Entry:
    found = outbox_log.find(db.session(), list_id, message_id)
    if found is None:
        raise nothing_there("message")
    return found


def _shown(slug: str, found: Entry) -> dict[str, Any]:
    where = whereabouts("lists", slug, "outbox", found.id)
    return vars(found) | {"email": found.address, "self": where}

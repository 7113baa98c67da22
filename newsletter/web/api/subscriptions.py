"""Subscriptions to a list: who stands how with it."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from flask import Response, request
from marshmallow import Schema, fields, validate
from sqlalchemy.orm import Session

from newsletter.database import write_transaction
from newsletter.domain.addresses import AddressError, parse_address
from newsletter.domain.languages import LANGUAGES
from newsletter.domain.lifecycle import Event, State
from newsletter.domain.profiles import LONGEST_NAME, ProfileError
from newsletter.domain.roles import Scope
from newsletter.extensions import db
from newsletter.parts import parts
from newsletter.services import subscribers
from newsletter.services.lists import ListView
from newsletter.services.subscribers import CannotAdd, Changes, Newcomer, Row, SubscriberGone, SubscriberView
from newsletter.services.subscribers.adding import LONGEST_STATEMENT
from newsletter.web.api.access import actor, list_or_404
from newsletter.web.api.creating import Made, create
from newsletter.web.api.paging import Paged, following, page_of, read_cursor
from newsletter.web.api.resource import Resource, nothing_there, whereabouts
from newsletter.web.api.schemas import (
    AboutAPerson,
    AboutASubscription,
    Fields,
    Moment,
    Several,
    address,
    choice,
    line,
    state,
    told,
)
from newsletter.web.problems import Problem, api_problem, sentence
from newsletter.web.seeing import seen

resource = Resource("subscriptions", "Who stands how with a list.")

_EXAMPLE = {
    "id": "019b2f6e-5c00-7d11-8a55-0f6f4bb3c003",
    "email": "ann@example.org",
    "name": "Ann",
    "locale": "en",
    "attributes": {"city": "Basel"},
    "state": "confirmed",
    "source": "form",
    "created_at": "2026-01-31T08:00:00.000000Z",
    "confirmed_at": "2026-01-31T08:00:09.000000Z",
    "unsubscribed_at": None,
    "paused_until": None,
    "self": "https://news.example.org/api/v1/lists/sport/subscriptions/019b2f6e-5c00-7d11-8a55-0f6f4bb3c003",
}
_DETAILED = _EXAMPLE | {
    "subscriber_id": "019b2f6e-5c00-7d11-8a55-0f6f4bb3c004",
    "history": [
        {
            "event": "confirm",
            "at": "2026-01-31T08:00:09.000000Z",
            "before": "pending",
            "after": "confirmed",
            "way": "page",
            "words": None,
            "origin": None,
            "page": None,
            "network": "203.0.113.7",
        }
    ],
}


class Wanted(Paged):
    """Which subscriptions."""

    state = Several(state(), **told("In one of these states, separated by commas.", load_default=()))
    q = line(200, **told("Whose address or name holds this text, whatever its case.", load_default=""))
    without_paused = fields.Boolean(
        truthy={"true"},
        falsy={"false"},
        **told("`true`: not those who want no mail until a day that is still to come.", load_default=False),
    )
    source = line(32, **told("By which way they came: `form`, `api`, `import`, …", load_default=None))


class Profile(Fields):
    """What is kept of a person, the same on every list."""

    name = line(LONGEST_NAME, allow_none=True)
    locale = choice(*LANGUAGES, **told("The language in which they are written to."))
    attributes = fields.Dict(
        keys=fields.String(validate=validate.Length(min=1)),
        **told("Any JSON object of up to 10,000 characters; all of it is replaced."),
    )


class NewSubscription(Profile):
    """Somebody to be added."""

    email = fields.String(required=True, validate=validate.Length(min=1, max=1000))
    statement = fields.String(
        validate=validate.Length(min=1, max=LONGEST_STATEMENT),
        **told(
            "Where their consent came from, such as `signed at our stand on 2 May`: it is kept as "
            "evidence, and they are confirmed at once. Without it they are sent a mail to confirm."
        ),
    )


class Subscription(AboutAPerson, AboutASubscription):
    """How somebody stands with a list."""

    id = fields.UUID(required=True)
    state = state(required=True)
    self = address(required=True)


class Happening(Schema):
    """One thing that happened to a subscription: the evidence of consent."""

    event = choice(*(event.value for event in Event), required=True)
    at = Moment(required=True)
    before = state(required=True, allow_none=True)
    after = state(required=True, allow_none=True)
    way = fields.String(required=True)
    words = fields.String(required=True, allow_none=True, **told("What they read, or what was stated."))
    origin = fields.String(required=True, allow_none=True)
    page = fields.String(required=True, allow_none=True)
    network = fields.String(required=True, allow_none=True)


class SubscriptionWithHistory(Subscription):
    """How somebody stands with a list, and how that came about."""

    subscriber_id = fields.UUID(required=True, **told("The person, the same on every list."))
    history = fields.List(fields.Nested(Happening), required=True)


@resource.get("/lists/<slug>/subscriptions", scope=Scope.READ_SUBSCRIBERS)
@resource.arguments(Wanted, location="query")
@resource.response(200, page_of(Subscription), example={"items": [_EXAMPLE], "next": None})
def get_subscriptions(wanted: dict[str, Any], slug: str) -> Any:
    """Find subscriptions

    The newest first. A page may hold fewer than `limit`, or none, and yet have a next one: a search of many
    is made in steps.
    """
    mailing_list = list_or_404(slug)
    found = subscribers.search(
        db.session(),
        mailing_list.id,
        query=wanted["q"],
        states=[State(one) for one in wanted["state"]],
        source=wanted["source"],
        without_paused_at=_now() if wanted["without_paused"] else None,
        cursor=read_cursor(wanted["cursor"], UUID),
        limit=wanted["limit"],
    )
    return following([_listed(mailing_list, row) for row in found.rows], found.next)


@resource.post("/lists/<slug>/subscriptions", scope=Scope.WRITE_SUBSCRIBERS)
@resource.arguments(NewSubscription, example={"email": "ann@example.org", "name": "Ann"})
@resource.creates(SubscriptionWithHistory, example=_DETAILED)
@resource.alt_response(200, schema=SubscriptionWithHistory, description="They were confirmed before.")
def add_subscription(sent: dict[str, Any], slug: str) -> Response:
    """Add somebody to a list

    They are `pending` and sent a confirmation, or, with a statement of where their consent came from,
    `confirmed`. Whoever unsubscribed, bounced or complained is not added: 409.
    """
    mailing_list = list_or_404(slug)
    try:
        typed = parse_address(sent.pop("email"))
    except AddressError as error:
        raise Problem(422, "invalid", str(error), errors={"email": str(error)}) from error

    def make(session: Session, now: datetime) -> Made:
        added = subscribers.add(
            session,
            parts().settings,
            now,
            actor(),
            seen(request, "api"),
            mailing_list,
            Newcomer(typed, **sent),
        )
        return Made(_detailed(_find(session, mailing_list, added.id)), 201 if added.changed else 200)

    return create(make, SubscriptionWithHistory)


@resource.get("/lists/<slug>/subscriptions/<id:subscription_id>", scope=Scope.READ_SUBSCRIBERS)
@resource.response(200, SubscriptionWithHistory, example=_DETAILED)
def get_subscription(slug: str, subscription_id: UUID) -> dict[str, Any]:
    """Show a subscription, with its whole history"""
    return _detailed(_find(db.session(), list_or_404(slug), subscription_id))


@resource.patch("/lists/<slug>/subscriptions/<id:subscription_id>", scope=Scope.WRITE_SUBSCRIBERS)
@resource.arguments(Profile, example={"name": "Ann", "attributes": {"city": "Basel"}})
@resource.response(200, SubscriptionWithHistory, example=_DETAILED)
def edit_subscription(sent: dict[str, Any], slug: str, subscription_id: UUID) -> dict[str, Any]:
    """Change what is kept of a person

    On every list. What is left out stays as it is. The state changes by other calls.
    """
    mailing_list, session = list_or_404(slug), db.session()
    if "name" in sent:
        sent["name"] = sent["name"] or ""
    with write_transaction(session):
        found = _find(session, mailing_list, subscription_id)
        subscribers.edit(session, _now(), actor(), seen(request, "api"), found.id, Changes(**sent))
        return _detailed(_find(session, mailing_list, subscription_id))


@resource.post("/lists/<slug>/subscriptions/<id:subscription_id>/unsubscribe", scope=Scope.WRITE_SUBSCRIBERS)
@resource.response(200, SubscriptionWithHistory, example=_DETAILED | {"state": "unsubscribed"})
def unsubscribe(slug: str, subscription_id: UUID) -> dict[str, Any]:
    """End a subscription

    At once, as often as asked; mail that waits is not sent.
    """
    mailing_list, session = list_or_404(slug), db.session()
    with write_transaction(session):
        found = _find(session, mailing_list, subscription_id)
        subscribers.unsubscribe(session, parts().settings, _now(), actor(), seen(request, "api"), found.id)
        return _detailed(_find(session, mailing_list, subscription_id))


@resource.errorhandler(CannotAdd)
def _not_added(error: CannotAdd) -> Response:
    text = str(error)
    return api_problem(Problem(409, "not_added", f"Not added: {text}."))


@resource.errorhandler(ProfileError)
def _not_kept(error: ProfileError) -> Response:
    return api_problem(Problem(422, "invalid", sentence(error)))


@resource.errorhandler(SubscriberGone)
def _gone(_error: SubscriberGone) -> Response:
    return api_problem(nothing_there("subscription"))


def _now() -> datetime:
    return datetime.now(UTC)


def _find(session: Session, mailing_list: ListView, subscription_id: UUID) -> SubscriberView:
    found = subscribers.find(session, subscription_id)
    if found is None or found.list.id != mailing_list.id:
        raise nothing_there("subscription")
    return found


def _listed(mailing_list: ListView, row: Row) -> dict[str, Any]:
    where = whereabouts("lists", mailing_list.slug, "subscriptions", row.id)
    return asdict(row) | {"email": row.address, "self": where}


def _detailed(found: SubscriberView) -> dict[str, Any]:
    where = whereabouts("lists", found.list.slug, "subscriptions", found.id)
    history = [asdict(entry) | {"event": entry.kind} for entry in found.history]
    return vars(found) | {"email": found.address, "self": where, "history": history}

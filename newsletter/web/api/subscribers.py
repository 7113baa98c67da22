"""Subscribers: people, whatever lists they are on."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from flask import Response
from marshmallow import Schema, fields, validate

from newsletter.database import write_transaction
from newsletter.domain.addresses import AddressError, parse_address
from newsletter.domain.roles import Scope
from newsletter.extensions import db
from newsletter.parts import parts
from newsletter.services import people, subscribers
from newsletter.services.people import Person
from newsletter.services.subscribers import CannotSuppress, SubscriberGone
from newsletter.web.api.access import actor
from newsletter.web.api.resource import Resource, nothing_there, whereabouts
from newsletter.web.api.schemas import AboutAPerson, AboutASubscription, Fields, Moment, address, state, told
from newsletter.web.problems import Problem, api_problem

resource = Resource("subscribers", "People, whatever lists they are on.")

_EXAMPLE = {
    "id": "019b2f6e-5c00-7d11-8a55-0f6f4bb3c004",
    "email": "ann@example.org",
    "name": "Ann",
    "locale": "en",
    "attributes": {"city": "Basel"},
    "created_at": "2026-01-31T08:00:00.000000Z",
    "self": "https://news.example.org/api/v1/subscribers/019b2f6e-5c00-7d11-8a55-0f6f4bb3c004",
    "subscriptions": [
        {
            "id": "019b2f6e-5c00-7d11-8a55-0f6f4bb3c003",
            "list": "sport",
            "state": "confirmed",
            "source": "form",
            "created_at": "2026-01-31T08:00:00.000000Z",
            "confirmed_at": "2026-01-31T08:00:09.000000Z",
            "unsubscribed_at": None,
            "paused_until": None,
            "self": "https://news.example.org/api/v1/lists/sport/subscriptions/"
            "019b2f6e-5c00-7d11-8a55-0f6f4bb3c003",
        }
    ],
}


class Address(Fields):
    """Whose address."""

    email = fields.String(required=True, validate=validate.Length(min=1, max=1000))


class Erasure(Fields):
    """What else is to be done."""

    suppress = fields.Boolean(
        truthy={"true"},
        falsy={"false"},
        **told("`true`: their address is never mailed again, by whatever list.", load_default=False),
    )


class OnAList(AboutASubscription):
    """How a person stands with one list."""

    id = fields.UUID(required=True)
    list = fields.String(required=True, **told("The list's slug."))
    state = state(required=True)
    self = address(required=True)


class Subscriber(AboutAPerson):
    """A person, with the subscriptions that the token may see."""

    id = fields.UUID(required=True)
    created_at = Moment(required=True)
    subscriptions = fields.List(fields.Nested(OnAList), required=True)
    self = address(required=True)


class Subscribers(Schema):
    """The one with an address, or nobody."""

    items = fields.List(fields.Nested(Subscriber), required=True)


class Erased(Schema):
    """What went."""

    subscriptions = fields.Integer(required=True)
    wholly = fields.Boolean(
        required=True, **told("Whether nothing is left of them: no list that the token does not see.")
    )


@resource.get("/subscribers", scope=Scope.READ_SUBSCRIBERS)
@resource.arguments(Address, location="query")
@resource.response(200, Subscribers, example={"items": [_EXAMPLE]})
def find_subscriber(asked: dict[str, Any]) -> dict[str, Any]:
    """Find a person by their address"""
    try:
        typed = parse_address(asked["email"])
    except AddressError as error:
        raise Problem(422, "invalid", str(error), errors={"email": str(error)}) from error
    found = people.find_identity(db.session(), actor(), typed.identity)
    return {"items": [_shown(found)] if found is not None else []}


@resource.get("/subscribers/<id:subscriber_id>", scope=Scope.READ_SUBSCRIBERS)
@resource.response(200, Subscriber, example=_EXAMPLE)
def get_subscriber(subscriber_id: UUID) -> dict[str, Any]:
    """Show a person, with their subscriptions"""
    return _shown(_find(subscriber_id))


@resource.delete("/subscribers/<id:subscriber_id>", scope=Scope.WRITE_SUBSCRIBERS)
@resource.arguments(Erasure, location="query")
@resource.response(200, Erased, example={"subscriptions": 1, "wholly": True})
def erase_subscriber(how: dict[str, Any], subscriber_id: UUID) -> Any:
    """Erase a person

    Their subscriptions that the token may see, the evidence and the mails of these; and, where none are left,
    the person. This cannot be undone. What stays is one event in each list's change feed that tells nothing
    but that.
    """
    session = db.session()
    with write_transaction(session):
        return subscribers.erase(
            session,
            parts().settings,
            datetime.now(UTC),
            actor(),
            _find(subscriber_id).standings[0].id,
            way="api",
            suppress=how["suppress"],
        )


@resource.errorhandler(SubscriberGone)
def _gone(_error: SubscriberGone) -> Response:
    return api_problem(nothing_there("subscriber"))


@resource.errorhandler(CannotSuppress)
def _not_suppressed(_error: CannotSuppress) -> Response:
    detail = "Only a token for all lists can keep an address from all mail."
    return api_problem(Problem(403, "certain_lists_only", detail))


def _find(subscriber_id: UUID) -> Person:
    found = people.find(db.session(), actor(), subscriber_id)
    if found is None:
        raise nothing_there("subscriber")
    return found


def _shown(person: Person) -> dict[str, Any]:
    return vars(person) | {
        "email": person.address,
        "self": whereabouts("subscribers", person.id),
        "subscriptions": [
            vars(standing)
            | {
                "list": standing.slug,
                "self": whereabouts("lists", standing.slug, "subscriptions", standing.id),
            }
            for standing in person.standings
        ],
    }

"""Lists: what people subscribe to."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from flask import Response
from marshmallow import Schema, fields, validate
from sqlalchemy.orm import Session

from newsletter.database import write_transaction
from newsletter.domain.extra_mails import LONGEST_WELCOME, MOST_HOURS
from newsletter.domain.languages import LANGUAGES
from newsletter.domain.lifecycle import State
from newsletter.domain.roles import Scope
from newsletter.extensions import db
from newsletter.services import audit, lists, overview
from newsletter.services.lists import ListError, ListView
from newsletter.web.api.access import actor, list_or_404, must_see_all
from newsletter.web.api.creating import Made, create
from newsletter.web.api.resource import Resource, whereabouts
from newsletter.web.api.schemas import Fields, Moment, address, choice, line, told
from newsletter.web.problems import Problem, api_problem, sentence

resource = Resource("lists", "What people subscribe to.")

_EXAMPLE = {
    "id": "019b2f6e-5c00-7d11-8a55-0f6f4bb3c001",
    "slug": "sport",
    "name": "Sport",
    "headline": None,
    "invitation": "Get the scores directly in your inbox!",
    "sender": "Sport Desk <sport@news.example.org>",
    "sites": ["https://www.example.org"],
    "return_urls": [],
    "locale": "en",
    "reminder_after_hours": 48,
    "welcome": None,
    "created_at": "2026-01-31T08:00:00.000000Z",
    "self": "https://news.example.org/api/v1/lists/sport",
}


class ListSettings(Fields):
    """What a list's readers see, and where its form may stand."""

    name = line(200, least=1, **told("What its readers call it."))
    headline = line(200, **told("The words over its page.", allow_none=True))
    invitation = line(200, **told("The words over its form.", allow_none=True))
    sender = line(320, **told("`Name <address>`; without it, the service's own.", allow_none=True))
    sites = fields.List(
        line(1000), validate=validate.Length(max=100), **told("Exact origins that may embed its form.")
    )
    return_urls = fields.List(
        line(1000), validate=validate.Length(max=100), **told("Where its form may lead afterwards.")
    )
    locale = choice(*LANGUAGES, **told("Its language; without it, the visitor's.", allow_none=True))
    reminder_after_hours = fields.Integer(
        strict=True,
        validate=validate.Range(min=1, max=MOST_HOURS),
        **told(
            "After how many hours who has not confirmed is reminded, once; without it, never.",
            allow_none=True,
        ),
    )
    welcome = line(
        LONGEST_WELCOME,
        **told("Plain text that whoever confirms is mailed; without it, nothing is sent.", allow_none=True),
    )


class NewList(ListSettings):
    """A list to be made."""

    slug = fields.String(
        required=True,
        validate=validate.Regexp(
            f"^{lists.SLUG.pattern}$", error="Must be 1 to 64 of a-z, 0-9 and -, and no - at its ends."
        ),
        **told("Its name in addresses and commands, for good."),
    )
    name = line(200, least=1, **told("What its readers call it.", required=True))


class MailingList(Schema):
    """A list."""

    id = fields.UUID(required=True)
    slug = fields.String(required=True)
    name = fields.String(required=True)
    headline = fields.String(required=True, allow_none=True)
    invitation = fields.String(required=True, allow_none=True)
    sender = fields.String(required=True, allow_none=True)
    sites = fields.List(fields.String(), required=True)
    return_urls = fields.List(fields.String(), required=True)
    locale = fields.String(required=True, allow_none=True)
    reminder_after_hours = fields.Integer(required=True, allow_none=True)
    welcome = fields.String(required=True, allow_none=True)
    created_at = Moment(required=True)
    self = address(required=True)


class CountedList(MailingList):
    """A list, and how many subscriptions are in which state: as of a moment ago, when the worker counted."""

    subscriptions = fields.Dict(
        keys=fields.String(validate=validate.OneOf([state.value for state in State])),
        values=fields.Integer(),
        required=True,
    )


class Lists(Schema):
    """All lists that the token may see, the oldest first."""

    items = fields.List(fields.Nested(MailingList), required=True)


@resource.get("/lists", scope=Scope.READ_LISTS)
@resource.response(200, Lists, example={"items": [_EXAMPLE]})
def get_lists() -> dict[str, Any]:
    """Show the lists that the token may see"""
    return {"items": [_shown(one) for one in lists.every(db.session()) if actor().sees(one.id)]}


@resource.post("/lists", scope=Scope.ADMIN)
@resource.arguments(NewList, example={"slug": "sport", "name": "Sport"})
@resource.creates(MailingList, example=_EXAMPLE)
def add_list(settings: dict[str, Any]) -> Response:
    """Make a list

    For tokens that see all lists: another would not see the new one.
    """
    must_see_all()
    return create(lambda session, now: _add(session, now, settings), MailingList)


def _add(session: Session, now: datetime, settings: dict[str, Any]) -> Made:
    try:
        added = lists.add(session, now, **settings)
    except ListError as error:
        if lists.find(session, settings["slug"]) is None:
            raise
        raise Problem(409, "conflict", f"There is a list {settings['slug']!r} already.") from error
    audit.record(session, now, actor(), "list.added", list_id=added.id, subject=added.slug)
    return Made(_shown(added))


@resource.get("/lists/<slug>", scope=Scope.READ_LISTS)
@resource.response(
    200,
    CountedList,
    example=_EXAMPLE | {"subscriptions": {"pending": 3, "confirmed": 1200, "unsubscribed": 40}},
)
def get_list(slug: str) -> dict[str, Any]:
    """Show a list, and how many subscriptions it has in each state"""
    found = list_or_404(slug)
    counts = overview.states_of(db.session(), [found.id])[found.id]
    return _shown(found) | {"subscriptions": {state.value: number for state, number in counts.items()}}


@resource.patch("/lists/<slug>", scope=Scope.WRITE_LISTS)
@resource.arguments(ListSettings, example={"invitation": "Get the scores directly in your inbox!"})
@resource.response(200, MailingList, example=_EXAMPLE)
def edit_list(changes: dict[str, Any], slug: str) -> dict[str, Any]:
    """Change a list

    What is left out stays as it is; null takes it away.
    """
    found = list_or_404(slug)
    session, now = db.session(), datetime.now(UTC)
    with write_transaction(session):
        edited = lists.edit(session, found.slug, changes)
        if edited != found:
            changed = sorted(name for name in changes if getattr(edited, name) != getattr(found, name))
            audit.record(
                session, now, actor(), "list.edited", list_id=found.id, subject=found.slug, changed=changed
            )
    return _shown(edited)


@resource.errorhandler(ListError)
def _refuse(error: ListError) -> Response:
    return api_problem(Problem(422, "invalid", sentence(error)))


def _shown(found: ListView) -> dict[str, Any]:
    return asdict(found) | {"self": whereabouts("lists", found.slug)}

"""The change feed: what happened to a list's subscriptions, for whoever keeps a copy of it."""

from __future__ import annotations

from typing import Any

from flask import Response
from marshmallow import Schema, fields, validate

from newsletter.domain.lifecycle import Event
from newsletter.domain.roles import Scope
from newsletter.extensions import db
from newsletter.services.changes import AheadOfJournal, ndjson
from newsletter.web.api.access import list_or_404
from newsletter.web.api.resource import Resource, media_type
from newsletter.web.api.schemas import AboutAPerson, AboutASubscription, Fields, Moment, choice, state, told
from newsletter.web.problems import Problem, sentence

resource = Resource("changes", "What happened to the subscriptions of a list, in order and complete.")

_LINES = "application/x-ndjson"
_LARGEST_SEQ = 2**63 - 1
_EXAMPLE = """\
{"seq":41,"at":"2026-01-31T08:00:09.000000Z","event":"confirm","id":"019b2f6e-5c00-7d11-8a55-0f6f4bb3c001",\
"state":"confirmed","subscriber":{"email":"ann@example.org","name":null,"locale":"en","source":"form",\
"created_at":"2026-01-31T08:00:00.000000Z","confirmed_at":"2026-01-31T08:00:09.000000Z","unsubscribed_at":null,\
"paused_until":null,"attributes":{}}}
{"next":41}
"""


class From(Fields):
    """Where the feed begins."""

    since = fields.Integer(
        validate=validate.Range(min=0, max=_LARGEST_SEQ),
        **told("What `next` of the answer before said; 0 for all from the beginning.", load_default=0),
    )
    limit = fields.Integer(
        validate=validate.Range(min=1, max=1_000_000),
        **told("How many changes at most; without it, all up to the end.", load_default=None),
    )


class Held(AboutAPerson, AboutASubscription):
    """What is held of a subscriber now."""


class Change(Schema):
    """One line of the feed. The last line is another: `{"next": SEQ}`."""

    seq = fields.Integer(required=True, **told("Its place in the journal."))
    at = Moment(required=True)
    event = choice(*(event.value for event in Event), required=True)
    id = fields.UUID(required=True, **told("The subscription."))
    state = state(required=True, allow_none=True, **told("The state after it; null where it was forgotten."))
    subscriber = fields.Nested(
        Held, required=True, allow_none=True, **told("What is held now; null where they were erased since.")
    )


@resource.get("/lists/<slug>/changes", scope=Scope.READ_SUBSCRIBERS)
@resource.arguments(From, location="query")
@resource.streams(_LINES, example=_EXAMPLE)
def get_changes(begin: dict[str, Any], slug: str) -> Response:
    """Follow what happens to a list

    One JSON object a line, as the schema `Change` has it, in the order of `seq`. The last line is
    `{"next": SEQ}`: ask again with `since=SEQ`. An answer without that line was cut short: ask again with the
    `seq` of the last whole line. Nothing is ever left out, and a change appears within a second or so.
    """
    mailing_list = list_or_404(slug)
    try:
        lines = ndjson(db.engine, mailing_list.id, begin["since"], limit=begin["limit"])
    except AheadOfJournal as error:
        wrong = {"since": "Is past the end."}
        raise Problem(422, "ahead_of_journal", sentence(error), errors=wrong) from error
    return Response(lines, content_type=media_type(_LINES))

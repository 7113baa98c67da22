"""API tokens, made and revoked by a program: for no more than its own token may do, and for no longer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from flask import Response
from marshmallow import Schema, fields, validate
from sqlalchemy.orm import Session

from newsletter.database import write_transaction
from newsletter.domain.roles import Scope
from newsletter.extensions import db
from newsletter.services import tokens
from newsletter.services.access import TooMuch
from newsletter.services.tokens import TokenError, TokenView
from newsletter.web.api.access import actor, lists_by_slug, must_see_all, refuse_too_much, slugs_of
from newsletter.web.api.access import token_id as calling_token
from newsletter.web.api.creating import Made, create
from newsletter.web.api.operators import certain_lists
from newsletter.web.api.paging import Paged, page, page_of, read_cursor
from newsletter.web.api.resource import Resource, nothing_there, whereabouts
from newsletter.web.api.schemas import Fields, Moment, address, choice, line, told
from newsletter.web.problems import Problem, api_problem, sentence

resource = Resource("tokens", "Tokens for this API. For tokens that see all lists.")

_EXAMPLE = {
    "id": "019b2f6e-5c00-7d11-8a55-0f6f4bb3c009",
    "hint": "nlt_Ab3dE6gh",
    "name": "nightly copy",
    "scopes": ["exports"],
    "lists": ["sport"],
    "created_by": "token nlt_Zy8wV5ut (set-up)",
    "created_at": "2026-01-31T08:00:00.000000Z",
    "expires_at": "2027-01-31T08:00:00.000000Z",
    "last_used_at": None,
    "revoked_at": None,
    "self": "https://news.example.org/api/v1/tokens/019b2f6e-5c00-7d11-8a55-0f6f4bb3c009",
}
_USUAL_LIFE, _LONGEST_LIFE = 365, 3650  # days


class NewToken(Fields):
    """A token to be made."""

    name = line(200, least=1, **told("Who will use it.", required=True))
    scopes = fields.List(
        choice(*Scope), required=True, validate=validate.Length(min=1), **told("What it may do.")
    )
    lists = certain_lists(required=True)
    expires_days = fields.Integer(
        strict=True,
        allow_none=True,
        validate=validate.Range(min=1, max=_LONGEST_LIFE),
        **told(
            f"How many days it lives, {_USUAL_LIFE} unless told otherwise, and no longer than the token that "
            "makes it; null is for ever."
        ),
    )


class Token(Schema):
    """A token, without its text."""

    id = fields.UUID(required=True)
    hint = fields.String(required=True, **told("How its text begins."))
    name = fields.String(required=True)
    scopes = fields.List(fields.String(), required=True)
    lists = fields.List(
        fields.String(), required=True, allow_none=True, **told("The slugs of its lists; null is all lists.")
    )
    created_by = fields.String(required=True)
    created_at = Moment(required=True)
    expires_at = Moment(required=True, allow_none=True)
    last_used_at = Moment(required=True, allow_none=True)
    revoked_at = Moment(required=True, allow_none=True)
    self = address(required=True)


class FreshToken(Token):
    """A token and its text, which is shown this once and known to nobody afterwards."""

    token = fields.String(required=True, allow_none=True, **told("Its text. Null in a replayed answer."))


@resource.get("/tokens", scope=Scope.ADMIN)
@resource.arguments(Paged, location="query")
@resource.response(200, page_of(Token), example={"items": [_EXAMPLE], "next": None})
def get_tokens(asked: dict[str, Any]) -> Any:
    """Show tokens, the newest first

    Those that were revoked or expired, too.
    """
    must_see_all()
    limit = asked["limit"]
    found = tokens.page(db.session(), read_cursor(asked["cursor"], UUID), limit + 1)
    items, status, headers = page(found, limit, lambda one: one.id)
    return items | {"items": [_shown(one) for one in items["items"]]}, status, headers


@resource.post("/tokens", scope=Scope.ADMIN)
@resource.arguments(NewToken, example={"name": "nightly copy", "scopes": ["exports"], "lists": ["sport"]})
@resource.creates(FreshToken, example=_EXAMPLE | {"token": "nlt_Ab3dE6gh…"})
def make_token(sent: dict[str, Any]) -> Response:
    """Make a token

    It may do no more than the token that makes it, and lives no longer.
    """
    must_see_all()
    seen = lists_by_slug(sent["lists"])

    def make(session: Session, now: datetime) -> Made:
        made, text = tokens.add(
            session,
            now,
            actor(),
            name=sent["name"],
            scopes=[Scope(one) for one in dict.fromkeys(sent["scopes"])],
            lists=seen,
            life=_life(sent, now),
        )
        return Made(_shown(made) | {"token": text})

    return create(make, FreshToken, once="token")


@resource.get("/tokens/<id:token_id>", scope=Scope.ADMIN)
@resource.response(200, Token, example=_EXAMPLE)
def get_token(token_id: UUID) -> dict[str, Any]:
    """Show a token"""
    must_see_all()
    return _shown(_found(db.session(), token_id))


@resource.post("/tokens/<id:token_id>/revoke", scope=Scope.ADMIN)
@resource.response(200, Token, example=_EXAMPLE | {"revoked_at": "2026-02-01T08:00:00.000000Z"})
@resource.alt_response(409, "CONFLICT")
def revoke_token(token_id: UUID) -> dict[str, Any]:
    """Revoke a token

    Whatever uses it is refused from now on, and that cannot be undone. Doing so twice changes nothing. No
    token revokes itself, so that a program does not lock itself out: make another first.
    """
    must_see_all()
    if token_id == calling_token():
        raise Problem(409, "own_token", "This call is made with that token: revoke it with another one.")
    session = db.session()
    with write_transaction(session):
        found = _found(session, token_id)
        return _shown(tokens.revoke(session, datetime.now(UTC), actor(), found.id))


@resource.errorhandler(TokenError)
def _refuse(error: TokenError) -> Response:
    return api_problem(Problem(422, "invalid", sentence(error)))


resource.errorhandler(TooMuch)(refuse_too_much)


def _life(sent: dict[str, Any], now: datetime) -> timedelta | None:
    if "expires_days" in sent:
        days = sent["expires_days"]
        return timedelta(days=days) if days is not None else None
    usual, until = timedelta(days=_USUAL_LIFE), actor().until
    return usual if until is None else min(usual, until - now)


def _found(session: Session, token_id: UUID) -> TokenView:
    found = tokens.find(session, token_id)
    if found is None:
        raise nothing_there("token")
    return found


def _shown(found: TokenView) -> dict[str, Any]:
    return vars(found) | {
        "scopes": sorted(found.scopes),
        "lists": slugs_of(found.lists),
        "self": whereabouts("tokens", found.id),
    }

"""Operators: who may log in to the console, invited, changed and reset by a program. What it gives is never
more than its token holds."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from flask import Response
from marshmallow import Schema, fields, validate
from sqlalchemy.orm import Session

from newsletter.database import write_transaction
from newsletter.domain.roles import Role, Scope
from newsletter.extensions import db
from newsletter.invitations import invitation_link
from newsletter.services import operators
from newsletter.services.access import TooMuch
from newsletter.services.operators import OperatorError, OperatorView
from newsletter.web.api.access import actor, lists_by_slug, must_see_all, refuse_too_much, slugs_of
from newsletter.web.api.creating import Made, create
from newsletter.web.api.resource import Resource, nothing_there, whereabouts
from newsletter.web.api.schemas import Fields, Moment, TrueOrFalse, address, choice, line, told
from newsletter.web.problems import Problem, api_problem, sentence

resource = Resource("operators", "Who may log in to the console. For tokens that see all lists.")

_EXAMPLE = {
    "id": "019b2f6e-5c00-7d11-8a55-0f6f4bb3c008",
    "email": "bea@example.org",
    "role": "editor",
    "lists": ["sport"],
    "state": "invited",
    "second_factor": False,
    "created_at": "2026-01-31T08:00:00.000000Z",
    "last_login_at": None,
    "self": "https://news.example.org/api/v1/operators/019b2f6e-5c00-7d11-8a55-0f6f4bb3c008",
}
_INVITATION = {"invitation": "https://news.example.org/operator/welcome/IjAxOWIyZjZl"}
MOST_LISTS = 1000


def certain_lists(**more: Any) -> fields.List[Any]:
    """Lists by their slugs; null is all lists."""
    return fields.List(
        line(64),
        allow_none=True,
        validate=validate.Length(min=1, max=MOST_LISTS),
        **told("The slugs of the lists that they may see; null is all lists.", **more),
    )


class OperatorChanges(Fields):
    """What is to be changed."""

    role = choice(*Role, **told("What they may do; an owner sees all lists."))
    lists = certain_lists()
    disabled = TrueOrFalse(**told("Whether they are kept out; who is logged in is logged out."))


class NewOperator(Fields):
    """Somebody to be invited."""

    email = line(320, least=3, required=True)
    role = choice(*Role, **told("What they may do; an owner sees all lists.", required=True))
    lists = certain_lists(required=True)


class Operator(Schema):
    """Somebody who may log in."""

    id = fields.UUID(required=True)
    email = fields.String(required=True)
    role = choice(*Role, required=True)
    lists = fields.List(
        fields.String(),
        required=True,
        allow_none=True,
        **told("The slugs of their lists; null is all."),
    )
    state = choice("invited", "active", "disabled", required=True)
    second_factor = fields.Boolean(required=True)
    created_at = Moment(required=True)
    last_login_at = Moment(required=True, allow_none=True)
    self = address(required=True)


class InvitedOperator(Operator):
    """An operator, and the link by which they set a password, once, within a day. It is shown this once."""

    invitation = fields.String(
        required=True,
        allow_none=True,
        metadata={"format": "uri", "description": "Null in a replayed answer."},
    )


class Operators(Schema):
    """All operators, by their address."""

    items = fields.List(fields.Nested(Operator), required=True)


@resource.get("/operators", scope=Scope.ADMIN)
@resource.response(200, Operators, example={"items": [_EXAMPLE]})
def get_operators() -> dict[str, Any]:
    """Show who may log in"""
    must_see_all()
    return {"items": [_shown(one) for one in operators.every(db.session())]}


@resource.post("/operators", scope=Scope.ADMIN)
@resource.arguments(NewOperator, example={"email": "bea@example.org", "role": "editor", "lists": ["sport"]})
@resource.creates(InvitedOperator, example=_EXAMPLE | _INVITATION)
def invite_operator(sent: dict[str, Any]) -> Response:
    """Invite somebody

    No mail is sent: the answer holds the link, to be given to them. Nobody gets more than the token may do.
    """
    must_see_all()
    role, seen = Role(sent["role"]), lists_by_slug(sent["lists"])
    _must_fit(role, seen)

    def make(session: Session, now: datetime) -> Made:
        if operators.find_by_address(session, sent["email"]) is not None:
            raise Problem(409, "conflict", "There is an operator with this address already.")
        added = operators.add(session, now, actor(), address=sent["email"], role=role, lists=seen)
        return Made(_shown(added) | {"invitation": invitation_link(added, now)})

    return create(make, InvitedOperator, once="invitation")


@resource.get("/operators/<id:operator_id>", scope=Scope.ADMIN)
@resource.response(200, Operator, example=_EXAMPLE)
def get_operator(operator_id: UUID) -> dict[str, Any]:
    """Show an operator"""
    must_see_all()
    return _shown(_found(db.session(), operator_id))


@resource.patch("/operators/<id:operator_id>", scope=Scope.ADMIN)
@resource.arguments(OperatorChanges, example={"role": "viewer"})
@resource.response(200, Operator, example=_EXAMPLE | {"role": "viewer"})
@resource.alt_response(409, "CONFLICT")
def edit_operator(changes: dict[str, Any], operator_id: UUID) -> dict[str, Any]:
    """Change an operator

    What is left out stays as it is. The last owner who can log in stays one.
    """

    def edit(session: Session, now: datetime, found: OperatorView) -> OperatorView:
        role = Role(changes.get("role", found.role))
        seen = lists_by_slug(changes["lists"]) if "lists" in changes else found.lists
        _must_fit(role, seen if "lists" in changes else None)
        disabled = changes.get("disabled", found.disabled_at is not None)
        try:
            return operators.edit(session, now, actor(), found.id, role=role, lists=seen, disabled=disabled)
        except OperatorError as error:
            raise Problem(409, "last_owner", sentence(error)) from error

    return _shown(_after(operator_id, edit)[0])


@resource.post("/operators/<id:operator_id>/reset", scope=Scope.ADMIN)
@resource.response(200, InvitedOperator, example=_EXAMPLE | _INVITATION)
def reset_operator(operator_id: UUID) -> dict[str, Any]:
    """Reset an operator

    They are logged out, and their password and second factor no longer count: the link in the answer is the
    only way in.
    """
    found, now = _after(
        operator_id, lambda session, now, found: operators.reset(session, now, actor(), found.id)
    )
    return _shown(found) | {"invitation": invitation_link(found, now)}


@resource.errorhandler(OperatorError)
def _refuse(error: OperatorError) -> Response:
    return api_problem(Problem(422, "invalid", sentence(error)))


resource.errorhandler(TooMuch)(refuse_too_much)


def _must_fit(role: Role, seen: object) -> None:
    if role is Role.OWNER and seen is not None:
        wrong = {"lists": "Must be null for an owner, who sees all lists."}
        raise Problem(422, "invalid", "The lists do not fit the role.", errors=wrong)


def _after(
    operator_id: UUID, act: Callable[[Session, datetime, OperatorView], OperatorView]
) -> tuple[OperatorView, datetime]:
    """The operator after something was done, and when."""
    must_see_all()
    session, now = db.session(), datetime.now(UTC)
    with write_transaction(session):
        return act(session, now, _found(session, operator_id)), now


def _found(session: Session, operator_id: UUID) -> OperatorView:
    found = operators.find(session, operator_id)
    if found is None:
        raise nothing_there("operator")
    return found


def _shown(found: OperatorView) -> dict[str, Any]:
    state = "disabled" if found.disabled_at else "invited" if found.password_hash is None else "active"
    return {
        "id": found.id,
        "email": found.address,
        "role": found.role,
        "lists": slugs_of(found.lists),
        "state": state,
        "second_factor": found.totp_secret is not None,
        "created_at": found.created_at,
        "last_login_at": found.last_login_at,
        "self": whereabouts("operators", found.id),
    }

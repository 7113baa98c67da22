"""Who calls: the token of a request, what it may do, and how often (checklist O4)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from uuid import UUID

from flask import Response, g, request

from newsletter.domain.roles import Scope
from newsletter.extensions import db
from newsletter.services import lists, tokens
from newsletter.services.access import Actor, TooMuch
from newsletter.services.api_use import Allowance
from newsletter.services.lists import ListView
from newsletter.services.tokens import BadToken, TokenView
from newsletter.web.limiting import limits
from newsletter.web.problems import Problem, api_problem, sentence
from newsletter.web.seeing import network

_REALM = 'Bearer realm="newsletter"'
_HOW = "send one as Authorization: Bearer nlt_..."


def admit(scope: Scope) -> None:
    """Let a call in, or raise the `Problem` that says why not."""
    token = g.api_token = _authenticated()
    g.actor_of_token = acting = token.actor(network(request.remote_addr))
    g.allowance = allowance = limits().use(token)
    if allowance.over:
        raise Problem(
            429,
            "too_many_requests",
            f"This token may make {allowance.limit.amount} calls in {allowance.limit.seconds} seconds. "
            f"Try again in {allowance.seconds} seconds.",
            headers={"Retry-After": str(allowance.seconds)},
        )
    if not acting.may(scope):
        raise Problem(
            403,
            "missing_scope",
            f"This token does not have the scope {scope.value}, which this call needs.",
            headers={"WWW-Authenticate": f'{_REALM}, error="insufficient_scope", scope="{scope.value}"'},
        )


def actor() -> Actor:
    """On whose behalf this call is."""
    found: Actor = g.actor_of_token
    return found


def token_id() -> UUID:
    """The token of this call."""
    found: UUID = g.api_token.id
    return found


def list_or_404(slug: str) -> ListView:
    """The list; to a token that may not see it, it does not exist."""
    mailing_list = lists.find(db.session(), slug)
    if mailing_list is None or not actor().sees(mailing_list.id):
        raise Problem(404, "not_found", f"There is no list {slug!r} that this token may see.")
    return mailing_list


def must_see_all() -> None:
    """Raise the `Problem` unless the token is for all lists: what belongs to the whole service is not for
    others."""
    if actor().lists is not None:
        raise Problem(403, "certain_lists_only", "This token is for certain lists, and this call for all.")


def slugs_of(ids: Collection[UUID] | None) -> list[str] | None:
    """The slugs of lists, as they are shown; None is all lists."""
    return None if ids is None else sorted(one.slug for one in lists.every(db.session()) if one.id in ids)


def lists_by_slug(slugs: Sequence[str] | None) -> list[UUID] | None:
    """The lists that are named; None is all lists. Raises the `Problem` where there is no such list."""
    if slugs is None:
        return None
    found = lists.find_many(db.session(), slugs)
    missing = next((slug for slug in slugs if slug not in found), None)
    if missing is not None:
        wrong = {"lists": f"There is no list {missing!r} that this token may see."}
        raise Problem(422, "invalid", "A list is not known.", errors=wrong)
    return [one.id for one in found.values()]


def refuse_too_much(error: TooMuch) -> Response:
    """The answer to who would give more than they have."""
    return api_problem(Problem(403, "exceeds_token", sentence(error)))


def tell_allowance(response: Response) -> Response:
    """How many calls are left (the RateLimit fields of draft-ietf-httpapi-ratelimit-headers)."""
    allowance: Allowance | None = g.get("allowance")
    if allowance is not None:
        limit = allowance.limit
        response.headers["RateLimit-Policy"] = f'"token";q={limit.amount};w={limit.seconds}'
        response.headers["RateLimit"] = f'"token";r={allowance.left};t={allowance.seconds}'
    return response


def _authenticated() -> TokenView:
    header = request.headers.get("Authorization")
    if header is None:
        raise Problem(
            401,
            "missing_token",
            f"This call needs an API token: {_HOW}.",
            headers={"WWW-Authenticate": _REALM},
        )
    scheme, _, text = header.partition(" ")
    if scheme.lower() != "bearer" or not text.strip():
        raise _refusal("unknown_token", f"The Authorization header holds no API token: {_HOW}.")
    try:
        return tokens.authenticate(db.session(), datetime.now(UTC), text.strip())
    except BadToken as bad:
        raise _refusal(f"{bad.reason}_token", str(bad)) from bad


def _refusal(name: str, detail: str) -> Problem:
    challenge = f'{_REALM}, error="invalid_token", error_description="{detail}"'
    return Problem(
        401, name, detail, headers={"WWW-Authenticate": challenge.encode("ascii", "replace").decode()}
    )

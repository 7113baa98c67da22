"""Who may see which page of the console: a decorator on each view, and lists that are 404 to whoever may not
see them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from typing import ParamSpec, TypeVar

from flask import Blueprint, Response, abort, g, redirect, render_template, request, session, url_for
from werkzeug.wrappers import Response as BaseResponse

from newsletter.database import write_transaction
from newsletter.domain.roles import Scope
from newsletter.extensions import db
from newsletter.services import lists, logins
from newsletter.services.access import Actor
from newsletter.services.lists import ListView
from newsletter.services.logins import OpenSession
from newsletter.services.operators import Ended, OperatorView
from newsletter.web.errors import NoSuchList
from newsletter.web.seeing import network

operator = Blueprint("operator", __name__, url_prefix="/operator")

_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

# What a list's navigation shows, and what it needs; the first is where a list leads.
LIST_ROOMS = [
    ("operator.show_list", "Overview", Scope.READ_LISTS),
    ("operator.show_subscribers", "Subscribers", Scope.READ_SUBSCRIBERS),
    ("operator.show_exports", "Exports", Scope.EXPORT),
    ("operator.show_imports", "Imports", Scope.IMPORT),
    ("operator.show_outbox", "Outbox", Scope.OUTBOX),
    ("operator.show_webhooks", "Webhooks", Scope.WEBHOOKS),
    ("operator.show_settings", "Settings", Scope.READ_LISTS),
]
SERVICE_ROOMS = [
    ("operator.show_operators", "Operators"),
    ("operator.show_tokens", "API tokens"),
    ("operator.show_audit", "Audit log"),
]

_BECAUSE = {
    Ended.PASSWORD: "your password was changed",
    Ended.SECOND_FACTOR_ON: "the second factor was switched on, and this browser logged in without it",
    Ended.SECOND_FACTOR_OFF: "the second factor was switched off",
    Ended.RECOVERY_CODES: "new recovery codes were made",
    Ended.RECOVERY_CODE_USED: "somebody logged in with one of your recovery codes",
    Ended.RIGHTS: "what you may do was changed",
    Ended.DISABLED: "your account was disabled",
    Ended.RESET: "your password and second factor were reset",
}
P = ParamSpec("P")
R = TypeVar("R")


def needs(*scopes: Scope) -> Callable[[Callable[P, R]], Callable[P, R | BaseResponse | tuple[str, int]]]:
    """A view for operators who are logged in and hold all of these scopes."""

    def decorate(view: Callable[P, R]) -> Callable[P, R | BaseResponse | tuple[str, int]]:
        @wraps(view)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R | BaseResponse | tuple[str, int]:
            if logged_in() is None:
                return _to_login()
            if not all(actor().may(scope) for scope in scopes):
                return render_template("operator/forbidden.html"), 403
            return view(*args, **kwargs)

        return guarded

    return decorate


def logged_in() -> OpenSession | None:
    """The session of this request; None where nobody is logged in."""
    if "operator_session" not in g:
        g.operator_session = _find_session()
    found: OpenSession | None = g.operator_session
    return found


def me() -> OperatorView:
    """The operator who is logged in."""
    found = logged_in()
    assert found is not None
    return found.operator


def here() -> str:
    """What names the session of this request."""
    found = logged_in()
    assert found is not None
    return found.digest


def why_logged_out() -> str | None:
    """Why the session that this browser comes with has ended, to be shown; None where nobody ended it."""
    key = session.get("key")
    if not isinstance(key, str) or logged_in() is not None:
        return None
    because = logins.why_ended(db.session(), key)
    return f"You were logged out because {_BECAUSE[because]}. Please log in again." if because else None


def actor() -> Actor:
    """Who acts in this request."""
    return me().actor(network(request.remote_addr))


def list_or_404(slug: str) -> ListView:
    """The list in the address. One that the operator may not see does not exist for them."""
    found = lists.find(db.session(), slug)
    if found is None or not actor().sees(found.id):
        raise NoSuchList
    g.console_list = found
    return found


def my_lists() -> list[ListView]:
    """The lists that the operator may see."""
    return [one for one in lists.every(db.session()) if actor().sees(one.id)]


def _find_session() -> OpenSession | None:
    key = session.get("key")
    if not isinstance(key, str):
        return None
    now = datetime.now(UTC)
    database = db.session()
    found = logins.find_session(database, now, key)
    if found is not None and logins.wants_touch(found, now):
        with write_transaction(database):
            logins.touch(database, now, found.digest)
    return found


def _to_login() -> BaseResponse:
    if request.method not in ("GET", "HEAD"):
        abort(401)
    return redirect(url_for("operator.log_in", next=request.full_path.rstrip("?")), 303)


@operator.after_request
def _dress(response: Response) -> Response:
    response.headers.setdefault("Content-Security-Policy", _CSP)
    response.headers.setdefault("X-Robots-Tag", "noindex, nofollow")
    return response


@operator.context_processor
def _of_the_console() -> dict[str, object]:
    """What every page of the console is drawn with."""
    found = logged_in()
    if found is None:
        return {"me": None, "my_lists": [], "here": None}
    return {
        "list_rooms": LIST_ROOMS,
        "service_rooms": SERVICE_ROOMS,
        "first_room": LIST_ROOMS[0][0],
        "me": found.operator,
        "may": lambda scope: actor().may(Scope(scope)),
        "my_lists": my_lists(),
        "here": g.get("console_list"),
    }

"""What owners do: operators, API tokens, the audit log."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from flask import abort, flash, redirect, render_template, request, url_for
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response as BaseResponse

from newsletter.database import write_transaction
from newsletter.domain.roles import Role, Scope
from newsletter.extensions import db
from newsletter.invitations import browser_link, invitation_link
from newsletter.services import audit, lists, operators, tokens
from newsletter.services.operators import OperatorError, OperatorView
from newsletter.services.tokens import TokenError
from newsletter.web.errors import NoSuchList
from newsletter.web.operator.access import actor, here, needs, operator
from newsletter.web.operator.deeds import ask_once_more, is_confirmed
from newsletter.web.problems import sentence

_PAGE = 50
_LONGEST_LIFE = 3650  # days
_LIVES = {"30": "30 days", "90": "90 days", "365": "a year", "never": "for ever"}
_SCOPES = {
    Scope.READ_LISTS: "See lists and their settings",
    Scope.WRITE_LISTS: "Change the settings of lists",
    Scope.READ_SUBSCRIBERS: "See subscribers, and follow what changes",
    Scope.WRITE_SUBSCRIBERS: "Add, change, unsubscribe and erase subscribers",
    Scope.EXPORT: "Export subscribers",
    Scope.IMPORT: "Import subscribers",
    Scope.OUTBOX: "See the outbox, and try again what failed",
    Scope.WEBHOOKS: "Set up webhooks",
    Scope.ADMIN: "Make lists, operators and tokens, and read the audit log",
}


class NotChosen(Exception):
    """It is not clear which lists are meant. The message says why, in one line."""


@operator.get("/operators")
@needs(Scope.ADMIN)
def show_operators() -> str:
    """Who may log in."""
    return _operators_page()


def _operators_page(
    *,
    error: str | None = None,
    lists_error: str | None = None,
    invited: tuple[OperatorView, str] | None = None,
) -> str:
    return render_template(
        "operator/operators.html",
        operators=operators.every(db.session()),
        slugs=_slugs(),
        typed=request.form if invited is None else MultiDict(),
        error=error,
        lists_error=lists_error,
        invited=invited,
    )


@operator.post("/operators")
@needs(Scope.ADMIN)
def invite() -> str | tuple[str, int]:
    """Invite somebody; the link is shown once."""
    now, database = datetime.now(UTC), db.session()
    try:
        with write_transaction(database):
            added = operators.add(
                database, now, actor(),
                address=request.form.get("email", ""), role=_role(), lists=_lists_for(_role()),
            )  # fmt: skip
    except OperatorError as error:
        return _operators_page(error=sentence(error)), 422
    except NotChosen as error:
        return _operators_page(lists_error=sentence(error)), 422
    return _operators_page(invited=(added, invitation_link(added, now)))


@operator.get("/operators/<uuid:operator_id>")
@needs(Scope.ADMIN)
def show_operator(operator_id: UUID) -> str:
    """One of them."""
    return _operator_page(_operator(operator_id))


def _operator_page(
    found: OperatorView, *, error: str | None = None, link: str | None = None, browser: str | None = None
) -> str:
    return render_template("operator/operator.html", one=found, error=error, link=link, browser=browser)


@operator.post("/operators/<uuid:operator_id>")
@needs(Scope.ADMIN)
def edit_operator(operator_id: UUID) -> BaseResponse | tuple[str, int]:
    """Change role, lists, and whether they may log in at all."""
    found, database = _operator(operator_id), db.session()
    try:
        with write_transaction(database):
            operators.edit(
                database, datetime.now(UTC), actor(), found.id,
                role=_role(), lists=_lists_for(_role()), disabled="disabled" in request.form,
                keep_session=here(),
            )  # fmt: skip
    except (OperatorError, NotChosen) as error:
        return _operator_page(found, error=sentence(error)), 422
    flash(f"{found.address} is changed.")
    return redirect(url_for("operator.show_operators"), 303)


@operator.post("/operators/<uuid:operator_id>/reset")
@needs(Scope.ADMIN)
def reset_operator(operator_id: UUID) -> str:
    """A new invitation for whoever lost password or authenticator."""
    found = _operator(operator_id)
    if not is_confirmed():
        return ask_once_more(
            f"Reset {found.address}?",
            "They are logged out, and their password and second factor no longer count. You get a link, "
            "to be given to them, by which they set a new password.",
            button="Reset",
            back=url_for("operator.show_operator", operator_id=found.id),
        )
    now, database = datetime.now(UTC), db.session()
    with write_transaction(database):
        found = operators.reset(database, now, actor(), found.id)
    return _operator_page(found, link=invitation_link(found, now))


@operator.post("/operators/<uuid:operator_id>/browser")
@needs(Scope.ADMIN)
def open_browser(operator_id: UUID) -> str:
    """A link for a new browser of whoever has to wait while others guess."""
    found = _operator(operator_id)
    return _operator_page(found, browser=browser_link(found, datetime.now(UTC)))


@operator.get("/tokens")
@needs(Scope.ADMIN)
def show_tokens() -> str:
    """The API's tokens."""
    return _tokens_page()


def _tokens_page(*, error: str | None = None, lists_error: str | None = None, text: str | None = None) -> str:
    return render_template(
        "operator/tokens.html",
        tokens=tokens.every(db.session()),
        scopes=_SCOPES,
        lives=_LIVES,
        slugs=_slugs(),
        typed=request.form if text is None else MultiDict(),
        now=datetime.now(UTC),
        error=error,
        lists_error=lists_error,
        text=text,
    )


@operator.post("/tokens")
@needs(Scope.ADMIN)
def make_token() -> str | tuple[str, int]:
    """Make one; its text is shown once."""
    database = db.session()
    try:
        chosen = [Scope(one) for one in request.form.getlist("scopes") if one in set(Scope)]
        with write_transaction(database):
            _, text = tokens.add(
                database, datetime.now(UTC), actor(),
                name=request.form.get("name", ""), scopes=chosen, lists=_lists(),
                life=_life(request.form.get("days", "365")),
            )  # fmt: skip
    except TokenError as error:
        return _tokens_page(error=sentence(error)), 422
    except NotChosen as error:
        return _tokens_page(lists_error=sentence(error)), 422
    return _tokens_page(text=text)


@operator.post("/tokens/<uuid:token_id>/revoke")
@needs(Scope.ADMIN)
def revoke_token(token_id: UUID) -> BaseResponse | str:
    """End one at once."""
    database = db.session()
    found = tokens.find(database, token_id)
    if found is None:
        abort(404)
    if not is_confirmed():
        return ask_once_more(
            f"Revoke {found.name}?",
            f"Whatever uses the token {found.hint}… is refused from now on. This cannot be undone.",
            button="Revoke",
            back=url_for("operator.show_tokens"),
        )
    with write_transaction(database):
        tokens.revoke(database, datetime.now(UTC), actor(), token_id)
    flash(f"{found.name} is revoked.")
    return redirect(url_for("operator.show_tokens"), 303)


@operator.get("/audit")
@needs(Scope.ADMIN)
def show_audit() -> str:
    """What was done, the latest first."""
    before, slug = request.args.get("before", ""), request.args.get("list", "")
    chosen = lists.find(db.session(), slug) if slug else None
    if slug and chosen is None:
        raise NoSuchList
    found = audit.page(
        db.session(),
        list_id=chosen.id if chosen is not None else None,
        action=request.args.get("action", "").strip() or None,
        before=int(before) if before.isascii() and before.isdigit() and len(before) < 19 else None,
        limit=_PAGE,
    )
    return render_template(
        "operator/audit.html",
        found=found,
        slugs=_slugs(),
        more=found[-1].id if len(found) == _PAGE else None,
    )


def _operator(operator_id: UUID) -> OperatorView:
    found = operators.find(db.session(), operator_id)
    if found is None:
        abort(404)
    return found


def _role() -> Role:
    value = request.form.get("role", "")
    return Role(value) if value in set(Role) else Role.VIEWER


def _lists() -> list[UUID] | None:
    """The lists that were chosen; None is all. Nobody gets more than was meant: raises `NotChosen`."""
    chosen = lists.find_many(db.session(), request.form.getlist("lists"))
    if ("all_lists" in request.form) == bool(chosen):
        raise NotChosen(
            "choose all lists or some of them, not both" if chosen else "choose at least one list"
        )
    return [one.id for one in chosen.values()] or None


def _lists_for(role: Role) -> list[UUID] | None:
    return None if role is Role.OWNER else _lists()


def _slugs() -> dict[UUID, str]:
    return {one.id: one.slug for one in lists.every(db.session())}


def _life(days: str) -> timedelta | None:
    """How long a token lives; None is for ever. Raises `TokenError`."""
    if days == "never":
        return None
    if not (days.isascii() and days.isdigit()) or len(days) > 4 or not 1 <= int(days) <= _LONGEST_LIFE:
        raise TokenError(f"a token lives 1 to {_LONGEST_LIFE} days")
    return timedelta(days=int(days))

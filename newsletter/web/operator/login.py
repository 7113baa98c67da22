"""Logging in: password, second factor; accepting an invitation; logging out."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

from flask import Response, abort, make_response, redirect, render_template, request, session, url_for
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as BaseResponse

from newsletter.database import write_transaction
from newsletter.domain.passwords import WeakPassword, check_password, hash_password, wants_new_hash
from newsletter.domain.tickets import BadTicket
from newsletter.extensions import db
from newsletter.parts import parts
from newsletter.services import logins, operators, second_factors
from newsletter.services.operators import OperatorError, OperatorView
from newsletter.web.operator.access import actor, logged_in, operator, why_logged_out
from newsletter.web.operator.attempts import count_attempt, mark_device
from newsletter.web.seeing import network, seen

_HALF_WAY = 600  # seconds between password and second factor


@operator.get("/login")
def log_in() -> BaseResponse | str:
    """The form."""
    if logged_in() is not None:
        return redirect(url_for("operator.home"), 303)
    return render_template("operator/login.html", address="", error=None, notice=why_logged_out())


@operator.post("/login")
def take_password() -> BaseResponse | tuple[str, int]:
    """Check address and password. The answer is the same for every address."""
    address, password = request.form.get("email", "").strip(), request.form.get("password", "")
    now, database = datetime.now(UTC), db.session()
    count_attempt(database, now, address)
    found = logins.check_password(database, address=address, password=password)
    if found is None:
        with write_transaction(database):
            logins.note_failure(database, now, address, network(request.remote_addr))
        message = "That is not the right address and password."
        return render_template("operator/login.html", address=address, error=message, notice=None), 401
    if wants_new_hash(found.password_hash or ""):
        hashed = hash_password(password)
        with write_transaction(database):
            operators.keep_hash(database, found.id, hashed)
        found = replace(found, password_hash=hashed)
    if found.totp_secret is None:
        return _begin(database, now, found)
    session.clear()
    session["half"] = [found.id.hex, int(now.timestamp()), found.generation]
    return redirect(url_for("operator.second_factor", next=_next()), 303)


@operator.get("/login/code")
def second_factor() -> BaseResponse | str:
    """The form for the six digits."""
    if _half_way() is None:
        return redirect(url_for("operator.log_in"), 303)
    return render_template("operator/second_factor.html", error=None)


@operator.post("/login/code")
def take_code() -> BaseResponse | tuple[str, int]:
    """Check the six digits, or a recovery code."""
    found = _half_way()
    if found is None:
        return redirect(url_for("operator.log_in"), 303)
    now, database = datetime.now(UTC), db.session()
    count_attempt(database, now, found.address)
    acting = found.actor(network(request.remote_addr))
    with write_transaction(database):
        is_right = second_factors.use(
            database, parts().settings, now, acting, found, request.form.get("code", "")
        )
        if is_right:
            # A recovery code has ended what was opened before, and this log-in goes on.
            found = operators.find(database, found.id) or found
        else:
            logins.note_wrong_code(database, now, acting, found)
    if not is_right:
        message = "That code is not right, or was used before. Please wait for the next one."
        return render_template("operator/second_factor.html", error=message), 401
    return _begin(database, now, found)


@operator.post("/logout")
def log_out() -> BaseResponse:
    """End the session."""
    found = logged_in()
    if found is not None:
        database = db.session()
        with write_transaction(database):
            logins.end_session(database, datetime.now(UTC), found.operator, found.digest, actor())
    session.clear()
    return redirect(url_for("operator.log_in"), 303)


@operator.get("/welcome/<token>")
def welcome(token: str) -> str:
    """Where an invitation leads: choose a password."""
    found = _invited(token)
    return render_template("operator/welcome.html", operator=found, token=token, error=None)


@operator.post("/welcome/<token>")
def accept(token: str) -> BaseResponse | tuple[str, int]:
    """Set the password, and log in."""
    found = _invited(token)
    password = request.form.get("password", "")
    try:
        check_password(password, found.address)
    except WeakPassword as error:
        return render_template("operator/welcome.html", operator=found, token=token, error=str(error)), 422
    now, database, hashed = datetime.now(UTC), db.session(), hash_password(password)
    try:
        with write_transaction(database):
            found = operators.accept(database, now, found.actor(network(request.remote_addr)), found, hashed)
    except OperatorError:
        abort(404)
    return _begin(database, now, found, to=url_for("operator.set_up_second_factor"))


@operator.get("/browser/<token>")
def show_browser(token: str) -> str:
    """Where a link for a new browser leads. Looking changes nothing."""
    return render_template("operator/browser.html", operator=_whose_browser(token))


@operator.post("/browser/<token>")
def mark_browser(token: str) -> BaseResponse:
    """From now on attempts from here are counted apart; logging in takes what it always does."""
    response: Response = make_response(redirect(url_for("operator.log_in"), 303))
    mark_device(response, _whose_browser(token))
    return response


def _whose_browser(token: str) -> OperatorView:
    try:
        found = operators.find(db.session(), parts().tickets.read_browser(token, now=datetime.now(UTC)))
    except BadTicket:
        abort(404)
    if found is None or found.disabled_at is not None:
        abort(404)
    return found


def _invited(token: str) -> OperatorView:
    """Whom an invitation is for. A link that was used, or is old, leads nowhere."""
    try:
        ticket = parts().tickets.read(token, now=datetime.now(UTC))
    except BadTicket:
        abort(404)
    found = operators.find(db.session(), ticket.operator_id)
    if found is None or found.disabled_at is not None or not ticket.fits(found.stamp):
        abort(404)
    return found


def _begin(database: Session, now: datetime, found: OperatorView, *, to: str | None = None) -> BaseResponse:
    """Open a session under a new id, whatever the browser came with (session fixation)."""
    with write_transaction(database):
        key = logins.open_session(database, now, found, seen(request, "operator"))
    session.clear()
    session.permanent = True
    session["key"] = key
    response: Response = make_response(redirect(to or _next() or url_for("operator.home"), 303))
    mark_device(response, found)
    return response


def _half_way() -> OperatorView | None:
    """Who has given the right password, and not yet the second factor."""
    half = session.get("half")
    if not isinstance(half, list) or len(half) != 3:
        return None
    identifier, since, generation = half
    if abs(datetime.now(UTC).timestamp() - since) > _HALF_WAY:
        return None
    found = operators.find(db.session(), UUID(identifier))
    is_same = found is not None and found.disabled_at is None and found.generation == generation
    return found if is_same else None


def _next() -> str | None:
    """Where somebody wanted to go: a page of the console, and no other place."""
    wanted = request.args.get("next", "")
    is_ours = wanted.startswith("/operator/") and "\\" not in wanted and wanted.isprintable()
    return wanted if is_ours else None

"""An operator's own account: password, second factor, where they are logged in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import segno
from flask import flash, redirect, render_template, request, session, url_for
from werkzeug.wrappers import Response as BaseResponse

from newsletter.database import write_transaction
from newsletter.domain import second_factor
from newsletter.domain.passwords import WeakPassword, check_password, hash_password, is_password
from newsletter.domain.roles import Scope
from newsletter.extensions import db
from newsletter.parts import parts
from newsletter.services import logins, operators, second_factors
from newsletter.web.operator.access import actor, here, logged_in, me, needs, operator
from newsletter.web.operator.attempts import count_attempt

# So long after logging in the password is not asked for again.
_FRESH = timedelta(minutes=10)
_WRONG = "That is not your present password."


@operator.get("/account")
@needs(Scope.READ_LISTS)
def account() -> str:
    """Everything that concerns oneself."""
    return _page()


def _page(**errors: str) -> str:
    now = datetime.now(UTC)
    return render_template(
        "operator/account.html",
        sessions=logins.sessions_of(db.session(), now, me()),
        current=here(),
        errors=errors,
    )


@operator.post("/account/password")
@needs(Scope.READ_LISTS)
def change_password() -> BaseResponse | tuple[str, int]:
    """A new password ends all other sessions."""
    if not _is_mine(request.form.get("current", "")):
        return _page(current=_WRONG), 422
    password = request.form.get("password", "")
    try:
        check_password(password, me().address)
    except WeakPassword as error:
        return _page(password=str(error)), 422
    database, hashed = db.session(), hash_password(password)
    with write_transaction(database):
        operators.set_password(database, datetime.now(UTC), actor(), me(), hashed, keep_session=here())
    flash("Your password is changed. You are logged out everywhere else.")
    return redirect(url_for("operator.account"), 303)


@operator.get("/account/second-factor")
@needs(Scope.READ_LISTS)
def set_up_second_factor() -> str | BaseResponse:
    """A fresh secret to scan; it counts from when a code of it was typed."""
    if me().totp_secret is not None:
        return redirect(url_for("operator.account"), 303)
    session["secret"] = second_factor.new_secret()
    return _scan()


def _scan(**errors: str) -> str:
    secret = session["secret"]
    issuer = parts().settings.base_host
    code = segno.make(second_factor.address_of(secret, account=me().address, issuer=f"Newsletter {issuer}"))
    picture = code.svg_data_uri(scale=5, border=2, light="#ffffff", dark="#000000")
    return render_template(
        "operator/set_up_second_factor.html",
        picture=picture, secret=secret, ask_password=not _is_fresh(), errors=errors,
    )  # fmt: skip


@operator.post("/account/second-factor")
@needs(Scope.READ_LISTS)
def switch_on_second_factor() -> BaseResponse | str | tuple[str, int]:
    """The secret is in the authenticator when a code of it comes back."""
    secret, now = session.get("secret"), datetime.now(UTC)
    if not isinstance(secret, str) or me().totp_secret is not None:
        return redirect(url_for("operator.account"), 303)
    if not _is_fresh() and not _is_mine(request.form.get("current", "")):
        return _scan(current=_WRONG), 422
    step = second_factor.step_of(secret, request.form.get("code", ""), now, after=None)
    if step is None:
        return _scan(
            code="That code is not right. Please try the next one; your phone’s clock must be right."
        ), 422
    database = db.session()
    with write_transaction(database):
        codes = second_factors.switch_on(
            database, parts().settings, now, actor(), me(), secret, step, keep_session=here()
        )
    session.pop("secret")
    return render_template("operator/recovery_codes.html", codes=codes)


@operator.post("/account/second-factor/off")
@needs(Scope.READ_LISTS)
def switch_off_second_factor() -> BaseResponse | tuple[str, int]:
    """Asks for the password: whoever finds an open console cannot do it."""
    if not _is_mine(request.form.get("current", "")):
        return _page(off=_WRONG), 422
    database = db.session()
    with write_transaction(database):
        second_factors.switch_off(database, datetime.now(UTC), actor(), me(), keep_session=here())
    flash("The second factor is off. Your password alone logs you in. You are logged out everywhere else.")
    return redirect(url_for("operator.account"), 303)


@operator.post("/account/recovery-codes")
@needs(Scope.READ_LISTS)
def make_recovery_codes() -> BaseResponse | str | tuple[str, int]:
    """New ones, in place of the old."""
    if me().totp_secret is None:
        return redirect(url_for("operator.account"), 303)
    if not _is_mine(request.form.get("current", "")):
        return _page(codes=_WRONG), 422
    database = db.session()
    with write_transaction(database):
        codes = second_factors.new_recovery_codes(
            database, datetime.now(UTC), actor(), me(), keep_session=here()
        )
    return render_template("operator/recovery_codes.html", codes=codes)


@operator.post("/account/sessions/<digest>/end")
@needs(Scope.READ_LISTS)
def end_session(digest: str) -> BaseResponse:
    """Log out somewhere else."""
    database = db.session()
    with write_transaction(database):
        logins.end_session(database, datetime.now(UTC), me(), digest, actor())
    flash("That session is ended.")
    return redirect(url_for("operator.account"), 303)


def _is_mine(password: str) -> bool:
    """Whether it is the password of whoever is logged in. Guesses are counted as those at the door."""
    now, database = datetime.now(UTC), db.session()
    count_attempt(database, now, me().address)
    if is_password(me().password_hash, password):
        return True
    with write_transaction(database):
        logins.note_wrong_password(database, now, actor(), me())
    return False


def _is_fresh() -> bool:
    """Whether they told their password just now, by logging in: who finds an open console has not, nor
    does a clock that was set back make it just now."""
    found = logged_in()
    return found is not None and abs(datetime.now(UTC) - found.created_at) < _FRESH

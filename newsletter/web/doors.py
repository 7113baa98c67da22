"""The doors that links in mails open: confirming and unsubscribing.

A GET shows one button and changes nothing, since scanners open every link; only a POST acts (U5, D7).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from uuid import UUID

import structlog
from flask import Blueprint, Response, make_response, render_template, request, url_for
from sqlalchemy.exc import SQLAlchemyError

from newsletter.database import first_line
from newsletter.domain.addresses import mask
from newsletter.domain.inboxes import inbox_of
from newsletter.domain.lifecycle import State
from newsletter.domain.links import BadLink, Confirmation
from newsletter.domain.scanners import Door
from newsletter.extensions import csrf, db
from newsletter.parts import parts
from newsletter.services import spooled, subscriptions
from newsletter.services.confirm import Answer, Press, confirm
from newsletter.services.renew import renew
from newsletter.services.subscriptions import Found
from newsletter.services.unsubscribe import Leave, unsubscribe
from newsletter.spool import CannotKeep
from newsletter.web.languages import speak_to
from newsletter.web.pages import check_inbox, kept
from newsletter.web.scans import looked
from newsletter.web.seeing import seen
from newsletter.web.writer import Unavailable, writer

doors = Blueprint("doors", __name__)

_ONE_CLICK = re.compile(rb"List-Unsubscribe(=|\"\r\n\r\n)One-Click")  # urlencoded, or in multipart
_DOORS = {
    "doors.show_confirm": Door.CONFIRM,
    "doors.press_confirm": Door.CONFIRM,
    "doors.show_unsubscribe": Door.UNSUBSCRIBE,
    "doors.allow_press": Door.UNSUBSCRIBE,
    "doors.press_unsubscribe": Door.UNSUBSCRIBE,
}
_ENOUGH = 4096  # bytes of a body
_ANY_SIZE = 1 << 50

log = structlog.get_logger()


@doors.before_request
def _count_options() -> None:
    """Flask answers OPTIONS by itself; nothing that acts asks with it."""
    door = _DOORS.get(request.endpoint or "")
    if (
        request.method == "OPTIONS"
        and door is not None
        and _is_ours(door, (request.view_args or {})["token"])
    ):
        looked(door, sent_at=None, acts=False)


def _is_ours(door: Door, token: str) -> bool:
    if door is Door.CONFIRM:
        return _read_confirm(token) is not None
    try:
        parts().links.read_unsubscribe(token)
    except BadLink:
        return False
    return True


@doors.get("/confirm/<token>")
def show_confirm(token: str) -> tuple[str, int]:
    """The page with the button."""
    link = _read_confirm(token)
    if link is None:
        return _dead(None, "unknown")
    found = _find(link.subscription_id)
    is_open = found is not None and found.state is State.PENDING and not link.expired
    if found is not None:
        looked(Door.CONFIRM, sent_at=link.signed_at, acts=is_open)
    if link.expired or found is None:
        return _dead(found, "expired", token=token)
    return kept("public/confirm.html", list=found.list), 200


@doors.post("/confirm/<token>")
@csrf.exempt
def press_confirm(token: str) -> tuple[str, int]:
    """The pressed button."""
    link = _read_confirm(token)
    if link is None:
        return _dead(None, "unknown")
    if link.expired:
        return _dead(_find(link.subscription_id), "expired", token=token)
    confirmed = writer().run(confirm, Press(link.subscription_id, link.generation, seen(request, "page")))
    found = speak_to(confirmed.subscription)
    if found is None or confirmed.answer is not Answer.CONFIRMED:
        return _dead(found, "superseded")
    page = kept(
        "public/confirmed.html",
        list=found.list,
        inbox=inbox_of(found.address),
        sender_address=found.list.sender_or(parts().settings.mail_from).address,
    )
    return page, 200


@doors.post("/confirm/<token>/fresh")
@csrf.exempt
def send_fresh(token: str) -> tuple[str, int]:
    """Send a fresh link to whoever holds an expired one (D3)."""
    link = _read_confirm(token)
    renewal = speak_to(writer().run(renew, link.subscription_id)) if link is not None else None
    if renewal is None:
        return _dead(None, "unknown" if link is None else "superseded")
    return check_inbox(renewal.list, mask(renewal.address)), 200


@doors.route("/unsubscribe/<token>", methods=["OPTIONS"])
def allow_press(token: str) -> Response:  # noqa: ARG001
    """A browser asks before a webmail's script may press: any may, without credentials (U17)."""
    response = Response()
    response.headers["Allow"] = "GET, HEAD, OPTIONS, POST"
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.headers["Access-Control-Allow-Methods"] = "POST"
    response.headers["Access-Control-Allow-Headers"] = "Content-Type"
    return response


@doors.get("/unsubscribe/<token>")
def show_unsubscribe(token: str) -> tuple[str, int]:
    """The page with the button."""
    try:
        subscription_id = parts().links.read_unsubscribe(token)
    except BadLink:
        return _damaged()
    try:
        if writer().is_away:
            return _button(None)
        subscription, mailed = subscriptions.find_mailed(db.session(), subscription_id)
    except SQLAlchemyError as error:
        # Whose it is cannot be said; the button works.
        log.error("database_away", error=first_line(error))
        return _button(None)
    found = speak_to(subscription)
    is_open = found is not None and found.state in (State.PENDING, State.CONFIRMED)
    if found is None:
        return kept("public/unsubscribed.html", list=None), 200
    looked(Door.UNSUBSCRIBE, sent_at=mailed, acts=is_open)
    return _button(found)


def _button(found: Found | None) -> tuple[str, int]:
    page = render_template(
        "public/unsubscribe.html",
        list=found.list if found is not None else None,
        masked_address=mask(found.address) if found is not None else None,
    )
    return page, 200


@doors.post("/unsubscribe/<token>")
@csrf.exempt
def press_unsubscribe(token: str) -> Response:
    """Unsubscribe at once, whatever the body: the token alone authorises (RFC 8058 §3.2, U3).

    Webmail scripts call it from their own pages (U17).
    """
    try:
        subscription_id = parts().links.read_unsubscribe(token)
    except BadLink:
        response = make_response(_damaged())
    else:
        # Whatever the body, and however large: only its beginning is looked at.
        request.max_content_length = _ANY_SIZE
        way = "one-click" if _ONE_CLICK.search(request.stream.read(_ENOUGH)) else "page"
        leave = Leave(subscription_id, seen(request, way), at=datetime.now(UTC))
        found = speak_to(_leave(leave))
        page = kept("public/unsubscribed.html", list=found.list if found is not None else None)
        response = make_response(page)
    response.headers["Access-Control-Allow-Origin"] = "*"
    return response


def _leave(leave: Leave) -> Found | None:
    """End the subscription: now, or, while the database is away, when it is back. Raises `Unavailable` where
    it can neither be done nor be kept."""
    try:
        return writer().run_one_click(unsubscribe, leave)
    except (Unavailable, SQLAlchemyError) as error:
        try:
            spooled.keep(parts().spool, leave)
        except CannotKeep as full:
            raise Unavailable(str(full)) from error
        log.warning("unsubscribe_spooled", reason=first_line(error))
        return None


def _read_confirm(token: str) -> Confirmation | None:
    settings = parts().settings
    try:
        return parts().links.read_confirm(token, now=datetime.now(UTC), max_age=settings.confirm_max_age)
    except BadLink:
        return None


def _find(subscription_id: UUID) -> Found | None:
    return speak_to(subscriptions.find(db.session(), subscription_id))


def _dead(found: Found | None, reason: str, *, token: str | None = None) -> tuple[str, int]:
    """The calm page for a link that confirms nothing: 410 where it was ours once, else 404."""
    mailing_list = found.list if found is not None else None
    page = render_template(
        "public/confirm_dead.html",
        list=mailing_list,
        reason=reason,
        renew_url=url_for("doors.send_fresh", token=token) if token and mailing_list else None,
    )
    return page, 404 if reason == "unknown" else 410


def _damaged() -> tuple[str, int]:
    return render_template("public/find_link.html", form=None, damaged=True, outdated=False), 404

"""The doors that links in mails open: confirming and unsubscribing.

A GET shows one button and changes nothing, since scanners open every link; only a POST acts (U5, D7).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from uuid import UUID

from flask import Blueprint, Response, make_response, render_template, request, url_for

from newsletter.domain.addresses import mask
from newsletter.domain.inboxes import inbox_of
from newsletter.domain.links import BadLink, Confirmation
from newsletter.extensions import csrf, db
from newsletter.parts import parts
from newsletter.services import subscriptions
from newsletter.services.confirm import Answer, Press, confirm
from newsletter.services.renew import renew
from newsletter.services.subscriptions import Found
from newsletter.services.unsubscribe import Leave, unsubscribe
from newsletter.web.languages import speak_to
from newsletter.web.pages import check_inbox, kept
from newsletter.web.seeing import seen
from newsletter.web.writer import writer

doors = Blueprint("doors", __name__)

_ONE_CLICK = re.compile(rb"List-Unsubscribe(=|\"\r\n\r\n)One-Click")  # urlencoded, or in multipart
_ENOUGH = 4096  # bytes of a body
_ANY_SIZE = 1 << 50


@doors.get("/confirm/<token>")
def show_confirm(token: str) -> tuple[str, int]:
    """The page with the button."""
    link = _read_confirm(token)
    if link is None:
        return _dead(None, "unknown")
    found = _find(link.subscription_id)
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


@doors.get("/unsubscribe/<token>")
def show_unsubscribe(token: str) -> tuple[str, int]:
    """The page with the button."""
    try:
        subscription_id = parts().links.read_unsubscribe(token)
    except BadLink:
        return _damaged()
    found = _find(subscription_id)
    if found is None:
        return kept("public/unsubscribed.html", list=None), 200
    page = render_template("public/unsubscribe.html", list=found.list, masked_address=mask(found.address))
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
        found = speak_to(writer().run(unsubscribe, Leave(subscription_id, seen(request, way))))
        page = kept("public/unsubscribed.html", list=found.list if found is not None else None)
        response = make_response(page)
    response.headers["Access-Control-Allow-Origin"] = "*"
    return response


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
    return render_template("public/find_link.html", form=None, damaged=True), 404

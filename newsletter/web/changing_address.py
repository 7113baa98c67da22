"""The pages that the links of a change of address lead to: the new address makes it, or wants none of it; the
old one stops it or takes it back. The token authorises, and looking changes nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from flask import Blueprint, Response, make_response, render_template, request

from newsletter.domain.links import BadLink
from newsletter.extensions import csrf, db
from newsletter.parts import parts
from newsletter.services import self_service
from newsletter.services.self_service import Made, Press
from newsletter.web.languages import speak_to_reader
from newsletter.web.own_page import WAY, Answer
from newsletter.web.seeing import seen
from newsletter.web.writer import writer

changing_address = Blueprint("changing_address", __name__)


@changing_address.get("/new-address/<token>")
def show_new_address(token: str) -> Answer:
    """What the link in the mail to the new address leads to."""
    change_id = _new_address(token)
    change = self_service.find_change(db.session(), change_id) if change_id is not None else None
    if change is None or change.is_stopped:
        return _no_change()
    speak_to_reader(change.locale)
    if change.is_made:
        return _made(Made.MADE)
    return render_template("public/new_address.html", list=None, address=change.new_address)


@changing_address.post("/new-address/<token>")
@csrf.exempt
def press_new_address(token: str) -> Answer:
    """The pressed button."""
    change_id = _new_address(token)
    if change_id is None:
        return _no_change()
    _speak_as(change_id)
    return _made(writer().run(self_service.make_change, Press(change_id, seen(request, WAY))))


@changing_address.get("/new-address/<token>/stop")
def show_stop(token: str) -> Answer:
    """For who does not want mail at this address: also what their mail program opens."""
    change_id = _new_address(token, even_late=True)
    if change_id is None:
        return _no_change()
    _speak_as(change_id)
    return render_template("public/stop_change.html", list=None, undoes=False)


@changing_address.post("/new-address/<token>/stop")
@csrf.exempt
def press_stop(token: str) -> Response:
    """Stop it, whatever the body: one click of a mail program comes here, too (RFC 8058 §3.2, U3, U17)."""
    change_id = _new_address(token, even_late=True)
    if change_id is None:
        response = make_response(_no_change())
    else:
        _speak_as(change_id)
        writer().run(self_service.stop_change, Press(change_id, seen(request, WAY)))
        response = make_response(render_template("public/change_stopped.html", list=None, made="stopped"))
    response.headers["Access-Control-Allow-Origin"] = "*"
    return response


@changing_address.get("/not-me/<token>")
def show_not_me(token: str) -> Answer:
    """What the link in the mail to the old address leads to."""
    try:
        change_id = parts().links.read_not_me(token)
    except BadLink:
        return _no_change()
    change = self_service.find_change(db.session(), change_id)
    if change is None:
        return _no_change()
    speak_to_reader(change.locale)
    if change.is_stopped:
        return _stopped(Made.UNDONE if change.is_made else Made.STOPPED)
    return render_template("public/stop_change.html", list=None, undoes=True)


@changing_address.post("/not-me/<token>")
@csrf.exempt
def press_not_me(token: str) -> Answer:
    """The pressed button: stop the change, or take it back."""
    try:
        change_id = parts().links.read_not_me(token)
    except BadLink:
        return _no_change()
    _speak_as(change_id)
    made = writer().run(self_service.undo_change, Press(change_id, seen(request, WAY)))
    return _no_change() if made is Made.GONE else _stopped(made)


def _stopped(made: Made) -> Answer:
    return render_template("public/change_stopped.html", list=None, made=made.value)


def _new_address(token: str, *, even_late: bool = False) -> UUID | None:
    """The change that a token names; None where it is none of ours, or its time is over."""
    links, now = parts().links, datetime.now(UTC)
    try:
        link = links.read_new_address(token, now=now, max_age=parts().settings.confirm_max_age)
    except BadLink:
        return None
    return None if link.expired and not even_late else link.change_id


def _speak_as(change_id: UUID) -> None:
    change = self_service.find_change(db.session(), change_id)
    if change is not None:
        speak_to_reader(change.locale)


def _made(made: Made) -> Answer:
    if made is Made.GONE:
        return _no_change()
    page = render_template("public/address_changed.html", list=None, is_taken=made is Made.TAKEN)
    return page, 409 if made is Made.TAKEN else 200


def _no_change() -> tuple[str, int]:
    return render_template("public/change_gone.html", list=None), 410

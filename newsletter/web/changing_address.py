"""The pages that the links of a change of address lead to: the new address makes it, or wants none of it; the
old one stops it or takes it back. The token authorises, and looking changes nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import structlog
from flask import Blueprint, Response, make_response, render_template, request
from sqlalchemy.exc import SQLAlchemyError

from newsletter.database import first_line
from newsletter.domain.links import BadLink, NewAddress
from newsletter.domain.scanners import Door
from newsletter.extensions import csrf, db
from newsletter.parts import parts
from newsletter.services import self_service, spooled
from newsletter.services.self_service import Change, Made, Press
from newsletter.spool import CannotKeep
from newsletter.web.languages import speak_to_reader
from newsletter.web.own_page import WAY, Answer
from newsletter.web.scans import looked
from newsletter.web.seeing import seen
from newsletter.web.writer import Unavailable, writer

changing_address = Blueprint("changing_address", __name__)

log = structlog.get_logger()

_DOORS = {
    "changing_address.show_new_address": Door.NEW_ADDRESS,
    "changing_address.press_new_address": Door.NEW_ADDRESS,
    "changing_address.show_stop": Door.STOP_CHANGE,
    "changing_address.press_stop": Door.STOP_CHANGE,
    "changing_address.show_not_me": Door.NOT_ME,
    "changing_address.press_not_me": Door.NOT_ME,
}


@changing_address.before_request
def _count_options() -> None:
    """Flask answers OPTIONS by itself; nothing that acts asks with it."""
    door = _DOORS.get(request.endpoint or "")
    if request.method != "OPTIONS" or door is None:
        return
    token = (request.view_args or {})["token"]
    if (_not_me(token) if door is Door.NOT_ME else _new_address(token)) is not None:
        looked(door, sent_at=None, acts=False)


@changing_address.get("/new-address/<token>")
def show_new_address(token: str) -> Answer:
    """What the link in the mail to the new address leads to."""
    link = _new_address(token)
    change = self_service.find_change(db.session(), link.change_id) if link is not None else None
    if link is None or change is None:
        return _no_change()
    looked(Door.NEW_ADDRESS, sent_at=link.signed_at, acts=change.is_open and not link.expired)
    if link.expired or change.is_stopped:
        return _no_change()
    speak_to_reader(change.locale)
    if change.is_made:
        return _made(Made.MADE)
    return render_template("public/new_address.html", list=None, address=change.new_address)


@changing_address.post("/new-address/<token>")
@csrf.exempt
def press_new_address(token: str) -> Answer:
    """The pressed button."""
    link = _new_address(token)
    if link is None or link.expired:
        return _no_change()
    _speak_as(link.change_id)
    return _made(writer().run(self_service.make_change, Press(link.change_id, seen(request, WAY))))


@changing_address.get("/new-address/<token>/stop")
def show_stop(token: str) -> Answer:
    """For who does not want mail at this address: also what their mail program opens."""
    link = _new_address(token)
    if link is None:
        return _no_change()
    change = _speak_as(link.change_id)
    if change is not None:
        looked(Door.STOP_CHANGE, sent_at=link.signed_at, acts=change.is_open)
    return render_template("public/stop_change.html", list=None, undoes=False)


@changing_address.post("/new-address/<token>/stop")
@csrf.exempt
def press_stop(token: str) -> Response:
    """Stop it, whatever the body: one click of a mail program comes here, too (RFC 8058 §3.2, U3, U17)."""
    link = _new_address(token)
    if link is None:
        response = make_response(_no_change())
    else:
        _stop(Press(link.change_id, seen(request, WAY)))
        response = make_response(render_template("public/change_stopped.html", list=None, made="stopped"))
    response.headers["Access-Control-Allow-Origin"] = "*"
    return response


def _stop(press: Press) -> None:
    """Stop a change: now, or, while the database is away, when it is back. Raises `Unavailable` where it can
    neither be done nor be kept."""
    try:
        writer().run_one_click(self_service.stop_change, press)
        _speak_as(press.change_id)
    except (Unavailable, SQLAlchemyError) as error:
        try:
            spooled.keep_stop(parts().spool, datetime.now(UTC), press)
        except CannotKeep as full:
            raise Unavailable(str(full)) from error
        log.warning("stop_spooled", reason=first_line(error))


@changing_address.get("/not-me/<token>")
def show_not_me(token: str) -> Answer:
    """What the link in the mail to the old address leads to."""
    change_id = _not_me(token)
    change = _speak_as(change_id) if change_id is not None else None
    if change is None:
        return _no_change()
    looked(Door.NOT_ME, sent_at=change.told_at, acts=not change.is_stopped)
    if change.is_stopped:
        return _stopped(Made.UNDONE if change.is_made else Made.STOPPED)
    return render_template("public/stop_change.html", list=None, undoes=True)


@changing_address.post("/not-me/<token>")
@csrf.exempt
def press_not_me(token: str) -> Answer:
    """The pressed button: stop the change, or take it back."""
    change_id = _not_me(token)
    if change_id is None:
        return _no_change()
    _speak_as(change_id)
    made = writer().run(self_service.undo_change, Press(change_id, seen(request, WAY)))
    return _no_change() if made is Made.GONE else _stopped(made)


def _stopped(made: Made) -> Answer:
    return render_template("public/change_stopped.html", list=None, made=made.value)


def _new_address(token: str) -> NewAddress | None:
    """The change that a token names; None where it is none of ours."""
    now, max_age = datetime.now(UTC), parts().settings.confirm_max_age
    try:
        return parts().links.read_new_address(token, now=now, max_age=max_age)
    except BadLink:
        return None


def _not_me(token: str) -> UUID | None:
    try:
        return parts().links.read_not_me(token)
    except BadLink:
        return None


def _speak_as(change_id: UUID) -> Change | None:
    """The change, in its reader's language from here on."""
    change = self_service.find_change(db.session(), change_id)
    if change is not None:
        speak_to_reader(change.locale)
    return change


def _made(made: Made) -> Answer:
    if made is Made.GONE:
        return _no_change()
    page = render_template("public/address_changed.html", list=None, is_taken=made is Made.TAKEN)
    return page, 409 if made is Made.TAKEN else 200


def _no_change() -> tuple[str, int]:
    return render_template("public/change_gone.html", list=None), 410

"""The subscriber's own page.

The token in the address authorises and nothing else: there is no cookie, so no other site can act as the
reader, and looking changes nothing. A link in the footer of a mail may have been passed on with the mail, so
it opens what is no secret and can be put right: the lists, leaving, pausing, the language. The rest wants a
link that was sent to the address because somebody asked for it, within the last day (docs/adr/0015)."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

from flask import Blueprint, Response, abort, render_template, request
from flask_babel import format_date
from flask_babel import gettext as _
from werkzeug.exceptions import TooManyRequests
from wtforms.validators import ValidationError

from newsletter.database import drop_old_pages
from newsletter.domain.addresses import Address, mask
from newsletter.domain.languages import LANGUAGES
from newsletter.domain.lifecycle import State
from newsletter.domain.links import BadLink, Manage
from newsletter.domain.pauses import LONGEST_PAUSE
from newsletter.domain.scanners import Door
from newsletter.extensions import csrf, db
from newsletter.parts import parts
from newsletter.services import self_service
from newsletter.services.evidence import Seen
from newsletter.services.self_service import OwnPage
from newsletter.services.send_links import LinkRequest, send_links
from newsletter.services.subscribers import Changes
from newsletter.services.unsubscribe import Leave, unsubscribe
from newsletter.web.forms import AddressForm, ProfileForm, submitted
from newsletter.web.languages import speak, speak_for, speak_to_reader
from newsletter.web.pacing import on_the_beat
from newsletter.web.scans import looked
from newsletter.web.seeing import network, seen
from newsletter.web.writer import writer

own_page = Blueprint("own_page", __name__)
own_page.add_app_template_filter(lambda moment: format_date(moment, "long", rebase=False), "long_day")

WAY = "subscriber"
_USUAL_PAUSE = timedelta(days=27)  # beyond tomorrow: what the form suggests
_ACTIVE = (State.PENDING, State.CONFIRMED)
Answer = Response | str | tuple[str, int]


@dataclass
class Visit:
    """Somebody on a page: what their link opens, what they sent, and what they are told."""

    token: str
    link: Manage
    page: OwnPage
    sent: dict[str, str] = field(default_factory=dict)

    @property
    def seen(self) -> Seen:
        return seen(request, WAY)

    def holding(self) -> UUID:
        """The subscription that they name, if it is theirs."""
        named = self.sent.get("subscription", "")
        return next((held.id for held in self.page.holdings if str(held.id) == named), None) or abort(400)

    def again(self, *, done: str | None = None, status: int = 200, **faults: str) -> Answer:
        """The page as it is now."""
        db.session().rollback()  # or it would be the page as it was
        page = _find(self.link)
        if page is None:
            return _dead(gone=True)
        return _show(Visit(self.token, self.link, page, self.sent), done=done, faults=faults), status


@own_page.before_request
def _count_options() -> None:
    """Flask answers OPTIONS by itself; nothing that acts asks with it."""
    if request.method == "OPTIONS" and _read((request.view_args or {})["token"]) is not None:
        looked(Door.OWN_PAGE, sent_at=None, acts=False)


@own_page.get("/manage/<token>")
def show(token: str) -> Answer:
    """The page."""
    visit = _visit(token)
    return visit if not isinstance(visit, Visit) else _show(visit)


@own_page.post("/manage/<token>")
@csrf.exempt
@on_the_beat
def act(token: str) -> Answer:
    """One thing that its reader wants."""
    visit = _visit(token, acts=True)
    if not isinstance(visit, Visit):
        return visit
    visit.sent = submitted(request).to_dict()
    deed, opens_all = _DEEDS.get(visit.sent.get("do", ""), (None, False))
    if deed is None:
        abort(400)
    if opens_all and not visit.link.asked:
        return visit.again(status=403)
    if visit.link.expired and deed is not _send_link:
        return _expired(visit)
    return deed(visit)


@own_page.get("/manage/<token>/copy")
def copy(token: str) -> Answer:
    """Everything that is held, as a file."""
    visit = _visit(token)
    if not isinstance(visit, Visit):
        return visit
    if not visit.link.asked:
        return visit.again(status=403)
    held = self_service.copy_of(db.session(), datetime.now(UTC), visit.link.subscriber_id)
    if held is None:
        return _dead(gone=True)
    return Response(
        json.dumps(held, ensure_ascii=False, indent=2) + "\n",
        content_type="application/json; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="my-subscriptions.json"'},
    )


def _unsubscribe(visit: Visit) -> Answer:
    left = writer().run(unsubscribe, Leave(visit.holding(), visit.seen))
    if left is None:
        return visit.again()
    done = _("%(list)s won’t be sent to you any more. There is nothing else to do.", list=left.list.name)
    return visit.again(done=done)


def _unsubscribe_all(visit: Visit) -> Answer:
    for held in visit.page.holdings:
        writer().run(unsubscribe, Leave(held.id, visit.seen))
    return visit.again(done=_("You’re unsubscribed from everything. There is nothing else to do."))


def _pause(visit: Visit) -> Answer:
    subscription_id = visit.holding()
    try:
        day = _day(visit.sent.get("until", ""))
    except ValidationError as error:
        return visit.again(status=422, until=str(error), subscription=str(subscription_id))
    until = datetime.combine(day, time(), UTC)
    _run_pause(visit, subscription_id, until)
    return visit.again(done=_("Paused: it comes again from %(day)s on.", day=format_date(day, "long")))


def _resume(visit: Visit) -> Answer:
    _run_pause(visit, visit.holding(), None)
    return visit.again(done=_("The pause is over. The next edition will come as usual."))


def _run_pause(visit: Visit, subscription_id: UUID, until: datetime | None) -> None:
    wanted = self_service.Pause(visit.link.subscriber_id, subscription_id, until, visit.seen)
    writer().run(self_service.pause, wanted)


def _day(typed: str) -> date:
    """The day that somebody chose. Raises `ValidationError`."""
    first, last = _days()
    try:
        day = date.fromisoformat(typed.strip())
    except ValueError:
        day = date.min
    if first <= day <= last:
        return day
    raise ValidationError(
        _(
            "Please choose a day between %(first)s and %(last)s.",
            first=format_date(first, "long"),
            last=format_date(last, "long"),
        )
    )


def _days() -> tuple[date, date]:
    """The first and the last day on which a pause may end."""
    today = datetime.now(UTC).date()
    return today + timedelta(days=1), today + LONGEST_PAUSE


def _speak_another(visit: Visit) -> Answer:
    locale = visit.sent.get("locale", "")
    if locale not in LANGUAGES:
        abort(400)
    _change(visit, Changes(locale=locale))
    speak(locale)
    return visit.again(done=_("Saved."))


def _rename(visit: Visit) -> Answer:
    form = ProfileForm(formdata=None, data={"name": visit.sent.get("name", "")})
    if not form.validate():
        return visit.again(status=422, name=" ".join(form.errors["name"]))
    _change(visit, Changes(name=form.name.data or ""))
    return visit.again(done=_("Saved."))


def _change(visit: Visit, changes: Changes) -> None:
    wanted = self_service.ProfileChange(visit.link.subscriber_id, changes, visit.seen)
    writer().run(self_service.change_profile, wanted)


def _ask_for_change(visit: Visit) -> Answer:
    form = AddressForm(formdata=None, data={"email": visit.sent.get("email", "")})
    if not form.validate():
        return visit.again(status=422, email=" ".join(form.errors["email"]))
    if form.address.identity == visit.page.identity:
        _change(visit, Changes(spelling=form.address))
        return visit.again(done=_("Saved."))
    wanted = self_service.NewAddressRequest(
        visit.link.subscriber_id, visit.link.generation, form.address, network(request.remote_addr)
    )
    _or_wait(writer().run(self_service.request_change, wanted))
    return render_template(
        "public/address_asked.html", list=visit.page.list, address=form.address.text, token=visit.token
    )


def _erase(visit: Visit) -> Answer:
    if visit.sent.get("sure") != "yes":
        return render_template(
            "public/erase.html",
            list=visit.page.list,
            token=visit.token,
            masked_address=mask(visit.page.address),
            names=[held.list.name for held in visit.page.holdings],
            for_good=any(held.state is State.COMPLAINED for held in visit.page.holdings),
        )
    writer().run(self_service.leave, self_service.Departure(visit.link.subscriber_id))
    db.session().rollback()  # who reads holds back what was replaced
    drop_old_pages(db.engine)
    return render_template("public/erased.html", list=None)


def _send_link(visit: Visit) -> Answer:
    address = Address(visit.page.address, visit.page.identity)
    _or_wait(writer().run(send_links, LinkRequest(address, network(request.remote_addr))))
    return render_template(
        "public/own_link_sent.html", list=visit.page.list, masked_address=mask(visit.page.address)
    )


def _or_wait(seconds: int | None) -> None:
    if seconds is not None:
        raise TooManyRequests(retry_after=seconds)


# What can be done, and whether it wants a link that was sent on request.
_DEEDS: dict[str, tuple[Callable[[Visit], Answer], bool]] = {
    "unsubscribe": (_unsubscribe, False),
    "unsubscribe-all": (_unsubscribe_all, False),
    "pause": (_pause, False),
    "resume": (_resume, False),
    "language": (_speak_another, False),
    "link": (_send_link, False),
    "name": (_rename, True),
    "address": (_ask_for_change, True),
    "erase": (_erase, True),
}


def _visit(token: str, *, acts: bool = False) -> Visit | Answer:
    """Whose page it is; or the page that says why it cannot be shown. Who `acts` with a link whose time is
    over may still ask for another."""
    link = _read(token)
    if link is None:
        speak_for(None)
        return _dead(gone=False)
    page = _find(link)
    if page is None:
        return _dead(gone=True)
    if not acts:
        looked(Door.OWN_PAGE, sent_at=link.signed_at, acts=False)
    visit = Visit(token, link, page)
    return _expired(visit) if link.expired and not acts else visit


def _read(token: str) -> Manage | None:
    try:
        return parts().links.read_manage(token, now=datetime.now(UTC))
    except BadLink:
        return None


def _find(link: Manage) -> OwnPage | None:
    page = self_service.find_page(db.session(), datetime.now(UTC), link.subscriber_id, link.generation)
    if page is not None:
        speak_to_reader(page.locale)
    return page


def _show(visit: Visit, *, done: str | None = None, faults: dict[str, str] | None = None) -> str:
    first, last = _days()
    return render_template(
        "public/manage.html",
        list=visit.page.list,
        page=visit.page,
        token=visit.token,
        opens_all=visit.link.asked,
        masked_address=mask(visit.page.address),
        languages=LANGUAGES,
        can_leave_all=sum(held.state in _ACTIVE for held in visit.page.holdings) > 1,
        first_day=first.isoformat(),
        usual_day=(first + _USUAL_PAUSE).isoformat(),
        last_day=last.isoformat(),
        done=done,
        faults=faults or {},
        sent=visit.sent,
    )


def _expired(visit: Visit) -> Answer:
    page = render_template(
        "public/manage_expired.html",
        list=visit.page.list,
        token=visit.token,
        masked_address=mask(visit.page.address),
    )
    return page, 410


def _dead(*, gone: bool) -> tuple[str, int]:
    """A link that opens nothing: it was ours once, or never."""
    page = render_template("public/find_link.html", form=None, damaged=not gone, outdated=gone)
    return page, 410 if gone else 404

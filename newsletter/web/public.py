"""The pages of a list: its front page, its form, the sign-up itself, and «send me my link»."""

from __future__ import annotations

from typing import cast

from flask import Blueprint, Response, current_app, jsonify, render_template, request
from flask_babel import gettext
from werkzeug.exceptions import TooManyRequests

from newsletter.domain.typos import suggest
from newsletter.extensions import csrf, db
from newsletter.services import lists
from newsletter.services.guard import TooOften
from newsletter.services.lists import ListView
from newsletter.services.send_links import send_links
from newsletter.services.subscribe import SignUp, subscribe
from newsletter.web.errors import NoSuchList, for_script, problem
from newsletter.web.forms import AddressForm, SignUpForm, submitted
from newsletter.web.languages import accepted, asked_for, speak_for
from newsletter.web.limiting import RedisLimit
from newsletter.web.pages import check_inbox, kept
from newsletter.web.seeing import seen
from newsletter.web.writer import Writer

public = Blueprint("public", __name__)


def writer() -> Writer:
    """The writer of this process."""
    return cast("Writer", current_app.extensions["newsletter.writer"])


def redis_limit() -> RedisLimit:
    """The limit on sign-ups where it is kept in Redis."""
    return cast("RedisLimit", current_app.extensions["newsletter.redis_limit"])


@public.get("/")
def front() -> str:
    """The front page of the default list."""
    mailing_list = lists.default(db.session())
    if mailing_list is None:
        raise NoSuchList
    speak_for(mailing_list)
    return kept("public/front.html", list=mailing_list, form=None)


@public.get("/lists/<slug>")
def show_list(slug: str) -> str:
    """A list's own page."""
    mailing_list = _list(slug)
    speak_for(mailing_list)
    return kept("public/list.html", list=mailing_list, form=None)


def _list(slug: str) -> ListView:
    mailing_list = lists.find(db.session(), slug)
    if mailing_list is None:
        raise NoSuchList
    return mailing_list


@public.post("/lists/<slug>/subscriptions")
@csrf.exempt
def take_sign_up(slug: str) -> tuple[Response | str, int]:
    """Take a sign-up. The answer depends on what was typed, never on what is known (law 5, A7)."""
    wants_json = for_script()
    sent = submitted(request)
    asked = asked_for(sent.get("locale"))
    form = SignUpForm(sent)
    if not form.validate():
        return _refuse(slug, form, asked, wants_json=wants_json)
    sign_up = SignUp(
        slug,
        form.address,
        form.name.data or None,
        asked,
        seen(request, "script" if wants_json else "form"),
        accepted(),
    )
    taken = redis_limit().exceeded(sign_up.seen.network) or writer().run(subscribe, sign_up)
    if taken is None:
        raise NoSuchList
    if isinstance(taken, TooOften):
        raise TooManyRequests(retry_after=taken.seconds)
    speak_for(taken, asked)
    if wants_json:
        return jsonify(status="check_inbox"), 202
    return check_inbox(taken, form.address.text, suggestion=suggest(form.address.text)), 200


def _refuse(
    slug: str, form: SignUpForm, asked: str | None, *, wants_json: bool
) -> tuple[Response | str, int]:
    mailing_list = _list(slug)
    speak_for(mailing_list, asked)
    form.validate()  # once more, for its messages in that language
    if wants_json:
        errors = {name: " ".join(messages) for name, messages in form.errors.items()}
        return problem(422, gettext("The form needs a change"), " ".join(errors.values()), errors=errors), 422
    return render_template("public/list.html", list=mailing_list, form=form), 422


@public.get("/unsubscribe")
def ask_for_link() -> str:
    """The form for those who have no mail of ours at hand."""
    return render_template("public/find_link.html", form=None, damaged=False)


@public.post("/unsubscribe")
@csrf.exempt
def send_link() -> tuple[str, int]:
    """Send the links of an address to it: the same answer for every address."""
    form = AddressForm(submitted(request))
    if not form.validate():
        return render_template("public/find_link.html", form=form, damaged=False), 422
    writer().run(send_links, form.address)
    return render_template("public/link_sent.html", address=form.address.text), 200

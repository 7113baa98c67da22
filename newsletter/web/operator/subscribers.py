"""Subscribers: found, looked at, added, edited, unsubscribed, erased."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from uuid import UUID

from flask import render_template, request, url_for
from werkzeug.exceptions import NotFound

from newsletter.domain.addresses import AddressError, parse_address
from newsletter.domain.languages import LANGUAGES
from newsletter.domain.lifecycle import State
from newsletter.domain.profiles import ProfileError, parse_attributes
from newsletter.domain.roles import Scope
from newsletter.extensions import db
from newsletter.parts import parts
from newsletter.services import overview, subscribers
from newsletter.services.lists import ListView
from newsletter.services.subscribers import (
    CannotAdd,
    CannotSuppress,
    Changes,
    Newcomer,
    SubscriberGone,
    SubscriberView,
)
from newsletter.web.operator import words
from newsletter.web.operator.access import actor, list_or_404, needs, operator
from newsletter.web.operator.console import (
    Answer,
    deed,
    field,
    go_on,
    id_or_none,
    state_or_none,
    subscriber_or_404,
)
from newsletter.web.operator.deeds import ask_once_more, is_confirmed
from newsletter.web.problems import sentence
from newsletter.web.seeing import seen

_A_PAGE = 50
_WAY = "operator"


@operator.get("/lists/<slug>/subscribers")
@needs(Scope.READ_SUBSCRIBERS)
def show_subscribers(slug: str) -> str:
    """A list's subscribers, searched and filtered, a page at a time."""
    mailing_list = list_or_404(slug)
    session = db.session()
    asked = {"q": request.args.get("q", ""), "state": request.args.get("state", "")}
    asked["source"] = request.args.get("source", "")
    state = state_or_none(asked["state"])
    found = subscribers.search(
        session,
        mailing_list.id,
        query=asked["q"],
        states=[state] if state else [],
        source=asked["source"] or None,
        cursor=id_or_none(request.args.get("before")),
        limit=_A_PAGE,
    )
    return render_template(
        "operator/subscribers.html",
        list=mailing_list,
        found=found,
        asked=asked,
        further={key: value for key, value in asked.items() if value},
        is_first="before" not in request.args,
        states=overview.states_of(session, [mailing_list.id])[mailing_list.id],
        sources=subscribers.sources(session, mailing_list.id),
        way=words.way,
    )


@operator.get("/lists/<slug>/subscribers/<uuid:subscription_id>")
@needs(Scope.READ_SUBSCRIBERS)
def show_subscriber(slug: str, subscription_id: UUID) -> str:
    """One subscriber, with all that is kept of them."""
    mailing_list = list_or_404(slug)
    found = subscriber_or_404(mailing_list, subscription_id)
    return render_template(
        "operator/subscriber.html",
        list=mailing_list,
        person=found,
        elsewhere=[other for other in found.elsewhere if actor().sees(other.list.id)],
        sees_all=actor().lists is None,
        is_paused=found.state is State.CONFIRMED
        and found.paused_until is not None
        and found.paused_until > datetime.now(UTC),
        languages=LANGUAGES,
        words=words,
    )


@operator.get("/lists/<slug>/add")
@needs(Scope.WRITE_SUBSCRIBERS)
def ask_whom(slug: str) -> str:
    """The form for one address."""
    return _add_form(list_or_404(slug))


@operator.post("/lists/<slug>/add")
@needs(Scope.WRITE_SUBSCRIBERS)
def add_subscriber(slug: str) -> Answer:
    """Add one address by hand."""
    mailing_list = list_or_404(slug)
    confirmed = field("consent") == "stated"
    try:
        newcomer = Newcomer(
            parse_address(field("email")),
            field("name") or None,
            field("locale") or None,
            statement=field("statement") if confirmed else None,
        )
        with deed() as (session, now):
            added = subscribers.add(
                session, parts().settings, now, actor(), seen(request, _WAY), mailing_list, newcomer
            )
    except (AddressError, ProfileError, CannotAdd) as error:
        return _add_form(mailing_list, fault=sentence(error)), 422
    if not added.changed:
        done = f"{newcomer.address.text} gets this newsletter already: nothing was changed."
    elif added.state is State.CONFIRMED:
        done = f"{newcomer.address.text} is on the list."
    else:
        done = f"{newcomer.address.text} is asked by email to confirm."
    return go_on("show_subscriber", done=done, slug=slug, subscription_id=added.id)


def _add_form(mailing_list: ListView, fault: str | None = None) -> str:
    return render_template(
        "operator/add.html", list=mailing_list, sent=request.form, fault=fault, languages=LANGUAGES
    )


@operator.get("/lists/<slug>/subscribers/<uuid:subscription_id>/edit")
@needs(Scope.WRITE_SUBSCRIBERS)
def show_edit(slug: str, subscription_id: UUID) -> str:
    """The form for what is kept of a subscriber."""
    mailing_list = list_or_404(slug)
    person = subscriber_or_404(mailing_list, subscription_id)
    written = json.dumps(person.attributes, ensure_ascii=False, indent=2) if person.attributes else ""
    return _edit_form(
        mailing_list, person, {"name": person.name or "", "locale": person.locale, "attributes": written}
    )


@operator.post("/lists/<slug>/subscribers/<uuid:subscription_id>/edit")
@needs(Scope.WRITE_SUBSCRIBERS)
def edit_subscriber(slug: str, subscription_id: UUID) -> Answer:
    """Keep what was changed."""
    mailing_list = list_or_404(slug)
    person = subscriber_or_404(mailing_list, subscription_id)
    sent = {name: field(name) for name in ("name", "locale", "attributes")}
    try:
        changes = Changes(sent["name"], sent["locale"], parse_attributes(sent["attributes"]))
        with deed() as (session, now):
            subscribers.edit(session, now, actor(), seen(request, _WAY), subscription_id, changes)
    except (ProfileError, SubscriberGone) as error:
        return _edit_form(mailing_list, person, sent, fault=sentence(error)), 422
    return go_on("show_subscriber", done="Saved.", slug=slug, subscription_id=subscription_id)


def _edit_form(
    mailing_list: ListView, person: SubscriberView, sent: dict[str, str], fault: str | None = None
) -> str:
    return render_template(
        "operator/edit.html", list=mailing_list, person=person, sent=sent, fault=fault, languages=LANGUAGES
    )


@operator.post("/lists/<slug>/subscribers/<uuid:subscription_id>/unsubscribe")
@needs(Scope.WRITE_SUBSCRIBERS)
def unsubscribe_subscriber(slug: str, subscription_id: UUID) -> Answer:
    """End the subscription."""
    mailing_list = list_or_404(slug)
    person = subscriber_or_404(mailing_list, subscription_id)
    if not is_confirmed():
        return ask_once_more(
            f"Unsubscribe {person.address}?",
            f"They get no more mail of {mailing_list.name}, and mail that waits for them is not sent. That "
            "they were here, and left, is kept. Only they themselves can come back, by the form.",
            button="Unsubscribe",
            back=url_for("operator.show_subscriber", slug=slug, subscription_id=subscription_id),
        )
    try:
        with deed() as (session, now):
            subscribers.unsubscribe(
                session, parts().settings, now, actor(), seen(request, _WAY), subscription_id
            )
    except SubscriberGone as error:
        raise NotFound from error
    done = f"{person.address} is unsubscribed."
    return go_on("show_subscriber", done=done, slug=slug, subscription_id=subscription_id)


@operator.post("/lists/<slug>/subscribers/<uuid:subscription_id>/erase")
@needs(Scope.WRITE_SUBSCRIBERS)
def erase_subscriber(slug: str, subscription_id: UUID) -> Answer:
    """Remove the person."""
    person = subscriber_or_404(list_or_404(slug), subscription_id)
    suppress = field("suppress") == "yes"
    if not is_confirmed():
        return ask_once_more(
            f"Erase {person.address}?",
            _what_goes(person, suppress=suppress),
            button="Erase",
            back=url_for("operator.show_subscriber", slug=slug, subscription_id=subscription_id),
        )
    try:
        with deed() as (session, now):
            subscribers.erase(
                session, parts().settings, now, actor(), subscription_id, way=_WAY, suppress=suppress
            )
    except SubscriberGone as error:
        raise NotFound from error
    except CannotSuppress:
        return render_template("operator/forbidden.html"), 403
    return go_on("show_subscribers", done="They are erased.", slug=slug)


def _what_goes(person: SubscriberView, *, suppress: bool) -> str:
    names = [
        person.list.name,
        *(other.list.name for other in person.elsewhere if actor().sees(other.list.id)),
    ]
    said = (
        f"Their address, name and attributes are removed, with the evidence of their consent and all record "
        f"of mail to them, on: {', '.join(names)}. This cannot be undone."
    )
    if suppress:
        return f"{said} A fingerprint of the address stays, by which it is never mailed again."
    return f"{said} Nothing stays that tells they were here, so they could be added again."

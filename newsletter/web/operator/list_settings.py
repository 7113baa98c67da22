"""A list's settings, and new lists."""

from __future__ import annotations

from typing import Any

from flask import render_template

from newsletter.domain.extra_mails import ExtraMailError, parse_hours, shown_hours
from newsletter.domain.languages import LANGUAGES
from newsletter.domain.roles import Scope
from newsletter.parts import parts
from newsletter.services import audit, lists
from newsletter.services.lists import ListError, ListView
from newsletter.web.operator.access import actor, list_or_404, needs, operator
from newsletter.web.operator.console import Answer, deed, field, go_on
from newsletter.web.problems import sentence

_WORDS = ("name", "headline", "invitation", "sender", "locale", "welcome")
_LINES = ("sites", "return_urls")


@operator.get("/lists/<slug>/settings")
@needs(Scope.READ_LISTS)
def show_settings(slug: str) -> str:
    """What a list's readers see, and where its form may be."""
    mailing_list = list_or_404(slug)
    hours = mailing_list.reminder_after_hours
    stored = {
        **{name: getattr(mailing_list, name) or "" for name in _WORDS},
        **{name: "\n".join(getattr(mailing_list, name)) for name in _LINES},
        "reminder_after": shown_hours(hours) if hours is not None else "",
    }
    return _form(mailing_list, stored)


@operator.post("/lists/<slug>/settings")
@needs(Scope.WRITE_LISTS)
def edit_list(slug: str) -> Answer:
    """Keep what was changed."""
    mailing_list = list_or_404(slug)
    try:
        wanted = _wanted()
        with deed() as (session, now):
            edited = lists.edit(session, slug, wanted)
            changed = [name for name in wanted if getattr(edited, name) != getattr(mailing_list, name)]
            if changed:
                audit.record(
                    session, now, actor(), "list.edited", list_id=edited.id, subject=slug, fields=changed
                )
    except ListError as error:
        return _form(mailing_list, _sent(), fault=sentence(error)), 422
    return go_on("show_settings", done="Saved.", slug=slug)


@operator.get("/new-list")
@needs(Scope.ADMIN)
def ask_new_list() -> str:
    """The form for a new list."""
    return _form(None, dict.fromkeys(("slug", *_WORDS, *_LINES, "reminder_after"), ""))


@operator.post("/new-list")
@needs(Scope.ADMIN)
def add_list() -> Answer:
    """Make a list."""
    try:
        with deed() as (session, now):
            added = lists.add(session, now, slug=field("slug"), **_wanted())
            audit.record(session, now, actor(), "list.added", list_id=added.id, subject=added.slug)
    except ListError as error:
        return _form(None, _sent(), fault=sentence(error)), 422
    return go_on(
        "show_settings",
        done="The list is there. Put its form on your site, or share its page.",
        slug=added.slug,
    )


def _wanted() -> dict[str, Any]:
    """What the form says; an empty field takes back what there was. Raises `ListError`."""
    words = {name: field(name) or None for name in _WORDS}
    lines = {name: [line.strip() for line in field(name).split("\n") if line.strip()] for name in _LINES}
    try:
        hours = parse_hours(field("reminder_after"))
    except ExtraMailError as error:
        raise ListError(str(error)) from error
    return {**words, **lines, "name": field("name"), "reminder_after_hours": hours}


def _sent() -> dict[str, str]:
    return {name: field(name) for name in ("slug", *_WORDS, *_LINES, "reminder_after")}


def _form(mailing_list: ListView | None, sent: dict[str, str], fault: str | None = None) -> str:
    settings = parts().settings
    return render_template(
        "operator/settings.html" if mailing_list is not None else "operator/new_list.html",
        list=mailing_list,
        sent=sent,
        fault=fault,
        languages=LANGUAGES,
        default_sender=settings.mail_from,
        base_url=settings.base_url,
        max_age_days=settings.confirm_max_age.days,
    )

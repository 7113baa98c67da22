"""Finding the list that a request is about."""

from __future__ import annotations

from newsletter.extensions import db
from newsletter.services import lists
from newsletter.services.lists import ListView
from newsletter.web.errors import NoSuchList
from newsletter.web.languages import speak_for
from newsletter.web.origins import about


def find_list(slug: str, *, locale: str | None = None) -> ListView:
    """The list that a request is about, whose sites and language its answer follows."""
    mailing_list = lists.find(db.session(), slug)
    if mailing_list is None:
        raise NoSuchList
    speak_for(mailing_list, locale)
    return about(mailing_list)

"""Pages that are the same for everybody who is shown them: rendered once in each language, then kept.

Rendering a page costs about as much as storing a sign-up.
"""

from __future__ import annotations

from collections.abc import Hashable
from functools import lru_cache

from flask import render_template
from markupsafe import escape

from newsletter.domain.inboxes import inbox_of
from newsletter.services.lists import ListView
from newsletter.web.languages import spoken

_ANYBODY = "\N{OBJECT REPLACEMENT CHARACTER}"  # never part of a name or a page


def kept(template: str, **context: Hashable) -> str:
    """The page that `template` gives, in the language of this answer, for a context of values that never
    change. A list that was edited is another value."""
    return _kept(template, spoken(), **context)


@lru_cache(maxsize=1024)
def _kept(template: str, _language: str, **context: Hashable) -> str:
    return render_template(template, **context)


def check_inbox(mailing_list: ListView, address: str, *, suggestion: str | None = None) -> str:
    """The page after a sign-up: "check your inbox". But for the address it is always the same."""
    page = "public/check_inbox.html"
    if suggestion is not None:
        return render_template(
            page, list=mailing_list, address=address, suggestion=suggestion, inbox=inbox_of(address)
        )
    anybodys = kept(page, list=mailing_list, address=_ANYBODY, suggestion=None, inbox=inbox_of(address))
    return anybodys.replace(_ANYBODY, str(escape(address)))

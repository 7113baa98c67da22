"""Pages that are the same for everybody who is shown them: rendered once in each language, then kept.

Rendering a page costs about as much as storing a sign-up.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from datetime import UTC, datetime
from functools import lru_cache
from typing import cast

from flask import Flask, current_app, render_template
from markupsafe import escape

from newsletter.domain.inboxes import inbox_of
from newsletter.parts import parts
from newsletter.services.lists import ListView
from newsletter.web.languages import spoken

# What differs from one visitor to the next stands in a kept page as one of these, never part of a name.
_ADDRESS = "\N{OBJECT REPLACEMENT CHARACTER}address"
_FORM = "\N{OBJECT REPLACEMENT CHARACTER}form"
_PAGE = "\N{OBJECT REPLACEMENT CHARACTER}page"
_CACHE = "newsletter.pages"


def register_pages(app: Flask) -> None:
    """Give the application a cache of its own: pages show its settings, such as the postal address."""
    app.extensions[_CACHE] = lru_cache(maxsize=1024)(_render)


def kept(template: str, **context: Hashable) -> str:
    """The page that `template` gives, in the language of this answer, for a context of values that never
    change. A list that was edited is another value."""
    cached = cast("Callable[..., str]", current_app.extensions[_CACHE])
    return cached(template, spoken(), **context)


def _render(template: str, _language: str, **context: Hashable) -> str:
    return render_template(template, **context)


def form_token(mailing_list: ListView) -> str:
    """The token of a form that is drawn now."""
    return parts().forms.form(mailing_list.slug, now=datetime.now(UTC))


def form_page(
    template: str, mailing_list: ListView, *, page_token: str | None = None, **context: Hashable
) -> str:
    """A page with an empty sign-up form; `page_token` is of the page around it, where that is another's."""
    carried = (("page", _PAGE),) if page_token is not None else ()
    page = kept(template, list=mailing_list, form=None, form_token=_FORM, carried=carried, **context)
    return page.replace(_FORM, form_token(mailing_list)).replace(_PAGE, page_token or "")


def check_inbox(
    mailing_list: ListView,
    address: str,
    *,
    page_token: str | None = None,
    suggestion: str | None = None,
    framed: bool = False,
    error: str | None = None,
) -> str:
    """The page after a sign-up: "check your inbox". But for the address it is always the same. What is sent
    from it, such as the code, was begun on the page that `page_token` names."""
    page = "embed/check_inbox.html" if framed else "public/check_inbox.html"
    context = {"list": mailing_list, "inbox": inbox_of(address), "suggestion": suggestion, "error": error}
    if suggestion is not None or error is not None:
        return render_template(page, address=address, page_token=page_token, **context)
    anybodys = kept(page, address=_ADDRESS, page_token=_PAGE if page_token else None, **context)
    return anybodys.replace(_PAGE, page_token or "").replace(_ADDRESS, str(escape(address)))

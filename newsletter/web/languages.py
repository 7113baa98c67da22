"""In which language a request is answered (law 5: by what it says and by its list, never by what is known
of an address; but whoever holds a link of ours is spoken to as they were when they signed up).
"""

from __future__ import annotations

from flask import Flask, Response, g, request
from flask_babel import refresh

from newsletter.domain.languages import choose, direction, known
from newsletter.domain.wording import FormWording
from newsletter.extensions import babel
from newsletter.services.lists import ListView
from newsletter.services.subscriptions import Found


def register_languages(app: Flask) -> None:
    """Give templates `_`, `locale`, `text_direction` and the `wording` of a list's form."""
    babel.init_app(app, locale_selector=spoken)
    app.context_processor(lambda: {"locale": spoken(), "text_direction": direction(spoken())})
    app.jinja_env.globals["wording"] = _wording
    app.after_request(_say_which)


def spoken() -> str:
    """The language of this request's answer."""
    if "language" not in g:
        speak_for(None)
    language: str = g.language
    return language


def speak(language: str) -> str:
    """Answer in `language` from here on."""
    g.language = language
    g.negotiated = False
    refresh()
    return language


def speak_for(mailing_list: ListView | None, asked: str | None = None) -> str:
    """Answer in the language that the form `asked` for, else the page's `?locale=`, the list's own, or the
    browser's; returns it."""
    return _choose(asked_for(asked), mailing_list.locale if mailing_list is not None else None)


def speak_to(found: Found | None) -> Found | None:
    """Answer whoever holds a link to a subscription in the language in which they signed up; returns it."""
    if found is not None:
        _choose(asked_for(None), known(found.locale) or found.list.locale)
    return found


def speak_to_reader(locale: str) -> None:
    """Answer whoever holds a link to a page of their own in the language that they chose."""
    _choose(asked_for(None), known(locale))


def asked_for(by_form: str | None) -> str | None:
    """The language that the form asks for, else the page's address; None where it is none of ours."""
    return known(by_form) or known(request.args.get("locale"))


def accepted() -> tuple[str, ...]:
    """The languages that the browser accepts, in its order."""
    return tuple(tag for tag, quality in request.accept_languages if quality > 0)


def _choose(asked: str | None, own: str | None) -> str:
    language = speak(choose(asked, own, accepted()))
    g.negotiated = not (asked or known(own))
    return language


def _wording(mailing_list: ListView) -> FormWording:
    return mailing_list.wording_in(spoken())


def _say_which(response: Response) -> Response:
    if "language" in g:
        response.headers["Content-Language"] = g.language
        if g.negotiated:
            response.vary.add("Accept-Language")
    return response

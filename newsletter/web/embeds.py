"""What other sites embed: the frame with the form, the script of the custom element and what that asks for,
and the page on which a publisher copies either (checklist E)."""

from __future__ import annotations

import base64
import gzip
import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache

from flask import Blueprint, Response, jsonify, request
from flask_babel import gettext as _

from newsletter.domain.languages import LANGUAGES, direction
from newsletter.parts import parts
from newsletter.services.lists import ListView
from newsletter.web.assets import FOLDER, KEEP_LONG
from newsletter.web.finding import find_list
from newsletter.web.languages import speak_for
from newsletter.web.limiting import limits
from newsletter.web.origins import framed
from newsletter.web.pages import form_page, form_token
from newsletter.web.proofs import proofs
from newsletter.web.seeing import around, page_token

embeds = Blueprint("embeds", __name__)

_SOON = "public, max-age=300"
_GUIDE_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


@dataclass(frozen=True)
class Script:
    """The element's script as it is served: its bytes, plain and packed, and what names this version."""

    content: bytes
    packed: bytes
    version: str
    integrity: str


@cache
def script() -> Script:
    """The script, read once."""
    content = (FOLDER / "embed.js").read_bytes()
    return Script(
        content,
        gzip.compress(content, 9, mtime=0),
        hashlib.sha256(content).hexdigest()[:12],
        "sha384-" + base64.b64encode(hashlib.sha384(content).digest()).decode(),
    )


@embeds.get("/embed.js")
def embed_script() -> Response:
    """The custom element. For long under its own version, for a moment under any other (E7)."""
    served = script()
    packs = request.accept_encodings.best_match(["gzip", "identity"]) == "gzip"
    response = Response(
        served.packed if packs else served.content, content_type="text/javascript; charset=utf-8"
    )
    if packs:
        response.headers["Content-Encoding"] = "gzip"
    response.headers["Vary"] = "Accept-Encoding"
    response.headers["Cache-Control"] = KEEP_LONG if request.args.get("v") == served.version else _SOON
    # A script of no secrets, asked for by every site: with integrity, browsers ask for it this way only.
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    response.set_etag(f"{served.version}{'-gzip' if packs else ''}")
    response.make_conditional(request)
    return response


@embeds.get("/lists/<slug>/form")
def form(slug: str) -> Response:
    """What the custom element draws: its words in the visitor's language, and a fresh token."""
    mailing_list = find_list(slug)
    language = speak_for(mailing_list)
    base = parts().settings.base_url
    return jsonify(
        list=slug,
        locale=language,
        direction=direction(language),
        action=f"{base}/lists/{slug}/subscriptions",
        code_url=f"{base}/lists/{slug}/code",
        token=form_token(mailing_list),
        texts=_texts(mailing_list, language),
    )


def _texts(mailing_list: ListView, language: str) -> dict[str, str]:
    wording = mailing_list.wording_in(language)
    return {
        "invitation": wording.invitation,
        "email_label": _("Your email address"),
        "name_label": _("Your name"),
        "optional": _("(optional)"),
        "button": wording.button,
        "fine_print": wording.fine_print,
        "sending": _("Sending…"),
        "working": _("One moment, please: a short check is running."),
        "failed": _("That did not work. Please try again in a moment."),
        "check_title": _("Check your inbox"),
        "check_text": _(
            "If {address} can receive it, an email is on its way. Open it and press the button inside."
        ),
        "code_label": _("Or enter the six-digit code from the email"),
        "code_button": _("Confirm"),
        "confirmed_title": _("You’re in"),
        "confirmed_text": _("Your subscription is confirmed."),
        "again": _("Use another address"),
        "leave_empty": _("Leave this empty"),
    }


@embeds.get("/lists/<slug>/challenge")
def challenge(slug: str) -> Response:
    """A challenge for a proof of work, at what it costs now; ALTCHA's own widget may ask for it, too (A6)."""
    find_list(slug)
    surge = limits().surge()
    return jsonify(proofs().challenge(surge.level if surge else 0, now=datetime.now(UTC)))


@embeds.get("/embed/<slug>")
def frame(slug: str) -> Response:
    """The form for an iframe."""
    mailing_list = find_list(slug)
    token = request.args.get("page")  # of a frame that was here before, and led back to the form
    if parts().forms.read_page(token, slug) is None:
        host = around(request)
        token = page_token(host, slug) if host is not None else None
    return framed(form_page("embed/frame.html", mailing_list, page_token=token))


@embeds.get("/lists/<slug>/embed")
def guide(slug: str) -> Response:
    """The three ways to embed a list's form, each to be looked at and copied."""
    mailing_list = find_list(slug)
    served = script()
    page = form_page(
        "embed/guide.html",
        mailing_list,
        base=parts().settings.base_url,
        script=f"/embed.js?v={served.version}",
        integrity=served.integrity,
        languages=tuple(LANGUAGES.items()),
    )
    return Response(page, headers={"Content-Security-Policy": _GUIDE_CSP})

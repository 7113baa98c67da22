"""Which sites may embed a list's form and read its answers (checklist E4, E5, E6).

A list that names its sites is open to them; one that names none, to all. An allowed origin is named, never
just repeated, and never with credentials: there are none.
"""

from __future__ import annotations

from flask import Flask, Response, g, request
from sqlalchemy.exc import SQLAlchemyError

from newsletter.extensions import db
from newsletter.services import lists
from newsletter.services.lists import ListView

# What scripts on other sites may ask, and read the answers of.
EMBEDDED = frozenset({"public.take_sign_up", "public.take_code", "embeds.form", "embeds.challenge"})


def register_origins(app: Flask) -> None:
    """Dress the answers to embeds."""
    app.after_request(_allow_origin)


def about(mailing_list: ListView) -> ListView:
    """Remember which list this request is about; its answer follows that list's sites."""
    g.mailing_list = mailing_list
    return mailing_list


def in_frame(page_token: str | None) -> None:
    """Remember that this request comes out of our frame, on the page that the token names: what goes wrong is
    to be shown in it, too, and leads back to its form."""
    g.in_frame, g.page_token = True, page_token


def is_in_frame() -> bool:
    return bool(g.get("in_frame"))


def framed(page: str) -> Response:
    """A page that the sites of this request's list may frame; its script speaks to the page around it. An
    error that comes before the list is known may be framed by all."""
    mailing_list: ListView | None = g.get("mailing_list")
    sites = " ".join(("'self'", *mailing_list.sites)) if mailing_list and mailing_list.sites else "*"
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        f"form-action 'self'; base-uri 'none'; frame-ancestors {sites}"
    )
    return Response(page, headers={"Content-Security-Policy": policy})


def _allow_origin(response: Response) -> Response:
    if request.endpoint not in EMBEDDED:
        return response
    try:
        mailing_list = _list()
    except SQLAlchemyError:
        return response  # whom the list allows cannot be known now
    headers = response.headers
    if mailing_list is None or not mailing_list.sites:
        headers["Access-Control-Allow-Origin"] = "*"
    else:
        headers.add("Vary", "Origin")
        origin = request.headers.get("Origin")
        if origin not in mailing_list.sites:
            return response
        headers["Access-Control-Allow-Origin"] = origin
    if request.method == "OPTIONS":
        headers["Access-Control-Allow-Methods"] = response.headers.get("Allow", "GET, POST")
        headers["Access-Control-Allow-Headers"] = "Accept, Content-Type"
        headers["Access-Control-Max-Age"] = "600"
    else:
        headers["Access-Control-Expose-Headers"] = "Retry-After"
    return response


def _list() -> ListView | None:
    """The list of this request. A preflight, and what cannot be read, is answered before any view has looked
    it up."""
    found: ListView | None = g.get("mailing_list")
    if found is None and request.view_args and "slug" in request.view_args:
        found = lists.find(db.session(), request.view_args["slug"])
    return found

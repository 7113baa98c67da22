"""The document that describes the API (OpenAPI 3.1), and the page on which people read it."""

from __future__ import annotations

import json
import re
from functools import cache

from apispec import APISpec
from flask import Blueprint, Flask, Response, render_template, request
from markupsafe import Markup, escape

from newsletter.web.api.reading import chapters
from newsletter.web.api.resource import PREFIX
from newsletter.web.languages import speak

_CODE = re.compile(r"`([^`]+)`")


def register_reference(app: Flask, spec: APISpec) -> None:
    """Serve the document, and the page."""
    reference = Blueprint("api_reference", __name__, url_prefix=PREFIX)
    app.add_template_filter(_with_code, "code")

    @cache
    def document() -> str:
        """Written when it is first asked for: commands start without it."""
        return json.dumps(spec.to_dict(), indent=1, ensure_ascii=False)

    @reference.get("/openapi.json")
    def openapi() -> Response:
        """The document."""
        return _kept(Response(document(), content_type="application/json"))

    @reference.get("/")
    def page() -> Response:
        """The page."""
        speak("en")
        read = json.loads(document())
        about = read["info"]["description"]
        return _kept(Response(render_template("api/reference.html", chapters=chapters(read), about=about)))

    app.register_blueprint(reference)


def _with_code(text: str) -> Markup:
    """A text in which `this` is code."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704 - it is escaped


def _kept(response: Response) -> Response:
    """May be kept for a while, and is the same until the next version."""
    response.headers["Cache-Control"] = "public, max-age=300"
    response.add_etag()
    response.make_conditional(request)
    return response

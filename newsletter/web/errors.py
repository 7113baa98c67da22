"""Answers to what goes wrong: a page for people, problem+json (RFC 9457) for scripts, never a bare 500."""

from __future__ import annotations

import structlog
from flask import Flask, Response, g, make_response, render_template, request
from flask_babel import gettext
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import (
    HTTPException,
    InternalServerError,
    NotFound,
    SecurityError,
    ServiceUnavailable,
)

from newsletter.database import first_line
from newsletter.domain.languages import N_
from newsletter.web.forms import Unreadable
from newsletter.web.origins import framed, is_in_frame
from newsletter.web.problems import api_problem, is_for_api, problem
from newsletter.web.writer import Unavailable

log = structlog.get_logger()

_RETRY_SECONDS = 30
# In English; translated where it is said.
_SAYS = {
    400: (N_("That did not arrive well"), N_("The request could not be read. Please go back and try again.")),
    404: (N_("There is nothing here"), N_("This page does not exist. Perhaps the link was cut short.")),
    405: (N_("That is not possible here"), N_("This address does not take that kind of request.")),
    411: (N_("That did not arrive well"), N_("The request must say how long it is (Content-Length).")),
    413: (N_("That is too large"), N_("The form takes an email address and a name, nothing larger.")),
    429: (N_("A little too fast"), N_("There were many sign-ups from your network. Please try again later.")),
    500: (N_("That went wrong on our side"), N_("We have noted it. Please try again in a moment.")),
    503: (N_("We are not quite there"), N_("Nothing can be stored right now. Please try again in a minute.")),
}  # fmt: skip


class NoSuchList(NotFound):
    """The list in the URL does not exist."""

    description = N_("There is no such list. Perhaps it was renamed.")


def register_errors(app: Flask) -> None:
    """Answer every error in our own words."""
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Unavailable, lambda error: _unavailable(str(error)))
    app.register_error_handler(SQLAlchemyError, lambda error: _unavailable(first_line(error)))
    app.register_error_handler(Exception, _fault)


def _http_error(error: HTTPException) -> Response:
    if error.response is not None or error.code is None or error.code < 400:
        return make_response(error.get_response())
    if is_for_api():
        return api_problem(error)
    if isinstance(error, SecurityError):
        # A foreign Host (A12): there is no address that a page of ours could have.
        words = gettext("This service does not answer for that host.")
        return Response(f"{words}\n", status=400, content_type="text/plain; charset=utf-8")
    title, message = _SAYS.get(error.code) or _SAYS[400 if error.code < 500 else 500]
    if isinstance(error, NoSuchList) or (isinstance(error, Unreadable) and for_script()):
        message = error.description or message
    response = _answer(error.code, title, message)
    for name, value in error.get_headers():
        if name not in ("Content-Type", "Content-Length"):
            response.headers[name] = value
    return response


def _unavailable(reason: str) -> Response:
    log.error("unavailable", reason=reason)
    response = api_problem(ServiceUnavailable()) if is_for_api() else _answer(503, *_SAYS[503])
    response.headers["Retry-After"] = str(_RETRY_SECONDS)
    return response


def _fault(_error: Exception) -> Response:
    log.exception("fault", endpoint=request.endpoint)
    return api_problem(InternalServerError()) if is_for_api() else _answer(500, *_SAYS[500])


def _answer(status: int, title: str, message: str) -> Response:
    title, message = gettext(title), gettext(message)
    if for_script():
        return problem(status, title, message)
    if is_in_frame():
        slug = (request.view_args or {}).get("slug")
        response = framed(
            render_template(
                "embed/error.html", title=title, message=message, slug=slug, page_token=g.page_token
            )
        )
        response.status_code = status
        return response
    return Response(render_template("public/error.html", title=title, message=message), status=status)


def for_script() -> bool:
    """Whether a script asks: by what it sent, or by what it accepts."""
    accepts = request.accept_mimetypes
    return request.is_json or accepts["application/json"] > accepts["text/html"]

"""problem+json (RFC 9457): how a script is told what went wrong."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from flask import Response, json, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from newsletter.web.uploads import CutOff

CONTENT_TYPE = "application/problem+json"

# By status: the name that a program goes by, and what a person reads.
_API_SAYS = {
    400: ("malformed", "The request could not be read."),
    404: ("not_found", "There is nothing at this address."),
    405: ("method_not_allowed", "This address takes other methods: the header Allow names them."),
    411: ("length_required", "The request must say how long it is (Content-Length)."),
    413: ("too_large", "The request is larger than this address takes."),
    415: ("unsupported_media_type", "This address takes JSON: send it with Content-Type: application/json."),
    422: ("invalid", "The request holds something that cannot be taken."),
    429: ("too_many_requests", "That was too often. Try again after the time that Retry-After names."),
    500: ("fault", "That went wrong on our side, and is noted."),
    503: ("unavailable", "Nothing can be read or stored right now. Try again in a minute."),
}  # fmt: skip


class Problem(HTTPException):
    """What an API call is told instead of an answer. `name` is what programs tell it by; `errors` say what is
    wrong with which field."""

    def __init__(
        self,
        status: int,
        name: str,
        detail: str,
        *,
        errors: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.code = status
        self.problem = name
        self.errors = dict(errors or {})
        self.more_headers = dict(headers or {})


def problem(status: int, title: str, detail: str, **members: Any) -> Response:
    """A problem+json answer. Its texts are in the language of the answer already."""
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail} | members
    return Response(json.dumps(body), status=status, content_type=CONTENT_TYPE)


def is_for_api() -> bool:
    """Whether a program asks, our API's user or a provider of mail: every error is a problem, in English."""
    return request.path.startswith(("/api/", "/events/"))


def api_problem(error: HTTPException) -> Response:
    """An error as the API tells it."""
    if isinstance(error, Problem):
        response = _told(error.code or 500, error.problem, error.description or "", error.errors)
        response.headers.extend(error.more_headers)
        return response
    status = error.code or 500
    name, detail = _API_SAYS.get(status) or _API_SAYS[400 if status < 500 else 500]
    detail = about_size(error) or detail
    # webargs leaves its findings there, by the part of the request that they are about.
    found: dict[str, Any] = getattr(error, "data", None) or {}
    response = _told(status, name, detail, _by_field(found.get("messages", {})))
    for header, value in error.get_headers():
        if header not in ("Content-Type", "Content-Length"):
            response.headers[header] = value
    return response


def _told(status: int, name: str, detail: str, errors: Mapping[str, str]) -> Response:
    more = {"errors": dict(errors)} if errors else {}
    return problem(status, HTTPStatus(status).phrase, detail, code=name, **more)


def _by_field(messages: Mapping[str, Any]) -> dict[str, str]:
    """webargs' findings by the name of the field: those inside of a field by `field.inner`."""
    found: dict[str, str] = {}

    def add(name: str, what: Any) -> None:
        if isinstance(what, Mapping):
            for inner, more in what.items():
                add(str(inner) if name in ("", "_schema") else f"{name}.{inner}", more)
        else:
            found[name or "body"] = " ".join(what) if isinstance(what, list) else str(what)

    for of_a_location in messages.values():
        add("", of_a_location)
    return {("body" if name == "_schema" else name): what for name, what in found.items()}


def about_size(error: HTTPException) -> str | None:
    """What a person needs to know of a body that is too large, or was cut off; None where it is neither, or
    where nobody knows how large it is."""
    if isinstance(error, CutOff):
        return error.description
    sent, largest = request.content_length, request.max_content_length
    if not isinstance(error, RequestEntityTooLarge) or not sent or not largest:
        return None
    if sent <= largest:
        return "The form has more fields than are taken here, or a larger one. Nothing was changed."
    return f"The request has {sent:,} bytes; at most {largest:,} are taken here. Nothing was changed."


def sentence(error: Exception | str) -> str:
    """What an error says, as a sentence for whoever asked."""
    said = str(error)
    return f"{said[:1].upper()}{said[1:]}" + ("" if said.endswith((".", "!", "?")) else ".")

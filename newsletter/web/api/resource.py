"""A resource of the API: a blueprint whose every route names the scope that it needs. What a route does not
say about tokens, limits and errors, it says for all of them, and the document as well."""

from __future__ import annotations

import http
import json
from collections.abc import Callable
from functools import wraps
from typing import Any, NoReturn, TypeVar

from flask import Request, request
from flask_smorest import Blueprint
from marshmallow import RAISE, Schema
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import UnsupportedMediaType
from werkzeug.routing import UUIDConverter

from newsletter.domain.nesting import is_too_deep
from newsletter.domain.roles import Scope
from newsletter.extensions import csrf
from newsletter.parts import parts
from newsletter.web import uploads
from newsletter.web.api.access import admit, tell_allowance
from newsletter.web.languages import speak
from newsletter.web.problems import Problem

PREFIX = "/api/v1"
View = TypeVar("View", bound=Callable[..., Any])
# Attributes of 10,000 characters, each written as JSON's two \uXXXX, and what stands around them.
_LARGEST_BODY = 256 * 1024
BYTES = "application/octet-stream"
_FILE = {"type": "string", "format": "binary"}


class Parser(FlaskParser):
    """Reads JSON as strictly as RFC 8259 asks, and refuses what it does not know by its name."""

    DEFAULT_UNKNOWN_BY_LOCATION: dict[str, str | None] = {  # noqa: RUF012 - so it is in the library
        **FlaskParser.DEFAULT_UNKNOWN_BY_LOCATION,
        "query": RAISE,
        "json": RAISE,
    }

    def load_json(self, req: Request, schema: Schema) -> Any:  # noqa: ARG002
        body = req.get_data(cache=True)
        if not body:
            raise Problem(400, "malformed", 'A JSON object is missing, such as {"name": "Sport"}.')
        if not req.is_json:
            raise UnsupportedMediaType
        try:
            sent = json.loads(body.decode(), parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            raise Problem(400, "malformed", "The body is not JSON (RFC 8259, in UTF-8).") from error
        if not isinstance(sent, dict):
            raise Problem(400, "malformed", 'The JSON must be an object, such as {"name": "Sport"}.')
        if is_too_deep(sent):
            raise Problem(400, "malformed", "The JSON is nested too deeply.")
        return sent


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"JSON has no {name}")


class Resource(Blueprint):
    """One kind of thing under /api/v1. No session and no cookie is read here, so there is nothing that
    another site could have a browser send along (checklist E1)."""

    ARGUMENTS_PARSER = Parser()

    def __init__(self, name: str, description: str) -> None:
        super().__init__(name, __name__, url_prefix=PREFIX, description=description)
        csrf.exempt(self)
        self.after_request(tell_allowance)
        self._prepare_doc_cbks.append(_document_key)

    def route(
        self, rule: str, *, scope: Scope, largest: Callable[[], int] | None = None, **options: Any
    ) -> Callable[[View], View]:
        """Register a view for tokens with a scope. `largest` gives how many bytes a file may have, where it
        takes one."""
        add = super().route(rule, **options)

        def register(view: View) -> View:
            takes_query = "query" in _locations(view)

            @wraps(view)
            def admitted(*args: Any, **kwargs: Any) -> Any:
                speak("en")
                request.max_content_length = _LARGEST_BODY
                admit(scope)
                if largest:
                    uploads.take_file(request, largest())
                if request.args and not takes_query:
                    unknown = dict.fromkeys(request.args, "Unknown field.")
                    raise Problem(422, "invalid", "This call takes no parameters.", errors=unknown)
                return view(*args, **kwargs)

            documented = self.doc(operationId=view.__name__, security=[{"token": [scope.value]}])(admitted)
            for status in _refusals(rule, view):
                documented = self.alt_response(status, http.HTTPStatus(status).name)(documented)
            add(documented)
            return view

        return register

    def creates(self, schema: type[Schema], **more: Any) -> Callable[[View], View]:
        """Document a call that creates something, once for each Idempotency-Key."""
        headers = {
            "Location": {"description": "Where it is.", "schema": {"type": "string", "format": "uri"}},
            "Idempotency-Replayed": {
                "description": "`true` where an earlier call with this key was answered the same.",
                "schema": {"type": "string"},
            },
        }

        def document(view: View) -> View:
            documented = self.response(201, schema, headers=headers, **more)(view)
            documented = self.alt_response(409, http.HTTPStatus.CONFLICT.name)(documented)
            vars(documented)["_apidoc"]["takes_key"] = True
            creating: View = documented
            return creating

        return document

    def streams(self, *media_types: str, **more: Any) -> Callable[[View], View]:
        """Document a call that answers with a file. Generated clients know bytes and no other kind of file:
        that is what they find first, and who asks for bytes gets the file by that name."""

        def document(view: View) -> View:
            documented = view
            for one in reversed(media_types):  # what is added last stands first
                documented = self.alt_response(200, schema=_FILE, content_type=one, success=True)(documented)
            streaming: View = self.response(200, _FILE, content_type=BYTES, **more)(documented)
            return streaming

        return document


def _document_key(doc: dict[str, Any], doc_info: dict[str, Any], **_: Any) -> dict[str, Any]:
    """The header of calls that create, after their other parameters: what is documented by hand replaces
    them."""
    if doc_info.get("takes_key"):
        doc["parameters"] = [*doc.get("parameters", ()), "IdempotencyKey"]
    return doc


class IdConverter(UUIDConverter):
    """An id in a path: with the hyphens, or without."""

    regex = "-?".join(f"[0-9A-Fa-f]{{{digits}}}" for digits in (8, 4, 4, 4, 12))


def whereabouts(*path: object) -> str:
    """The whole address of a thing, by the parts of its path."""
    return "/".join((parts().settings.base_url + PREFIX, *map(str, path)))


def media_type(own: str) -> str:
    """The media type of a file that is answered: its own, or bytes for whoever would rather have those."""
    accepted = request.accept_mimetypes
    return BYTES if accepted[BYTES] > accepted[own.partition(";")[0]] else own


def nothing_there(what: str) -> Problem:
    """A thing that does not exist, or not to this token."""
    return Problem(404, "not_found", f"There is no such {what} that this token may see.")


def _refusals(rule: str, view: Callable[..., Any]) -> list[int]:
    """The statuses by which a view may refuse, beside those that it names."""
    has_body = "json" in _locations(view)
    return [401, 403, 422, 429] + [404] * ("<" in rule) + [400, 413, 415] * has_body


def _locations(view: Callable[..., Any]) -> set[str]:
    """Where a view takes its arguments from."""
    parameters = getattr(view, "_apidoc", {}).get("arguments", {}).get("parameters", [])
    return {part["in"] for part in parameters}

"""The API: what programs ask of the service, under /api/v1. A file a resource; from them comes the document
that describes it."""

from __future__ import annotations

import http

import flask_smorest
from flask import Flask

from newsletter.settings import Settings
from newsletter.version import __version__
from newsletter.web.api import (
    audit_log,
    changes,
    exports,
    imports,
    lists,
    operators,
    outbox,
    subscribers,
    subscriptions,
    tokens,
    webhooks,
)
from newsletter.web.api.creating import IDEMPOTENCY_KEY
from newsletter.web.api.reference import register_reference
from newsletter.web.api.resource import IdConverter
from newsletter.web.api.schemas import ProblemSchema
from newsletter.web.problems import CONTENT_TYPE

RESOURCES = (
    lists.resource,
    subscriptions.resource,
    subscribers.resource,
    exports.resource,
    imports.resource,
    changes.resource,
    webhooks.resource,
    outbox.resource,
    operators.resource,
    tokens.resource,
    audit_log.resource,
)

_ABOUT = """\
Lists, their subscribers, and what happens to them, for programs. Each call carries an API token, which is
made in the console or by `newsletter tokens add`."""


class Api(flask_smorest.Api):
    """flask-smorest's, with our own errors: they are answered in newsletter.web.errors."""

    def _register_error_handlers(self) -> None:
        """There is one handler of errors already."""

    def _register_pagination_header(self) -> None:
        """The library's own pages: ours are those of newsletter.web.api.paging."""

    def _register_responses(self) -> None:
        responses = {status.name: status.phrase for status in http.HTTPStatus if status >= 400}
        for name, phrase in {**responses, self.DEFAULT_ERROR_RESPONSE_NAME: "Any other problem"}.items():
            response = {"description": phrase, "content": {CONTENT_TYPE: {"schema": ProblemSchema}}}
            self.spec.components.response(name, response, lazy=True)


def register_api(app: Flask, settings: Settings) -> None:
    """Serve the resources, and the document that describes them."""
    api = Api(
        spec_kwargs={
            "title": "Newsletter",
            "version": __version__,
            "openapi_version": "3.1.0",
            "info": {"description": _ABOUT, "license": {"name": "MIT", "identifier": "MIT"}},
            "servers": [{"url": settings.base_url}],
        }
    )
    api.init_app(app)
    # It brings a command of its own for the document, which is served here.
    app.cli.commands.pop("openapi", None)
    api.spec.components.security_scheme(
        "token", {"type": "http", "scheme": "bearer", "description": "An API token: `nlt_…`"}
    )
    api.spec.components.parameter("IdempotencyKey", "header", IDEMPOTENCY_KEY)
    app.url_map.converters["id"] = IdConverter
    for resource in RESOURCES:
        api.register_blueprint(resource)
    register_reference(app, api.spec)

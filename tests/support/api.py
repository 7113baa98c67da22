"""A program that calls the API with a token of its own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from werkzeug.test import TestResponse

from newsletter.database import write_transaction
from newsletter.domain.roles import Scope
from newsletter.extensions import db
from newsletter.services import lists, tokens
from newsletter.services.access import COMMAND_LINE
from tests.support.service import Service, now


@dataclass(frozen=True)
class Caller:
    """Calls the API of a service."""

    service: Service
    token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def __call__(self, method: str, path: str, **request: Any) -> TestResponse:
        headers = self.headers | request.pop("headers", {})
        where = path.removeprefix(self.service.settings.base_url)
        if where.startswith("/api/"):
            where = where.removeprefix("/api/v1")
        return self.service.client.open(f"/api/v1{where}", method=method, headers=headers, **request)

    def get(self, path: str, **request: Any) -> TestResponse:
        return self("GET", path, **request)

    def post(self, path: str, **request: Any) -> TestResponse:
        return self("POST", path, **request)

    def patch(self, path: str, **request: Any) -> TestResponse:
        return self("PATCH", path, **request)

    def delete(self, path: str, **request: Any) -> TestResponse:
        return self("DELETE", path, **request)


def caller(
    service: Service,
    *,
    scopes: Iterable[Scope] = tuple(Scope),
    slugs: Iterable[str] | None = None,
    life: timedelta | None = None,
) -> Caller:
    """A program with a fresh token: for all lists, or for those with these slugs."""
    ids = [list_id(service, slug) for slug in slugs] if slugs is not None else None
    with service.app.app_context(), write_transaction(db.session()):
        _, text = tokens.add(
            db.session(), now(), COMMAND_LINE, name="sync", scopes=tuple(scopes), lists=ids, life=life
        )
    return Caller(service, text)


def revoke(call: Caller) -> None:
    """End a program's token."""
    with call.service.app.app_context(), write_transaction(db.session()):
        found = tokens.authenticate(db.session(), now(), call.token)
        tokens.revoke(db.session(), now(), COMMAND_LINE, found.id)


def list_id(service: Service, slug: str) -> UUID:
    """The id of a list."""
    with service.app.app_context():
        found = lists.find(db.session(), slug)
        assert found is not None
        return found.id


def add_list(service: Service, slug: str) -> None:
    """Make a list."""
    with service.app.app_context(), write_transaction(db.session()):
        lists.add(db.session(), now(), slug=slug, name=slug.title())


def problem(response: TestResponse, status: int) -> dict[str, Any]:
    """The problem that a call was answered with; it must be a whole one."""
    assert response.status_code == status, response.get_data(as_text=True)
    assert response.content_type == "application/problem+json"
    body = response.get_json(force=True)
    assert body["status"] == status
    assert {"type", "title", "detail", "code"} <= body.keys()
    return dict(body)

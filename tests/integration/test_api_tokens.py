"""Who may call the API (checklist O4), and how often."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta

import pytest

from newsletter.domain.roles import Scope
from tests.support.api import add_list, caller, problem, revoke
from tests.support.service import Service


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (None, "missing_token"),
        ("Bearer", "unknown_token"),
        ("Bearer nlt_nothing", "unknown_token"),
        ("Bearer nlt_\xe4", "unknown_token"),
        ("Basic YW5uOnB3", "unknown_token"),
    ],
)
def test_without_a_token_of_ours_a_call_is_refused(service: Service, header: str | None, code: str) -> None:
    headers = {"Authorization": header} if header else {}
    response = service.client.get("/api/v1/lists", headers=headers)

    assert problem(response, 401)["code"] == code
    assert response.headers["WWW-Authenticate"].startswith('Bearer realm="newsletter"')


def test_an_expired_and_a_revoked_token_are_told_apart(service: Service) -> None:
    expired = caller(service, life=timedelta(seconds=-1))
    revoked = caller(service)
    revoke(revoked)

    assert problem(expired.get("/lists"), 401)["code"] == "expired_token"
    assert problem(revoked.get("/lists"), 401)["code"] == "revoked_token"


def test_a_missing_scope_is_named(service: Service) -> None:
    response = caller(service, scopes=[Scope.READ_LISTS]).patch("/lists/daily", json={"name": "X"})

    told = problem(response, 403)
    assert told["code"] == "missing_scope"
    assert "lists:write" in told["detail"]
    assert 'scope="lists:write"' in response.headers["WWW-Authenticate"]
    assert service.one("SELECT name FROM mailing_lists") == "Daily News"


def test_another_list_does_not_exist(service: Service) -> None:
    add_list(service, "sport")
    call = caller(service, slugs=["daily"])

    assert [one["slug"] for one in call.get("/lists").get_json()["items"]] == ["daily"]
    there, nowhere = call.get("/lists/sport"), call.get("/lists/nothing")
    assert problem(there, 404) == problem(nowhere, 404) | {
        "detail": "There is no list 'sport' that this token may see."
    }


def test_neither_a_session_nor_a_cookie_is_read(on_sqlite: Service) -> None:
    client = on_sqlite.client
    client.set_cookie("session", "anything")
    client.set_cookie("token", caller(on_sqlite).token)

    response = client.get("/api/v1/lists")

    assert problem(response, 401)["code"] == "missing_token"
    assert "Set-Cookie" not in response.headers
    assert "Access-Control-Allow-Origin" not in caller(on_sqlite).get("/lists").headers


def test_calls_are_counted_and_told_and_refused_over_the_limit(make_service: Callable[..., Service]) -> None:
    for kind in ("sqlite", "postgresql"):
        service = make_service(kind, NEWSLETTER_API_LIMIT="3/hour")
        call, other = caller(service), caller(service)

        began = time.monotonic()
        left = [call.get("/lists").headers["RateLimit"].split(";")[1] for _ in range(3)]
        response = call.get("/lists")

        assert left == ["r=2", "r=1", "r=0"]
        assert problem(response, 429)["code"] == "too_many_requests"
        assert began + 3600 - time.monotonic() - 1 <= int(response.headers["Retry-After"]) <= 3600
        assert response.headers["RateLimit-Policy"] == '"token";q=3;w=3600'
        assert other.get("/lists").status_code == 200


def test_calls_are_counted_in_redis_where_there_is_one(
    make_service: Callable[..., Service], redis_url: str
) -> None:
    service = make_service("sqlite", NEWSLETTER_API_LIMIT="2/hour", NEWSLETTER_REDIS_URL=redis_url)
    call = caller(service)

    assert [call.get("/lists").status_code for _ in range(3)] == [200, 200, 429]
    assert service.one("SELECT count(*) FROM limit_counts") == 0
    assert service.one("SELECT last_used_at FROM api_tokens") is not None


def test_the_last_use_of_a_token_is_remembered(service: Service) -> None:
    call = caller(service)
    assert service.one("SELECT last_used_at FROM api_tokens") is None

    call.get("/lists")

    assert service.one("SELECT last_used_at FROM api_tokens") is not None

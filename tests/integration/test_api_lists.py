"""Lists by the API."""

from __future__ import annotations

from typing import Any

import pytest

from newsletter.domain.roles import Scope
from tests.support.api import caller, problem
from tests.support.service import Service


def test_a_list_is_made_shown_and_changed(service: Service) -> None:
    call = caller(service)

    made = call.post("/lists", json={"slug": "sport", "name": "Sport", "sites": ["https://www.example.org"]})
    assert made.status_code == 201
    where = made.headers["Location"]
    assert where == "https://news.example/api/v1/lists/sport"
    changed = call.patch(where, json={"headline": "Scores", "sites": []})
    shown = call.get(where)

    assert changed.get_json() == made.get_json() | {"headline": "Scores", "sites": []}
    assert shown.get_json() == changed.get_json() | {"subscriptions": dict.fromkeys(_STATES, 0)}
    assert [one["slug"] for one in call.get("/lists").get_json()["items"]] == ["daily", "sport"]
    added, edited = service.rows(
        "SELECT action, actor, subject FROM audit_events WHERE action LIKE 'list.%' ORDER BY id"
    )
    assert (added.action, edited.action, edited.subject) == ("list.added", "list.edited", "sport")
    assert added.actor == edited.actor == f"token {call.token[:12]} (sync)"


_STATES = ("pending", "confirmed", "unsubscribed", "bounced", "complained")


def test_one_list_tells_how_many_subscriptions_it_has(service: Service) -> None:
    service.confirmed("ann@example.org")
    service.sign_up("bob@example.org")
    service.work()

    shown = caller(service).get("/lists/daily").get_json()
    assert shown["subscriptions"] == dict.fromkeys(_STATES, 0) | {"confirmed": 1, "pending": 1}


def test_a_slug_is_taken_once(service: Service) -> None:
    call = caller(service)
    assert problem(call.post("/lists", json={"slug": "daily", "name": "X"}), 409)["code"] == "conflict"


def test_a_token_for_certain_lists_makes_no_other(service: Service) -> None:
    call = caller(service, slugs=["daily"])
    assert (
        problem(call.post("/lists", json={"slug": "sport", "name": "X"}), 403)["code"] == "certain_lists_only"
    )
    editor = caller(service, scopes=[Scope.WRITE_LISTS])
    assert problem(editor.post("/lists", json={"slug": "sport", "name": "X"}), 403)["code"] == "missing_scope"


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({"slug": "sport"}, "name"),
        ({"slug": "Sport!", "name": "X"}, "slug"),
        ({"slug": 7, "name": "X"}, "slug"),
        ({"slug": "sport", "name": None}, "name"),
        ({"slug": "sport", "name": ["X"]}, "name"),
        ({"slug": "sport", "name": "X" * 201}, "name"),
        ({"slug": "sport", "name": "a\0b"}, "name"),
        ({"slug": "sport", "name": "a\ud800b"}, "name"),
        ({"slug": "sport", "name": "X", "nmae": "Y"}, "nmae"),
        ({"slug": "sport", "name": "X", "sites": "https://a.example"}, "sites"),
        ({"slug": "sport", "name": "X", "locale": "xx"}, "locale"),
    ],
)
def test_what_is_wrong_is_named_by_its_field(service: Service, sent: dict[str, Any], field: str) -> None:
    told = problem(caller(service).post("/lists", json=sent), 422)

    assert list(told["errors"]) == [field]
    assert service.one("SELECT count(*) FROM mailing_lists") == 1


@pytest.mark.parametrize("sent", [{"sites": ["https://x/path"]}, {"sender": "nobody"}, {"name": " "}])
def test_what_the_rules_of_lists_refuse_is_told_in_their_words(
    service: Service, sent: dict[str, Any]
) -> None:
    assert problem(caller(service).patch("/lists/daily", json=sent), 422)["detail"].endswith(".")


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'"x"', b"\xff", b'{"name": NaN}', b"[" * 60_000, b'{"name": %s}' % (b"9" * 5000)],
)
def test_what_is_no_json_object_is_told_so(on_sqlite: Service, body: bytes) -> None:
    response = caller(on_sqlite).patch("/lists/daily", data=body, content_type="application/json")

    assert problem(response, 400)["code"] == "malformed"


def test_other_types_other_methods_and_too_much_are_told_so(on_sqlite: Service) -> None:
    call = caller(on_sqlite)

    assert problem(call.patch("/lists/daily", data={"name": "X"}), 415)["code"] == "unsupported_media_type"
    refused = call.delete("/lists/daily")
    assert problem(refused, 405)["code"] == "method_not_allowed"
    assert set(refused.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS", "PATCH"}
    large = call.patch("/lists/daily", json={"name": "x" * 270_000})
    assert "at most 262,144 are taken" in problem(large, 413)["detail"]
    assert problem(call.get("/nothing"), 404)["code"] == "not_found"


def test_a_parameter_that_a_call_does_not_take_is_named(on_sqlite: Service) -> None:
    told = problem(caller(on_sqlite).get("/lists/daily?colour=red"), 422)

    assert told["errors"] == {"colour": "Unknown field."}


def test_while_the_database_is_away_the_answer_is_503(on_sqlite: Service) -> None:
    call = caller(on_sqlite)
    on_sqlite.write("ALTER TABLE mailing_lists RENAME TO away")

    response = call.get("/lists")

    assert problem(response, 503)["code"] == "unavailable"
    assert int(response.headers["Retry-After"]) > 0

"""Subscriptions and people by the API."""

from __future__ import annotations

from typing import Any

import pytest

from newsletter.domain.roles import Scope
from tests.support.api import Caller, add_list, caller, problem
from tests.support.service import Service, path

HERE = "/lists/daily/subscriptions"


def add(call: Caller, email: str, **more: Any) -> dict[str, Any]:
    """Add somebody; returns the subscription."""
    response = call.post(HERE, json={"email": email, **more})
    assert response.status_code == 201, response.get_data(as_text=True)
    return dict(response.get_json())


def test_whoever_is_added_is_asked_to_confirm(service: Service) -> None:
    added = add(caller(service), "ann@example.org", name="Ann", locale="de", attributes={"city": "Basel"})

    assert added["state"] == "pending"
    assert (added["name"], added["locale"], added["attributes"]) == ("Ann", "de", {"city": "Basel"})
    (mail,) = service.mail_to("ann@example.org")
    service.client.post(path(mail.link("confirm")))
    assert service.states() == {"ann@example.org": "confirmed"}


def test_with_a_statement_of_origin_they_are_confirmed_and_it_is_kept(service: Service) -> None:
    call = caller(service)
    added = add(call, "ann@example.org", statement="signed at our stand on 2 May")

    assert added["state"] == "confirmed"
    assert service.mail_to("ann@example.org") == []
    shown = call.get(added["self"]).get_json()
    (happening,) = shown["history"]
    assert happening["words"] == "signed at our stand on 2 May"
    assert (happening["way"], happening["after"]) == ("api", "confirmed")
    again = call.post(HERE, json={"email": "ANN@example.org"})
    assert (again.status_code, again.get_json()) == (200, shown)


def test_nobody_who_left_is_added_again(service: Service) -> None:
    call = caller(service)
    added = add(call, "ann@example.org", statement="by letter")
    gone = call.post(f"{added['self']}/unsubscribe")
    assert (gone.status_code, gone.get_json()["state"]) == (200, "unsubscribed")
    assert call.post(f"{added['self']}/unsubscribe").get_json() == gone.get_json()

    refused = call.post(HERE, json={"email": "ann@example.org", "statement": "by letter"})

    assert problem(refused, 409)["code"] == "not_added"
    assert service.states() == {"ann@example.org": "unsubscribed"}
    assert service.events() == ["import", "unsubscribe"]


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({}, "email"),
        ({"email": "ann"}, "email"),
        ({"email": "a\0nn@example.org"}, "email"),
        ({"email": "ann@example.org", "attributes": []}, "attributes"),
        ({"email": "ann@example.org", "attributes": {"a": "b\0"}}, "attributes"),
        ({"email": "ann@example.org", "locale": "xx"}, "locale"),
        ({"email": "ann@example.org", "state": "confirmed"}, "state"),
        ({"email": "ann@example.org", "statement": ""}, "statement"),
    ],
)
def test_what_cannot_be_taken_is_named(service: Service, sent: dict[str, Any], field: str) -> None:
    assert list(problem(caller(service).post(HERE, json=sent), 422)["errors"]) == [field]
    assert service.counts()["subscribers"] == 0


def test_a_number_beyond_all_bounds_is_refused(service: Service) -> None:
    body = b'{"email": "ann@example.org", "attributes": {"a": [1e999]}}'
    response = caller(service).post(HERE, data=body, content_type="application/json")

    assert list(problem(response, 422)["errors"]) == ["attributes"]


@pytest.mark.parametrize(
    "sent",
    [
        {"name": "a\nb"},
        {"attributes": {"a": "x" * 11_000}},
        {"attributes": {"a": {"b": {"c": {"d": {"e": {"f": {}}}}}}}},
        {"attributes": {"  ": 1}},
    ],
)
def test_what_cannot_be_kept_of_a_person_is_told(service: Service, sent: dict[str, Any]) -> None:
    call = caller(service)
    added = add(call, "ann@example.org", name="Ann")

    assert problem(call.patch(added["self"], json=sent), 422)["detail"]
    assert call.get(added["self"]).get_json() == added


def test_what_is_kept_of_a_person_changes_field_by_field(service: Service) -> None:
    call = caller(service)
    added = add(call, "ann@example.org", name="Ann", attributes={"city": "Basel"})

    changed = call.patch(added["self"], json={"attributes": {"city": "Bern"}}).get_json()
    without = call.patch(added["self"], json={"name": None}).get_json()

    assert (changed["name"], changed["attributes"]) == ("Ann", {"city": "Bern"})
    assert (without["name"], without["attributes"]) == (None, {"city": "Bern"})
    assert [one["event"] for one in without["history"]] == ["sign_up", "edit", "edit"]
    assert service.one("SELECT search FROM subscribers") == "ann@example.org"


def test_subscriptions_are_found_by_text_state_and_source(service: Service) -> None:
    service.confirmed("ann@example.org")
    service.sign_up("bob@example.com", name="Bärbel")
    call = caller(service)
    add(call, "cem@example.net", statement="by letter")

    def found(query: str) -> list[str]:
        return [one["email"] for one in call.get(f"{HERE}?{query}").get_json()["items"]]

    assert found("") == ["cem@example.net", "bob@example.com", "ann@example.org"]
    assert found("q=BÄRB") == ["bob@example.com"]
    assert found("state=pending,confirmed&source=form") == ["bob@example.com", "ann@example.org"]
    assert found("state=confirmed") == ["cem@example.net", "ann@example.org"]
    assert found("source=api&state=pending") == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("state=gone", "state.0"),
        ("limit=0", "limit"),
        ("limit=501", "limit"),
        ("limit=x", "limit"),
        ("cursor=x", "cursor"),
        ("cursor=%C3%A4", "cursor"),
        ("cursor=bm9uZQ==", "cursor"),
        ("page=2", "page"),
    ],
)
def test_a_query_that_cannot_be_meant_is_refused(on_sqlite: Service, query: str, field: str) -> None:
    assert list(problem(caller(on_sqlite).get(f"{HERE}?{query}"), 422)["errors"]) == [field]


def test_pages_show_each_once_while_others_are_added(service: Service) -> None:
    call = caller(service)
    there = [f"reader-{number}@example.org" for number in range(7)]
    for email in there:
        service.sign_up(email)

    shown, where = [], f"{HERE}?limit=2&state=pending"
    while where:
        response = call.get(where)
        page = response.get_json()
        shown += [one["email"] for one in page["items"]]
        where = page["next"]
        assert response.headers.get("Link") == (f'<{where}>; rel="next"' if where else None)
        service.sign_up(f"late-{len(shown)}@example.org")

    assert shown == there[::-1]


def test_a_person_is_shown_with_the_lists_that_the_token_may_see(service: Service) -> None:
    add_list(service, "sport")
    service.confirmed("ann@example.org")
    service.sign_up("ann@example.org", slug="sport")
    every, some = caller(service), caller(service, slugs=["sport"])

    (found,) = every.get("/subscribers?email=ANN@example.org").get_json()["items"]
    assert [(one["list"], one["state"]) for one in found["subscriptions"]] == [
        ("daily", "confirmed"),
        ("sport", "pending"),
    ]
    assert every.get(found["self"]).get_json() == found
    part = some.get(found["self"]).get_json()
    assert [one["list"] for one in part["subscriptions"]] == ["sport"]
    assert every.get(found["subscriptions"][0]["self"]).get_json()["subscriber_id"] == found["id"]
    assert every.get("/subscribers?email=bob@example.org").get_json()["items"] == []


def test_a_person_is_erased_from_the_lists_that_the_token_may_see(service: Service) -> None:
    add_list(service, "sport")
    service.confirmed("ann@example.org")
    service.confirmed("ann@example.org", slug="sport")
    every, some = caller(service), caller(service, slugs=["sport"])
    (found,) = every.get("/subscribers?email=ann@example.org").get_json()["items"]

    part = some.delete(found["self"])
    assert part.get_json() == {"subscriptions": 1, "wholly": False}
    assert problem(some.delete(found["self"]), 404)
    rest = every.delete(f"{found['self']}?suppress=true")

    assert rest.get_json() == {"subscriptions": 1, "wholly": True}
    assert problem(every.get(found["self"]), 404)
    assert service.counts() | {"consent_events": 0} == {
        "subscribers": 0, "subscriptions": 0, "consent_events": 0, "outbox": 0, "suppressions": 1,
    }  # fmt: skip
    assert problem(every.post(HERE, json={"email": "ann@example.org"}), 409)


def test_only_a_token_for_all_lists_keeps_an_address_from_all_mail(service: Service) -> None:
    service.confirmed("ann@example.org")
    (found,) = caller(service).get("/subscribers?email=ann@example.org").get_json()["items"]

    refused = caller(service, slugs=["daily"]).delete(f"{found['self']}?suppress=true")

    assert problem(refused, 403)["code"] == "certain_lists_only"
    assert service.counts()["subscribers"] == 1


def test_who_may_read_may_not_write(service: Service) -> None:
    service.confirmed("ann@example.org")
    call = caller(service, scopes=[Scope.READ_SUBSCRIBERS])
    (found,) = call.get("/subscribers?email=ann@example.org").get_json()["items"]

    assert problem(call.delete(found["self"]), 403)["code"] == "missing_scope"
    assert problem(call.post(HERE, json={"email": "bob@example.org"}), 403)["code"] == "missing_scope"
    assert service.states() == {"ann@example.org": "confirmed"}


def test_an_id_is_known_with_its_hyphens_and_without(on_sqlite: Service) -> None:
    call = caller(on_sqlite)
    added = add(call, "ann@example.org")

    assert call.get(f"{HERE}/{added['id'].replace('-', '')}").get_json() == added
    assert problem(call.get(f"{HERE}/{added['id'][:-1]}"), 404)


@pytest.mark.parametrize(("levels", "status"), [(10, 422), (100, 400), (500, 400), (900, 400), (9000, 400)])
def test_json_that_is_nested_deeply_is_refused_however_deep(
    on_sqlite: Service, levels: int, status: int
) -> None:
    deep = '{"a":' * levels + "1" + "}" * levels
    body = f'{{"email":"ann@example.org","attributes":{deep}}}'

    refused = caller(on_sqlite).post(HERE, data=body, content_type="application/json")

    assert "nested too deeply" in str(problem(refused, status)) or levels == 9000
    assert on_sqlite.counts()["subscribers"] == 0

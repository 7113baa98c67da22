"""What holds for every route of the API, walked over all of them."""

from __future__ import annotations

import json
from typing import Any
from urllib.request import urlopen

import pytest
from werkzeug.routing import Rule

from newsletter.domain.roles import Scope
from newsletter.web.api import RESOURCES
from tests.support.api import Caller, add_list, caller, problem
from tests.support.service import Service

NOBODYS = "019b2f6e-5c00-7d11-8a55-0f6f4bb3c001"
# What a body must hold to be looked at. What is sent with a GET is not.
BODIES: dict[str, Any] = {
    "add_list": {"slug": "arts", "name": "Arts"},
    "add_subscription": {"email": "bob@example.org"},
    "add_webhook": {"url": "https://hooks.example/x", "events": ["confirmed"]},
    "invite_operator": {"email": "eve@example.org", "role": "viewer", "lists": None},
    "make_token": {"name": "Sync", "scopes": ["exports"], "lists": None},
}
# What belongs to the whole service is refused to tokens for certain lists.
OF_THE_SERVICE = ("operator_id", "token_id")
QUERIES = {"find_subscriber": "?email=ann@example.org"}


def routes(service: Service) -> list[tuple[str, str, Rule]]:
    """Every method at every route: the name of the call, the method, and the route."""
    names = {resource.name for resource in RESOURCES}
    return [
        (rule.endpoint.partition(".")[2], method, rule)
        for rule in service.app.url_map.iter_rules()
        if rule.endpoint.partition(".")[0] in names
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
    ]


def ask(call: Caller, name: str, method: str, rule: Rule, values: dict[str, str]) -> Any:
    """Call a route with these values in its path."""
    path = rule.rule.removeprefix("/api/v1")
    for argument in rule.arguments:
        path = path.replace(f"<{argument}>", values[argument]).replace(f"<id:{argument}>", values[argument])
    if name == "upload_import":
        return call(method, path, data=b"email\nann@example.org\n", content_type="text/csv")
    body = {"json": BODIES.get(name, {})} if method in ("POST", "PATCH") else {}
    return call(method, path + QUERIES.get(name, ""), **body)


@pytest.fixture
def sport(service: Service) -> dict[str, str]:
    """A list with one of everything; the values by which its paths name them."""
    add_list(service, "sport")
    call = caller(service)
    ann = {"email": "ann@example.org", "statement": "by letter"}
    subscription = call.post("/lists/sport/subscriptions", json=ann).get_json()
    webhook = call.post("/lists/sport/webhooks", json=BODIES["add_webhook"]).get_json()
    delivery = call.post(f"/lists/sport/webhooks/{webhook['id']}/test").get_json()
    file = b"email\nbob@example.org\n"
    imported = call.post("/lists/sport/imports", data=file, content_type="text/csv").get_json()
    service.sign_up("cy@example.org", "sport")
    return {
        "slug": "sport",
        "subscription_id": subscription["id"],
        "subscriber_id": subscription["subscriber_id"],
        "webhook_id": webhook["id"],
        "delivery_id": delivery["id"],
        "import_id": imported["id"],
        "export_id": call.get("/lists/sport/export").headers["Export-Id"],
        "message_id": call.get("/lists/sport/outbox").get_json()["items"][0]["id"],
        "operator_id": call.post("/operators", json=BODIES["invite_operator"]).get_json()["id"],
        "token_id": call.post("/tokens", json=BODIES["make_token"]).get_json()["id"],
    }


def everything(service: Service) -> list[Any]:
    """All that a call could have changed."""
    tables = ("mailing_lists", "subscribers", "subscriptions", "webhooks", "webhook_deliveries", "imports",
              "exports", "consent_events", "audit_events", "outbox", "operators")  # fmt: skip
    return [service.rows(f"SELECT * FROM {table} ORDER BY id") for table in tables]


def test_what_belongs_to_another_list_does_not_exist_on_any_route(
    service: Service, sport: dict[str, str]
) -> None:
    call = caller(service, slugs=["daily"])
    before = everything(service)
    walked = 0
    for name, method, rule in routes(service):
        if rule.arguments & {*OF_THE_SERVICE}:
            refused = problem(ask(call, name, method, rule, sport), 403)
            assert refused["code"] == "certain_lists_only"
        elif rule.arguments:
            problem(ask(call, name, method, rule, sport), 404)
            walked += 1
            # Nor by way of a list that the token sees.
            if rule.arguments - {"slug"}:
                problem(ask(call, name, method, rule, sport | {"slug": "daily"}), 404)
    assert everything(service) == before
    assert walked > 25


def test_what_belongs_to_one_list_is_not_at_another_of_ones_own(
    service: Service, sport: dict[str, str]
) -> None:
    call = caller(service)
    for name, method, rule in routes(service):
        if "slug" in rule.arguments and rule.arguments - {"slug"}:
            problem(ask(call, name, method, rule, sport | {"slug": "daily"}), 404)


def test_what_does_not_exist_is_404_on_every_route(service: Service, sport: dict[str, str]) -> None:
    call = caller(service)
    nothing = dict.fromkeys(sport, NOBODYS) | {"slug": "nothing"}
    for name, method, rule in routes(service):
        if rule.arguments:
            problem(ask(call, name, method, rule, nothing), 404)


def test_each_route_needs_one_scope_and_no_other_will_do(service: Service, sport: dict[str, str]) -> None:
    documented = service.client.get("/api/v1/openapi.json").get_json()["paths"]
    callers = {scope: caller(service, scopes=set(Scope) - {scope}) for scope in Scope}
    before = everything(service)
    for name, method, rule in routes(service):
        path = rule.rule.replace("<id:", "{").replace("<", "{").replace(">", "}")
        ((scope,),) = [security["token"] for security in documented[path][method.lower()]["security"]]
        refused = problem(ask(callers[Scope(scope)], name, method, rule, sport), 403)
        assert scope in refused["detail"]
    assert everything(service) == before


def test_no_route_is_open_without_a_token(service: Service, sport: dict[str, str]) -> None:
    nobody = Caller(service, "nlt_nobody")
    for name, method, rule in routes(service):
        assert problem(ask(nobody, name, method, rule, sport), 401)["code"] == "unknown_token"


def test_the_document_names_every_route_and_no_other(on_sqlite: Service) -> None:
    document = on_sqlite.client.get("/api/v1/openapi.json").get_json()
    named = {
        operation["operationId"]: (method.upper(), path)
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method != "parameters"
    }

    assert document["openapi"] == "3.1.0"
    assert named == {
        name: (method, rule.rule.replace("<id:", "{").replace("<", "{").replace(">", "}"))
        for name, method, rule in routes(on_sqlite)
    }


def test_the_document_and_the_page_are_served_to_anybody_who_asks(on_sqlite: Service) -> None:
    with on_sqlite.served("--without-worker", "--workers", "1") as url:
        with urlopen(f"{url}/api/v1/openapi.json") as response:
            document = json.load(response)
        with urlopen(f"{url}/api/v1/") as response:
            page = response.read().decode()

    assert document["servers"] == [{"url": url}]
    for item in document["paths"].values():
        for operation in item.values():
            if isinstance(operation, dict):
                assert f'id="{operation["operationId"]}"' in page
    assert "<script" not in page

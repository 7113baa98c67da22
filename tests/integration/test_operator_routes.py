"""Every page of the console, whoever added it: who is let in, and to which lists."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

from werkzeug.routing import Rule

from newsletter.domain.roles import Role
from newsletter.services.access import COMMAND_LINE
from newsletter.services.exports import ExportRequest, Format, start_export
from newsletter.services.importing import create_import, spooled
from tests.support import webhooks
from tests.support.acting import the_list, writing
from tests.support.operators import Console
from tests.support.service import Service, now

# What nobody needs to be logged in for, and what everybody may do who is.
_OPEN = {
    "log_in",
    "take_password",
    "second_factor",
    "take_code",
    "welcome",
    "accept",
    "log_out",
    "show_browser",
    "mark_browser",
}
_OWN = {
    "account", "change_password", "set_up_second_factor", "switch_on_second_factor",
    "switch_off_second_factor", "make_recovery_codes", "end_session",
}  # fmt: skip


def _routes(service: Service, method: str) -> Iterator[tuple[Rule, str]]:
    """Each rule of the console, with the name of its view."""
    for rule in service.app.url_map.iter_rules():
        blueprint, _, view = rule.endpoint.partition(".")
        if blueprint == "operator" and method in (rule.methods or ()):
            yield rule, view


def _answer(console: Console, rule: Rule, method: str, **values: Any) -> int:
    filled = {name: values.get(name, "daily" if name == "slug" else uuid4()) for name in rule.arguments}
    url = console.service.app.url_map.bind("news.example").build(rule.endpoint, filled, method)
    return (console.get(url) if method == "GET" else console.post(url)).status_code


def test_who_is_not_logged_in_sees_nothing_and_changes_nothing(on_sqlite: Service) -> None:
    for method, refused in (("GET", 303), ("POST", 401)):
        for rule, view in _routes(on_sqlite, method):
            if view not in _OPEN:
                assert _answer(Console(on_sqlite), rule, method) == refused, rule


def test_a_viewer_changes_nothing(service: Service) -> None:
    console = Console.of(service, "ann@example.org", role=Role.VIEWER)

    for rule, view in _routes(service, "POST"):
        if view not in _OPEN | _OWN:
            assert _answer(console, rule, "POST") == 403, rule


def test_another_list_does_not_exist_on_any_page(service: Service) -> None:
    service.command("lists", "add", "sport", "--name", "Sport")
    console = Console.of(service, "ann@example.org", role=Role.EDITOR, slugs=["sport"])

    for method in ("GET", "POST"):
        for rule, _ in _routes(service, method):
            if "slug" in rule.arguments:
                # Webhooks are for owners alone: whoever may not see them learns of no list by them.
                assert _answer(console, rule, method) == (403 if "webhook" in rule.rule else 404), rule
                nowhere = _answer(console, rule, method, slug="nowhere")
                assert nowhere == _answer(console, rule, method), rule


def test_an_object_of_one_list_does_not_exist_on_another(service: Service) -> None:
    service.command("lists", "add", "sport", "--name", "Sport")
    objects = _one_of_each(service)
    console = Console.of(service, "ann@example.org", role=Role.OWNER)
    before = _stored(service)

    for method in ("GET", "POST"):
        for rule, view in _routes(service, method):
            named = rule.arguments - {"slug"}
            if "slug" in rule.arguments and named:
                assert named <= objects.keys(), f"make one of these for the test: {named}"
                # A mail that is not there any more was sent meanwhile: the outbox says so.
                expected = 303 if view == "retry_mail" else 404
                assert _answer(console, rule, method, slug="sport", **objects) == expected, rule
    assert _stored(service) == before


def _one_of_each(service: Service) -> dict[str, UUID]:
    """Something of each kind that belongs to the list `daily`."""
    service.sign_up("bob@example.org")
    daily = the_list(service)
    asked = ExportRequest(list_id=daily.id, lists=None, format=Format.CSV)
    file = [b"email\ncarol@example.org\n"]
    with spooled(file) as stored:
        import_id = writing(
            service,
            lambda session: create_import(session, now(), COMMAND_LINE, daily.id, "people.csv", stored),
        )
    return {
        "subscription_id": _id(service, "subscriptions"),
        "message_id": _id(service, "outbox"),
        "delivery_id": uuid4(),
        "export_id": writing(service, lambda session: start_export(session, now(), COMMAND_LINE, asked)),
        "import_id": import_id,
        "webhook_id": webhooks.add(service, "https://hooks.example/x")[0],
    }


def _stored(service: Service) -> list[Any]:
    tables = ("subscribers", "subscriptions", "outbox", "exports", "imports", "webhooks", "audit_events")
    return [service.rows(f"SELECT * FROM {table} ORDER BY id") for table in tables]


def _id(service: Service, table: str) -> UUID:
    value = service.one(f"SELECT id FROM {table}")
    return value if isinstance(value, UUID) else UUID(value)


def test_the_navigation_names_each_page_once_and_only_what_the_role_may_see(on_sqlite: Service) -> None:
    seen = {}
    for role in Role:
        page = Console.of(on_sqlite, f"{role}@example.org", role=role).get("/operator/lists/daily").text
        rooms = re.findall(r'<ul class="of-list">(.*?)</ul>', page, re.DOTALL)[0]
        seen[role] = re.findall(r">([^<>]+)</a>", rooms)
        assert len(set(seen[role])) == len(seen[role])
        assert ("/operator/audit" in page) == (role is Role.OWNER)
    assert seen[Role.VIEWER] == ["Overview", "Subscribers", "Settings"]
    assert set(seen[Role.OWNER]) - set(seen[Role.EDITOR]) == {"Webhooks"}

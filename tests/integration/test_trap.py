"""The trap: a field that people do not see. What fills it is asked for one more step, and nobody is lost by it (A4)."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from werkzeug.test import TestResponse

from tests.integration.test_steps import URL, challenge_of, hidden
from tests.support.altcha import solved
from tests.support.service import Service, path

# Forms that publishers copied before the trap had its name of now still send the old one.
NAMES = ("leave_empty", "website")
WAYS = ("form", "frame", "element", "script")


@pytest.fixture
def guarded(make_service: Callable[..., Service]) -> Service:
    """Limits that nobody reaches in a test."""
    return make_service("sqlite", NEWSLETTER_SIGNUP_LIMIT="1000/hour", NEWSLETTER_SURGE_LIMIT="10000/hour")


def send(service: Service, way: str, **fields: str) -> TestResponse:
    """What each embed sends, and a script in JSON."""
    fields = {"email": "ann@example.org"} | fields
    if way == "script":
        return service.client.post(URL, json=fields)
    headers = {"Accept": "application/json"} if way == "element" else {}
    more = {} if way == "form" else {"way": way}
    return service.client.post(URL, data=fields | more, headers=headers)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", NAMES)
def test_a4_a_filled_trap_is_asked_for_one_more_step_and_then_taken(
    guarded: Service, way: str, name: str
) -> None:
    filled = {name: "https://ann.example.org", "name": "Ann"}

    asked = send(guarded, way, **filled)

    assert asked.status_code == 429
    assert int(asked.headers["Retry-After"]) > 0
    assert guarded.states() == {}
    if asked.json is not None:
        proof = solved(asked.json["challenge"])
        taken = send(guarded, way, altcha=proof, **filled)
        assert (taken.status_code, taken.json) == (202, {"status": "check_inbox"})
    else:
        taken = guarded.client.post(URL, data=hidden(asked.text))
        assert taken.status_code == 200
        assert "Check your inbox" in taken.text
    assert guarded.rows("SELECT address, name FROM subscribers") == [("ann@example.org", "Ann")]
    assert len(guarded.mail_to("ann@example.org")) == 1


def test_a4_the_page_of_the_step_takes_a_solved_challenge_too(guarded: Service) -> None:
    asked = send(guarded, "form", leave_empty="x")

    fields = hidden(asked.text) | {"altcha": solved(challenge_of(asked.text)), "step": ""}

    assert guarded.client.post(URL, data=fields).status_code == 200
    assert guarded.states() == {"ann@example.org": "pending"}


@pytest.mark.parametrize("way", ["form", "element"])
def test_a7_the_step_looks_the_same_whatever_is_known_of_the_address(guarded: Service, way: str) -> None:
    guarded.sign_up("pending@example.org")
    guarded.confirmed("reader@example.org")
    mail = guarded.confirmed("leaver@example.org")
    guarded.client.post(path(mail.link("unsubscribe")))
    stored = guarded.counts()

    answers = [
        send(guarded, way, email=f"{who}@example.org", leave_empty="x")
        for who in ("nobody", "pending", "reader", "leaver")
    ]

    assert [answer.status_code for answer in answers] == [429] * 4
    assert len({_without_what_is_ones_own(answer) for answer in answers}) == 1
    assert len({tuple(sorted(name for name, _ in answer.headers)) for answer in answers}) == 1
    assert guarded.counts() == stored


def _without_what_is_ones_own(answer: TestResponse) -> str:
    """An answer without the address that was sent, and what is drawn by chance."""
    if answer.json is not None:
        return f"{answer.json['detail']} {sorted(answer.json['challenge']['parameters'])}"
    return re.sub(r'data-challenge="[^"]*"|value="[^"]*"', "", answer.text)


def test_an_empty_trap_is_none(guarded: Service) -> None:
    for name in NAMES:
        assert send(guarded, "form", email=f"{name}@example.org", **{name: ""}).status_code == 200

    assert len(guarded.states()) == 2


def test_where_further_steps_are_switched_off_a_filled_trap_is_taken(on_sqlite: Service) -> None:
    assert send(on_sqlite, "form", website="x").status_code == 200
    assert on_sqlite.states() == {"ann@example.org": "pending"}

"""One more step instead of a refusal: who is asked for it, who gets through, and that nothing else does."""

from __future__ import annotations

import base64
import json
import re
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any
from urllib.parse import urlencode

import pytest
from werkzeug.test import TestResponse

from newsletter.domain import forms
from newsletter.domain.forms import FormTokens
from newsletter.web.proofs import Proofs
from tests.support.altcha import solved
from tests.support.service import Service

URL = "/lists/daily/subscriptions"


@pytest.fixture(params=["sqlite", "postgresql"])
def strict(request: pytest.FixtureRequest, make_service: Callable[..., Service]) -> Service:
    """One sign-up an hour for each network; the second is asked for one more step."""
    service: Service = make_service(request.param, NEWSLETTER_SIGNUP_LIMIT="1/hour")
    assert service.sign_up("first@example.org").status_code == 200
    return service


@pytest.fixture
def calm(make_service: Callable[..., Service]) -> Service:
    """Limits that nobody reaches in a test."""
    return make_service("sqlite", NEWSLETTER_SIGNUP_LIMIT="1000/hour", NEWSLETTER_SURGE_LIMIT="10000/hour")


def script(service: Service, **fields: str) -> TestResponse:
    """What the custom element sends."""
    return service.client.post(
        URL, data={"email": "ann@example.org"} | fields, headers={"Accept": "application/json"}
    )


def hidden(page: str) -> dict[str, str]:
    """What a page's form holds unseen."""
    found = re.findall(r'<input type="hidden" name="([a-z]+)" value="([^"]*)"', page)
    return {name: unescape(value) for name, value in found}


def challenge_of(page: str) -> dict[str, Any]:
    found = re.search(r'data-challenge="([^"]*)"', page)
    assert found
    challenge: dict[str, Any] = json.loads(unescape(found[1]))
    return challenge


def test_the_page_of_the_step_may_lead_on_to_any_registered_page(strict: Service) -> None:
    """A policy names origins: a page's address may hold what ends a directive, or the policy."""
    thanks = "https://www.example.org/thanks?from=a;to=b,c"
    strict.command("lists", "edit", "daily", "--return-url", thanks)

    asked = strict.sign_up(next=thanks)

    assert asked.status_code == 429
    policy = dict(part.split(" ", 1) for part in asked.headers["Content-Security-Policy"].split("; "))
    assert policy["form-action"] == "'self' https://www.example.org"
    assert policy["frame-ancestors"] == "'none'"
    assert strict.client.post(URL, data=hidden(asked.text)).headers["Location"] == thanks


def test_a_script_solves_a_challenge_and_is_taken(strict: Service) -> None:
    asked = script(strict)
    assert asked.status_code == 429
    assert asked.mimetype == "application/problem+json"
    assert int(asked.headers["Retry-After"]) > 0
    assert asked.json is not None
    assert strict.states() == {"first@example.org": "pending"}

    taken = script(strict, altcha=solved(asked.json["challenge"]))

    assert (taken.status_code, taken.json) == (202, {"status": "check_inbox"})
    assert strict.states()["ann@example.org"] == "pending"
    assert len(strict.mail_to("ann@example.org")) == 1


def test_a_person_without_script_presses_a_button_and_loses_nothing_of_what_was_typed(
    strict: Service,
) -> None:
    asked = strict.sign_up("ann@example.org", name="Ann", locale="en")
    assert asked.status_code == 429
    assert "One more step" in asked.text
    assert strict.states() == {"first@example.org": "pending"}

    pressed = strict.client.post(URL, data=hidden(asked.text))

    assert pressed.status_code == 200
    assert "Check your inbox" in pressed.text
    assert strict.one("SELECT name FROM subscribers WHERE address = 'ann@example.org'") == "Ann"


def test_the_page_with_the_button_brings_the_challenge_along(strict: Service) -> None:
    asked = strict.sign_up("ann@example.org")

    fields = hidden(asked.text) | {"altcha": solved(challenge_of(asked.text)), "step": ""}

    assert strict.client.post(URL, data=fields).status_code == 200


def test_a_button_pressed_for_one_address_is_none_for_another(strict: Service) -> None:
    fields = hidden(strict.sign_up("ann@example.org").text)

    assert strict.client.post(URL, data=fields | {"email": "bob@example.org"}).status_code == 429
    assert "bob@example.org" not in strict.states()


def test_a6_a_solution_counts_once(strict: Service) -> None:
    asked = script(strict)
    assert asked.json is not None
    proof = solved(asked.json["challenge"])

    assert script(strict, altcha=proof).status_code == 202
    again = script(strict, altcha=proof, email="bob@example.org")
    in_other_clothes = script(strict, altcha=f"%{_altered(proof, dict)}", email="bob@example.org")

    assert again.status_code == in_other_clothes.status_code == 429
    assert "bob@example.org" not in strict.states()


def _altered(payload: str, change: Callable[[dict[str, Any]], object]) -> str:
    content = json.loads(base64.b64decode(payload))
    change(content)
    return base64.b64encode(json.dumps(content).encode()).decode()


BAD_PROOFS: dict[str, Callable[[str], str]] = {
    "cheaper": lambda p: _altered(p, lambda c: c["challenge"]["parameters"].update(cost=1)),
    "of a higher level": lambda p: _altered(
        p, lambda c: c["challenge"]["parameters"].update(data={"level": 4})
    ),
    "longer lived": lambda p: _altered(p, lambda c: c["challenge"]["parameters"].update(expiresAt=2**33)),
    "never expiring": lambda p: _altered(p, lambda c: c["challenge"]["parameters"].pop("expiresAt")),
    "another algorithm": lambda p: _altered(
        p, lambda c: c["challenge"]["parameters"].update(algorithm="SHA-256")
    ),
    "wrong key": lambda p: _altered(p, lambda c: c["solution"].update(derivedKey="00" * 32)),
    "no solution": lambda p: _altered(p, lambda c: c.pop("solution")),
    "unsigned": lambda p: _altered(p, lambda c: c["challenge"].pop("signature")),
    "signature of another kind": lambda p: _altered(p, lambda c: c["challenge"].update(signature=["x"])),
    "parameters of another kind": lambda p: _altered(p, lambda c: c["challenge"].update(parameters=7)),
    "a key of another kind": lambda p: _altered(p, lambda c: c["solution"].update(derivedKey=[1])),
    "not base64": lambda p: "%%%",
    "cut off": lambda p: p[: len(p) // 2],
    "not JSON": lambda p: base64.b64encode(b"{").decode(),
    "a list": lambda p: base64.b64encode(b"[1]").decode(),
    "nested deeply": lambda p: base64.b64encode(b"[" * 2900).decode(),
    "too large": lambda p: p + "A" * 8000,
    "outside ASCII": lambda p: "ä" * 40,
    "empty": lambda p: "",
}


@pytest.mark.parametrize("what", BAD_PROOFS)
def test_a6_a_bad_solution_leaves_the_sign_up_where_it_was(strict: Service, what: str) -> None:
    asked = script(strict)
    assert asked.json is not None

    answer = script(strict, altcha=BAD_PROOFS[what](solved(asked.json["challenge"])))

    assert answer.status_code == 429
    assert answer.json is not None
    assert "challenge" in answer.json
    assert strict.states() == {"first@example.org": "pending"}
    assert strict.mail_to("ann@example.org") == []


def test_a6_a_solution_of_other_keys_or_of_long_ago_is_none(strict: Service) -> None:
    now = datetime.now(UTC)
    forged = Proofs(("x" * 40,)).challenge(0, now=now)
    expired = Proofs(strict.settings.secret_keys).challenge(0, now=now - timedelta(hours=1))
    unlimited = Proofs(strict.settings.secret_keys).challenge(0, now=now)

    assert script(strict, altcha=solved(forged)).status_code == 429
    assert script(strict, altcha=solved(expired)).status_code == 429
    assert script(strict, altcha=solved(unlimited)).status_code == 202


def test_an_oversized_solution_in_json_is_refused_before_anything_is_read(strict: Service) -> None:
    answer = strict.client.post(URL, json={"email": "ann@example.org", "altcha": "A" * 40_000})

    assert answer.status_code == 413


def test_the_challenge_has_an_address_of_its_own(calm: Service) -> None:
    first, second = (calm.client.get("/lists/daily/challenge").json for _ in range(2))

    assert first is not None
    assert second is not None
    assert first["parameters"]["algorithm"] == "PBKDF2/SHA-256"
    assert first["parameters"]["nonce"] != second["parameters"]["nonce"]
    assert calm.client.get("/lists/none/challenge").status_code == 404


# Form tokens, and the hurry of machines


def token(service: Service, *, ago: float = 10, slug: str = "daily", keys: tuple[str, ...] = ()) -> str:
    made_at = datetime.now(UTC) - timedelta(seconds=ago)
    return FormTokens(keys or service.settings.secret_keys).form(slug, now=made_at)


def test_a5_faster_than_a_person_is_asked_for_one_more_step(
    calm: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = calm.client.get("/lists/daily").text
    fields = hidden(page) | {"email": "ann@example.org", "leave_empty": ""}

    with monkeypatch.context() as slow_people:  # faster than them is even a busy machine
        slow_people.setattr(forms, "QUICKEST", timedelta(minutes=10))
        assert calm.client.post(URL, data=fields).status_code == 429
    assert calm.states() == {}
    assert calm.client.post(URL, data=fields | {"token": token(calm)}).status_code == 200
    assert calm.states() == {"ann@example.org": "pending"}


BAD_TOKENS: dict[str, Callable[[Service], str]] = {
    "none": lambda s: "",
    "forged": lambda s: token(s, keys=("x" * 40,)),
    "expired": lambda s: token(s, ago=25 * 3600),
    "of another list": lambda s: token(s, slug="other"),
    "altered": lambda s: "A" + token(s),
    "cut off": lambda s: token(s)[:-5],
    "oversized": lambda s: token(s) + "A" * 5000,
    "not ASCII": lambda s: "ä.ö.ü",
}


@pytest.mark.parametrize("what", BAD_TOKENS)
def test_e2_without_a_good_token_a_sign_up_is_taken_but_counts_as_from_nowhere(
    make_service: Callable[..., Service], what: str
) -> None:
    """The limit for all that come to a list from nowhere is five times that of a network."""
    service = make_service("sqlite", NEWSLETTER_SIGNUP_LIMIT="1/hour")

    def send(number: int, token: str) -> int:
        return service.client.post(
            URL,
            data={"email": f"u{number}@gmail.com", "token": token},
            headers={"Origin": "https://news.example"},
            environ_base={"REMOTE_ADDR": f"192.0.2.{number}"},
        ).status_code

    assert [send(number, BAD_TOKENS[what](service)) for number in range(6)] == [200] * 5 + [429]
    assert [send(number, token(service)) for number in range(10, 13)] == [200] * 3
    assert service.counts()["subscribers"] == service.counts()["outbox"] == 8


@pytest.mark.parametrize("origin", ["https://elsewhere.example", "null"])
def test_e4_a_good_token_from_a_site_that_the_list_does_not_name_counts_as_from_nowhere(
    make_service: Callable[..., Service], origin: str
) -> None:
    service = make_service("sqlite", NEWSLETTER_SIGNUP_LIMIT="1/hour")
    service.command("lists", "edit", "daily", "--site", "https://home.example")

    def send(number: int, origin: str) -> int:
        return service.client.post(
            URL,
            data={"email": f"u{number}@gmail.com", "token": token(service)},
            headers={"Origin": origin},
            environ_base={"REMOTE_ADDR": f"192.0.2.{number}"},
        ).status_code

    assert [send(number, origin) for number in range(6)] == [200] * 5 + [429]
    assert [send(number, "https://home.example") for number in range(10, 13)] == [200] * 3
    assert service.counts()["subscribers"] == service.counts()["outbox"] == 8


def test_e2_a_token_that_is_used_again_and_again_is_as_good_as_none(
    make_service: Callable[..., Service],
) -> None:
    service = make_service("sqlite", NEWSLETTER_SIGNUP_LIMIT="1/hour")
    one = token(service)

    answers = [
        service.client.post(
            URL,
            data={"email": f"u{number}@gmail.com", "token": one},
            headers={"Origin": "https://news.example"},
            environ_base={"REMOTE_ADDR": f"192.0.2.{number}"},
        ).status_code
        for number in range(18)
    ]

    assert answers == [200] * 15 + [429] * 3


def test_a6_of_many_at_once_with_one_solution_one_is_taken(strict: Service) -> None:
    solution = solved(script(strict).json["challenge"])  # type: ignore[index]
    with strict.served("--workers", "3", "--without-worker") as url, ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda n: _post(url, email=f"u{n}@example.org", altcha=solution), range(16)))

    assert sorted(answers) == [202] + [429] * 15
    assert strict.counts()["subscribers"] == strict.counts()["outbox"] == 2


def _post(url: str, **fields: str) -> int:
    request = urllib.request.Request(
        url + URL, data=urlencode(fields).encode(), headers={"Accept": "application/json"}
    )
    try:
        with urllib.request.urlopen(request) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_switched_off_nobody_is_asked_for_anything(on_sqlite: Service) -> None:
    fields = hidden(on_sqlite.client.get("/lists/daily").text)

    answers = [on_sqlite.sign_up(f"u{n}@example.org", **fields).status_code for n in range(60)]

    assert answers == [200] * 60
    assert on_sqlite.rows("SELECT key FROM limit_counts") == []

"""A thousand victims from a thousand networks blow the fuse of a real server; a person still gets through (A1)."""

from __future__ import annotations

import http.client
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode, urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.support.embedding import Embedded, embedding
from tests.support.service import Service
from tests.support.visitors import form_on, sign_up

VICTIMS = 1000


@pytest.fixture
def attacked(make_service: Callable[..., Service]) -> Iterator[Embedded]:
    """A service with the limits that it comes with, behind a proxy, amid an attack."""
    service = make_service("sqlite", NEWSLETTER_TRUSTED_PROXIES="1")
    del service.environ["NEWSLETTER_SIGNUP_LIMIT"]
    with embedding(service) as embedded:
        yield embedded


def bomb(url: str, victims: range) -> Counter[int]:
    """What the server says to sign-ups in the name of victims, each sent from a network of its own."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    answers: Counter[int] = Counter()
    for number in victims:
        body = urlencode({"email": f"victim{number}@gmail.com"})
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "X-Forwarded-For": f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}",
        }
        connection.request("POST", "/lists/daily/subscriptions", body, headers)
        with connection.getresponse() as answer:
            answer.read()
            answers[answer.status] += 1
    connection.close()
    return answers


def test_a1_a_thousand_victims_blow_the_fuse_while_people_still_get_through(
    attacked: Embedded, visit: Callable[..., Page], email: str
) -> None:
    shares = [range(start, VICTIMS, 8) for start in range(8)]
    with ThreadPoolExecutor(8) as pool:
        answers = sum(pool.map(lambda share: bomb(attacked.url, share), shares), Counter[int]())

    assert answers.total() == VICTIMS
    assert answers.keys() == {200, 429}
    assert (
        answers[200] == attacked.service.counts()["outbox"] <= 100
    )  # from sites that the list does not name

    page = visit(attacked.newspaper)
    form = form_on(page, "element")
    sign_up(form, email)
    expect(form.get_by_role("heading", name="Check your inbox")).to_be_visible()
    assert attacked.state_of(email) == "pending"

    page = visit(f"{attacked.newspaper}/form", script=False)
    sign_up(form_on(page, "form"), f"other-{email}")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("heading", name="Thank you.")).to_be_visible()
    assert attacked.state_of(f"other-{email}") == "pending"

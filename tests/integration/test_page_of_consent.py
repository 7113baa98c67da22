"""Evidence names the page on which somebody agreed, whatever pages of ours came between (D11)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html import unescape
from typing import Any

import pytest
from werkzeug.test import TestResponse

from newsletter.domain.forms import FormTokens
from tests.integration.test_steps import URL, hidden
from tests.support.altcha import solved
from tests.support.service import Service, now, path

SITE, PAGE = "https://paper.example", "https://paper.example/politics/today"
OURS = "https://news.example"
HOME, TARGET = f"{OURS}/", f"{OURS}{URL}"


def sent_from(page: str | None, origin: str | None) -> dict[str, str]:
    """What a browser says of where a form was sent from."""
    return ({"Referer": page} if page else {}) | ({"Origin": origin} if origin else {})


PAPERS, OWN = sent_from(PAGE, SITE), sent_from(HOME, OURS)
BETWEEN = sent_from(TARGET, OURS)  # a page of ours that answered the form


def post(service: Service, headers: dict[str, str], url: str = URL, **fields: str) -> TestResponse:
    return service.client.post(url, data={"email": "ann@example.org"} | fields, headers=headers)


def again(service: Service, answer: TestResponse, url: str = URL, **fields: str) -> TestResponse:
    """Send the form of the page that was answered, as its visitor would."""
    return service.client.post(url, data=hidden(answer.text) | fields, headers=BETWEEN)


def pages(service: Service) -> list[tuple[Any, ...]]:
    """Kind, way, site and page of all evidence, in its order."""
    found = service.rows("SELECT kind, way, origin, page FROM consent_events ORDER BY id")
    return [tuple(row) for row in found]


@pytest.fixture
def strict(make_service: Callable[..., Service]) -> Service:
    """Every sign-up but the first is asked for one more step."""
    service = make_service("sqlite", NEWSLETTER_SIGNUP_LIMIT="1/hour")
    assert service.sign_up("first@example.org").status_code == 200
    service.write("DELETE FROM consent_events")
    return service


@pytest.mark.parametrize(
    ("headers", "origin", "page"),
    [
        (PAPERS, SITE, PAGE),
        (OWN, OURS, HOME),
        (sent_from(f"{OURS}/lists/daily?locale=de", OURS), OURS, f"{OURS}/lists/daily"),
        (sent_from(None, SITE), SITE, SITE),
        (sent_from(None, "null"), None, None),
        (sent_from(None, None), None, None),
    ],
)
def test_d11_a_button_and_a_corrected_mistake_keep_the_page_and_its_site(
    strict: Service, headers: dict[str, str], origin: str | None, page: str | None
) -> None:
    mistaken = post(strict, headers, email="ann@example,org")
    assert mistaken.status_code == 422
    asked = again(strict, mistaken, email="ann@example.org")
    assert asked.status_code == 429
    taken = again(strict, asked)

    assert taken.status_code == 200
    assert pages(strict) == [("sign_up", "form", origin, page)]


def test_d11_a_proof_of_work_keeps_them_too(strict: Service) -> None:
    asked = post(strict, PAPERS)
    challenge = re.search(r'data-challenge="([^"]*)"', asked.text)
    assert challenge
    again(strict, asked, altcha=solved(json.loads(unescape(challenge[1]))))

    assert pages(strict) == [("sign_up", "form", SITE, PAGE)]


def test_d11_a_script_on_the_publishers_page_names_it_each_time(strict: Service) -> None:
    """The element's requests all come from the publisher's page."""
    headers = PAPERS | {"Accept": "application/json"}
    asked = post(strict, headers, way="element")
    assert asked.json is not None
    post(strict, headers, way="element", altcha=solved(asked.json["challenge"]))

    assert pages(strict) == [("sign_up", "element", SITE, PAGE)]


def test_d11_an_element_whose_browser_cannot_do_the_work_keeps_them(strict: Service) -> None:
    """It sends its form as browsers do, and its visitor goes on with us."""
    mistaken = post(strict, PAPERS, way="element", email="ann")
    again(strict, again(strict, mistaken, email="ann@example.org"))

    assert pages(strict) == [("sign_up", "element", SITE, PAGE)]


def test_d11_a_frame_names_the_page_around_it_to_the_very_end(strict: Service) -> None:
    """Through a mistake, the step, a wrong code and the right one; and after «Use another address»."""
    drawn = strict.client.get("/embed/daily", headers={"Referer": f"{PAGE}?utm=1"})
    frame = sent_from(f"{OURS}/embed/daily", OURS)
    mistaken = strict.client.post(URL, data=hidden(drawn.text) | {"email": "ann"}, headers=frame)
    asked = again(strict, mistaken, email="ann@example.org")
    assert asked.status_code == 429
    taken = again(strict, asked)
    mail = strict.mail_to("ann@example.org")[-1]
    code = re.search(r"^(\d{3} \d{3})\s*$", mail.part("plain"), re.MULTILINE)
    assert code
    wrong = again(strict, taken, "/lists/daily/code", code="1")
    assert wrong.status_code == 422
    assert again(strict, wrong, "/lists/daily/code", code=code[1]).status_code == 200
    link = re.search(r'<a class="standalone" href="([^"]+)"', taken.text)
    assert link
    strict.write("DELETE FROM limit_counts")
    anew = strict.client.get(unescape(link[1]), headers={"Referer": TARGET})
    again(strict, again(strict, anew, email="bob@example.org"))

    assert pages(strict) == [
        ("sign_up", "frame", SITE, PAGE),
        ("confirm", "code", SITE, PAGE),
        ("sign_up", "frame", SITE, PAGE),
    ]


def test_d11_a_frame_that_must_wait_leads_back_to_a_form_that_knows_where_it_stands(strict: Service) -> None:
    strict.write("UPDATE limit_counts SET hits = 100")
    drawn = strict.client.get("/embed/daily", headers={"Referer": PAGE})
    refused = strict.client.post(URL, data=hidden(drawn.text) | {"email": "ann@example.org"}, headers=OWN)
    assert refused.status_code == 429
    link = re.search(r'<a class="standalone" href="([^"]+)"', refused.text)
    assert link
    strict.write("DELETE FROM limit_counts")

    anew = strict.client.get(unescape(link[1]), headers={"Referer": TARGET})
    again(strict, again(strict, anew, email="ann@example.org"))  # quicker than a person: one more step

    assert pages(strict) == [("sign_up", "frame", SITE, PAGE)]


def test_d11_a_frame_that_nobody_names_is_a_page_of_ours(on_sqlite: Service) -> None:
    drawn = on_sqlite.client.get("/embed/daily")
    frame = sent_from(f"{OURS}/embed/daily", OURS)
    mistaken = on_sqlite.client.post(URL, data=hidden(drawn.text) | {"email": "ann"}, headers=frame)
    again(on_sqlite, mistaken, email="ann@example.org")

    assert pages(on_sqlite) == [("sign_up", "frame", OURS, f"{OURS}/embed/daily")]


def test_d11_the_address_that_we_suggest_was_asked_for_on_the_same_page(on_sqlite: Service) -> None:
    typed = post(on_sqlite, PAPERS, email="ann@gmial.com")
    assert "ann@gmail.com" in typed.text
    again(on_sqlite, typed)

    assert pages(on_sqlite) == [("sign_up", "form", SITE, PAGE)] * 2


def test_what_else_leads_on_comes_along_with_a_corrected_mistake(on_sqlite: Service) -> None:
    thanks = f"{SITE}/thanks"
    on_sqlite.command("lists", "edit", "daily", "--return-url", thanks)

    mistaken = post(on_sqlite, PAPERS, email="ann", next=thanks)

    policy = dict(part.split(" ", 1) for part in mistaken.headers["Content-Security-Policy"].split("; "))
    assert policy["form-action"] == f"'self' {SITE}"
    assert again(on_sqlite, mistaken, email="ann@example.org").headers["Location"] == thanks


def test_d11_what_each_other_way_leaves(service: Service) -> None:
    """The pages of ours that a link opens are named without the token; a mail program has no page."""
    mail = service.confirmed()
    confirm, leave = (path(mail.link(what)) for what in ("confirm", "unsubscribe"))
    service.sign_up("bob@example.org")
    bob = service.mail_to("bob@example.org")[-1]
    service.client.post(path(bob.link("confirm")), headers=sent_from(OURS + path(bob.link("confirm")), OURS))
    service.client.post(leave, headers=sent_from(OURS + leave, OURS))
    service.client.post(path(bob.link("unsubscribe")), data={"List-Unsubscribe": "One-Click"})
    service.client.post(f"{confirm}/fresh", headers=sent_from(OURS + confirm, OURS))

    assert pages(service) == [
        ("sign_up", "form", None, None),
        ("confirm", "page", None, None),
        ("sign_up", "form", None, None),
        ("confirm", "page", OURS, f"{OURS}/confirm"),
        ("unsubscribe", "page", OURS, f"{OURS}/unsubscribe"),
        ("unsubscribe", "one-click", None, None),
    ]


def _forged(service: Service) -> dict[str, str]:
    ours, page = service.settings.secret_keys, ("https://evil.example", "https://evil.example/")
    signed = FormTokens(ours).page("daily", *page)
    return {
        "no token": "https://evil.example/",
        "other keys": FormTokens(("x" * 40,)).page("daily", *page),
        "another list": FormTokens(ours).page("other", *page),
        "another purpose": FormTokens(ours).step("daily", "x", now=now()),
        "altered": "A" + signed,
        "cut off": signed[:-4],
        "NUL": signed + "\0",
        "controls": "\x1b[31m\r\nX: y",
        "outside ASCII": "ä.ö",
        "overlong": signed + "A" * 5000,
        "empty": "",
    }  # fmt: skip


def test_a_forged_page_is_left_unheeded(on_sqlite: Service) -> None:
    for number, (how, token) in enumerate(_forged(on_sqlite).items()):
        answer = post(on_sqlite, PAPERS, email=f"u{number}@example.org", page=token)
        assert answer.status_code == 200, how
        assert on_sqlite.client.get("/embed/daily", query_string={"page": token}).status_code in (200, 400), (
            how
        )

    assert {row[2:] for row in pages(on_sqlite)} == {(SITE, PAGE)}


def test_a_page_that_another_site_took_from_ours_does_not_outweigh_what_the_browser_says(
    on_sqlite: Service,
) -> None:
    mistaken = post(on_sqlite, PAPERS, email="ann@example,org")
    taken = hidden(mistaken.text)["page"]

    assert post(on_sqlite, sent_from(None, "https://evil.example"), page=taken).status_code == 200
    assert post(on_sqlite, sent_from(None, "null"), email="bob@example.org", page=taken).status_code == 200

    assert {row[2] for row in pages(on_sqlite)} == {"https://evil.example", SITE}


@pytest.mark.parametrize(
    ("named", "stored"),
    [
        (f"{PAGE}?email=ann@example.org#ann", PAGE),
        ("https://ann:secret@paper.example/x", "https://paper.example/x"),
        ("https://paper.example/u/ann@example.org/settings", "https://paper.example/u//settings"),
        ("https://paper.example/u/ann%40example.org", "https://paper.example/u/"),
        ("https://paper.example/@publisher/post", "https://paper.example/@publisher/post"),
        ("https://paper.example/a;jsessionid=0815/b", "https://paper.example/a/b"),
        ("https://paper.example/a\x01b", "https://paper.example/ab"),
        ("https://paper.example/" + "x" * 3000, ("https://paper.example/" + "x" * 3000)[:500]),
        ("https://paper.example/" + "\u00e4" * 900, ("https://paper.example/" + "\u00e4" * 900)[:500]),
        ("https://[broken/", None),
        ("javascript:alert(1)", None),
    ],
)
def test_what_a_page_says_of_its_visitor_is_not_kept_on_any_way(
    strict: Service, named: str, stored: str | None
) -> None:
    named = named.encode().decode("latin-1")  # as headers come
    again(strict, post(strict, {"Referer": named}))

    assert pages(strict) == [("sign_up", "form", SITE if stored else None, stored)]

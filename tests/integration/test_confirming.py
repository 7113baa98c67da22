"""Confirming: only a pressed button does it, twice is fine, and dead links stay dead."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import quote

import pytest

from tests.support.service import Service, now, path


def _link(service: Service) -> str:
    service.sign_up("ann@example.org")
    return path(service.mail_to("ann@example.org")[-1].link("confirm"))


def test_pressing_the_button_confirms_and_says_what_comes_next(service: Service) -> None:
    response = service.client.post(_link(service))

    assert response.status_code == 200
    assert service.states() == {"ann@example.org": "confirmed"}
    assert service.events() == ["sign_up", "confirm"]
    assert "news@news.example" in response.text  # whom to add to the contacts


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_u5_safe_requests_change_nothing_however_often(service: Service, method: str) -> None:
    link = _link(service)
    for _ in range(3):
        response = service.client.open(link, method=method)
        assert response.status_code == 200
        assert response.headers["Cache-Control"] == "no-store"
        assert "noindex" in response.headers["X-Robots-Tag"]
    assert service.states() == {"ann@example.org": "pending"}
    assert service.events() == ["sign_up"]


def test_d7_the_page_has_one_form_one_button_and_no_script(service: Service) -> None:
    page = service.client.get(_link(service)).text

    assert page.count("<form") == 1
    assert page.count("<button") == 1
    assert "<script" not in page


def test_d5_confirming_twice_gives_the_same_page_and_one_event(service: Service) -> None:
    link = _link(service)
    first, second = service.client.post(link), service.client.post(link)

    assert (first.status_code, first.data) == (second.status_code, second.data)
    assert service.events() == ["sign_up", "confirm"]


def test_d6_a_link_from_before_an_unsubscribe_never_reactivates(service: Service) -> None:
    mail = service.confirmed("ann@example.org")
    service.client.post(path(mail.link("unsubscribe")))
    old = path(mail.link("confirm"))

    assert service.client.post(old).status_code == 410
    service.sign_up("ann@example.org")
    assert service.client.post(old).status_code == 410
    assert service.states() == {"ann@example.org": "pending"}


def test_d3_an_expired_link_confirms_nothing_and_offers_a_fresh_one(service: Service) -> None:
    service.sign_up("ann@example.org")
    service.send_mail()
    (identifier,) = [row[0] for row in service.rows("SELECT id FROM subscriptions")]
    from uuid import UUID

    token = service.links.confirm_token(UUID(str(identifier)), 1, now=now() - timedelta(days=7, minutes=1))

    assert service.client.get(f"/confirm/{token}").status_code == 410
    expired = service.client.post(f"/confirm/{token}")
    assert expired.status_code == 410
    assert f'action="/confirm/{token}/fresh"' in expired.text
    assert service.states() == {"ann@example.org": "pending"}

    service.age(days=8)
    assert service.client.post(f"/confirm/{token}/fresh").status_code == 200
    fresh = service.mail_to("ann@example.org")[-1]
    assert service.client.post(path(fresh.link("confirm"))).status_code == 200
    assert service.states() == {"ann@example.org": "confirmed"}


def test_d9_asking_for_a_fresh_link_again_and_again_sends_one(service: Service) -> None:
    service.sign_up("ann@example.org")
    service.send_mail()
    (identifier,) = [row[0] for row in service.rows("SELECT id FROM subscriptions")]
    from uuid import UUID

    token = service.links.confirm_token(UUID(str(identifier)), 1, now=now() - timedelta(days=8))
    service.age(days=8)
    pages = {service.client.post(f"/confirm/{token}/fresh").data for _ in range(5)}

    assert len(pages) == 1
    assert len(service.mail_to("ann@example.org")) == 2


@pytest.mark.parametrize(
    "glue", [".", ")", ">", ").", "%3E", "%20", "%0D%0A", "=", "%3D%0A", "'", "%22", "/"]
)
def test_d8_what_mail_clients_glue_to_a_link_does_not_break_it(on_sqlite: Service, glue: str) -> None:
    link = _link(on_sqlite)

    assert on_sqlite.client.get(link + glue).status_code == 200
    assert on_sqlite.client.post(link + glue).status_code == 200
    assert on_sqlite.states() == {"ann@example.org": "confirmed"}


@pytest.mark.parametrize(
    "token", ["x", "a.b.c", "....", "é", "%00", "%FF%FE", "a" * 5000, "A.B", "..%2f..%2fetc", "null", "-_-"]
)
def test_d8_what_is_no_token_gets_a_calm_page(on_sqlite: Service, token: str) -> None:
    for door in ("confirm", "unsubscribe"):
        for method in ("GET", "POST"):
            response = on_sqlite.client.open(f"/{door}/{quote(token, safe='%./')}", method=method)
            assert response.status_code in (400, 404), (door, method, token)
            assert "<h1" in response.text


def test_d1_a_token_of_one_door_opens_no_other(service: Service) -> None:
    mail = service.confirmed("ann@example.org")
    confirm = path(mail.link("confirm")).rpartition("/")[2]
    unsubscribe = path(mail.link("unsubscribe")).rpartition("/")[2]

    assert service.client.post(f"/unsubscribe/{confirm}").status_code == 404
    assert service.client.post(f"/confirm/{unsubscribe}").status_code == 404
    assert service.states() == {"ann@example.org": "confirmed"}


def test_u15_token_pages_let_nothing_in_and_nothing_out(service: Service) -> None:
    mail = service.confirmed("ann@example.org")
    for door in ("confirm", "unsubscribe"):
        headers = service.client.get(path(mail.link(door))).headers
        policy = headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; style-src 'self'")
        assert "frame-ancestors 'none'" in policy
        assert "script" not in policy
        assert headers["Referrer-Policy"] == "same-origin"


def test_a_confirmed_visitor_of_a_known_provider_gets_a_link_to_the_inbox(on_sqlite: Service) -> None:
    on_sqlite.sign_up("ann@gmail.com")
    link = path(on_sqlite.mail_to("ann@gmail.com")[0].link("confirm"))

    assert "https://mail.google.com/" in on_sqlite.client.post(link).text

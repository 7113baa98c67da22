"""Unsubscribing: at once, for people and for mail systems, for ever."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from newsletter.extensions import db
from tests.support.service import Service, eventually, path

ONE_CLICK = "List-Unsubscribe=One-Click"


def _token_path(service: Service, email: str = "ann@example.org") -> str:
    header = service.confirmed(email).message["List-Unsubscribe"]
    return path(header.strip("<>"))


@pytest.mark.parametrize(
    "request_",
    [
        {"data": ONE_CLICK, "content_type": "application/x-www-form-urlencoded"},
        {"data": {"List-Unsubscribe": "One-Click"}, "content_type": "multipart/form-data"},
        {"data": b""},
        {"data": b"\x00\xff not a form", "content_type": "application/x-www-form-urlencoded"},
        {"data": b"{", "content_type": "application/json"},
        {"data": b"broken", "content_type": "multipart/form-data; boundary=x"},
        {"data": b"List-Unsubscribe=One-Click&" + b"a" * 100_000},
    ],
    ids=["urlencoded", "multipart", "empty", "garbage", "broken json", "broken multipart", "large"],
)
def test_u3_a_post_unsubscribes_whatever_its_body(service: Service, request_: dict[str, object]) -> None:
    url = _token_path(service)
    response = service.client.post(url, **request_)

    assert response.status_code == 200
    assert "Set-Cookie" not in response.headers
    assert service.states() == {"ann@example.org": "unsubscribed"}


def test_the_evidence_tells_one_click_from_a_person(service: Service) -> None:
    one_click = {"List-Unsubscribe": "One-Click"}
    service.client.post(_token_path(service, "a@example.org"), data=one_click)
    service.client.post(_token_path(service, "b@example.org"))
    service.client.post(
        _token_path(service, "c@example.org"), data=one_click, content_type="multipart/form-data"
    )

    ways = [
        way
        for (way,) in service.rows("SELECT way FROM consent_events WHERE kind = 'unsubscribe' ORDER BY id")
    ]
    assert ways == ["one-click", "page", "one-click"]


def test_u4_a_trailing_slash_is_no_redirect(service: Service) -> None:
    response = service.client.post(_token_path(service) + "/", data=ONE_CLICK)

    assert response.status_code == 200
    assert service.states() == {"ann@example.org": "unsubscribed"}


def test_u4_http_behind_a_proxy_is_no_redirect(service: Service) -> None:
    response = service.client.post(_token_path(service), headers={"X-Forwarded-Proto": "http"})

    assert response.status_code == 200


def test_u15_the_evidence_of_a_pressed_button_holds_no_token(service: Service) -> None:
    url = _token_path(service)
    service.client.post(url, headers={"Referer": f"https://news.example{url}"})

    pages = [page for (page,) in service.rows("SELECT page FROM consent_events WHERE kind = 'unsubscribe'")]
    assert pages == ["https://news.example/unsubscribe"]


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_u5_safe_requests_change_nothing(service: Service, method: str) -> None:
    url = _token_path(service)
    for _ in range(3):
        assert service.client.open(url, method=method).status_code == 200
    assert service.states() == {"ann@example.org": "confirmed"}


def test_u10_the_page_has_one_button_and_a_masked_address(service: Service) -> None:
    page = service.client.get(_token_path(service)).text

    assert page.count("<button") == 1
    assert "a•••@example.org" in page
    assert "ann@example.org" not in page
    assert "Daily News" in page


def test_u6_fifty_at_once_are_all_200_with_one_event_and_the_first_time_kept(service: Service) -> None:
    url = _token_path(service)
    with ThreadPoolExecutor(16) as pool:
        statuses = set(pool.map(lambda _: service.client.post(url, data=ONE_CLICK).status_code, range(50)))
    first = service.one("SELECT unsubscribed_at FROM subscriptions")
    service.client.post(url, data=ONE_CLICK)

    assert statuses == {200}
    assert service.events().count("unsubscribe") == 1
    assert service.one("SELECT unsubscribed_at FROM subscriptions") == first


def test_who_leaves_while_somebody_signs_them_up_anew_is_not_brought_back(
    make_service: Callable[..., Service],
) -> None:
    """PostgreSQL: the sign-up waits for the one who leaves, and sees what they did. SQLite has one writer."""
    service = make_service("postgresql")
    service.confirmed("ann@example.org")
    with service.app.app_context(), db.engine.connect() as leaving, ThreadPoolExecutor(1) as pool:
        leaving.execute(text("UPDATE subscriptions SET state = 'unsubscribed'"))
        signing_up = pool.submit(service.sign_up, "ann@example.org")
        waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        eventually(lambda: service.one(waits) == 1)
        leaving.commit()
        assert signing_up.result().status_code == 200

    assert service.states() == {"ann@example.org": "pending"}


def test_u7_a_token_ends_one_subscription_only(service: Service) -> None:
    service.confirmed("bob@example.org")
    service.client.post(_token_path(service, "ann@example.org"))

    assert service.states() == {"ann@example.org": "unsubscribed", "bob@example.org": "confirmed"}


def test_u9_a_changed_token_is_404_and_changes_nothing(service: Service) -> None:
    url = _token_path(service)
    start = len("/unsubscribe/")
    for position in range(start, len(url)):
        other = "A" if url[position] != "A" else "B"
        damaged = url[:position] + other + url[position + 1 :]
        response = service.client.post(damaged, data=ONE_CLICK)
        assert response.status_code == 404, position
        assert 'action="/unsubscribe"' in response.text
    assert service.states() == {"ann@example.org": "confirmed"}


def test_u9_the_token_of_an_erased_subscriber_is_200(service: Service) -> None:
    url = _token_path(service)
    service.write("DELETE FROM subscriptions")
    service.write("DELETE FROM subscribers")

    assert service.client.post(url, data=ONE_CLICK).status_code == 200
    assert service.client.get(url).status_code == 200


def test_u8_the_link_of_the_first_mail_works_after_every_rotation_of_keys(service: Service) -> None:
    url = _token_path(service)
    rotated = {
        "NEWSLETTER_SECRET_KEYS": "n" * 40,
        "NEWSLETTER_RETIRED_KEYS": service.environ["NEWSLETTER_SECRET_KEYS"],
    }
    later = Service(service.environ | rotated, service.sink)

    assert later.client.post(url, data=ONE_CLICK).status_code == 200
    assert service.states() == {"ann@example.org": "unsubscribed"}


def test_d2_a_retired_key_opens_no_confirmation(service: Service) -> None:
    service.sign_up("ann@example.org")
    link = path(service.mail_to("ann@example.org")[0].link("confirm"))
    retired = {"NEWSLETTER_SECRET_KEYS": "n" * 40, "NEWSLETTER_RETIRED_KEYS": "k" * 40}
    both = {"NEWSLETTER_SECRET_KEYS": f"{'k' * 40},{'n' * 40}"}

    assert Service(service.environ | retired, service.sink).client.post(link).status_code == 404
    assert Service(service.environ | both, service.sink).client.post(link).status_code == 200


def test_u12_unsubscribing_takes_back_the_confirmation_that_waits(service: Service) -> None:
    service.sign_up("ann@example.org")
    service.send_mail()
    url = path(service.sink.to("ann@example.org")[0].link("unsubscribe"))
    service.age(minutes=11)
    service.sign_up("ann@example.org")

    service.client.post(url, data=ONE_CLICK)

    assert len(service.mail_to("ann@example.org")) == 1
    assert service.statuses() == ["sent", "cancelled"]
    assert service.states() == {"ann@example.org": "unsubscribed"}


def test_u12_a_mail_that_has_not_reached_data_is_not_sent(service: Service) -> None:
    service.sign_up("ann@example.org")
    url = path(service.mail_to("ann@example.org")[0].link("unsubscribe"))
    service.age(minutes=11)
    service.sign_up("ann@example.org")

    def unsubscribe_meanwhile(_recipient: str) -> None:
        assert service.client.post(url, data=ONE_CLICK).status_code == 200

    service.sink.on_rcpt = unsubscribe_meanwhile
    service.send_mail()

    assert len(service.sink.to("ann@example.org")) == 1
    assert service.statuses() == ["sent", "cancelled"]


def test_u17_webmail_scripts_may_post_without_credentials(service: Service) -> None:
    response = service.client.post(
        _token_path(service), data=ONE_CLICK, headers={"Origin": "https://mail.example"}
    )

    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in response.headers


def test_u18_the_unsubscribe_link_of_a_confirmation_works_before_confirming(service: Service) -> None:
    service.sign_up("ann@example.org")
    (mail,) = service.mail_to("ann@example.org")

    assert service.client.post(path(mail.link("unsubscribe")), data=ONE_CLICK).status_code == 200
    assert service.states() == {"ann@example.org": "unsubscribed"}
    assert service.client.post(path(mail.link("confirm"))).status_code == 410


def test_send_me_my_link_gives_every_address_the_same_answer_and_mails_only_subscribers(
    service: Service,
) -> None:
    service.confirmed("ann@example.org")
    known = service.client.post("/unsubscribe", data={"email": "ann@example.org"})
    unknown = service.client.post("/unsubscribe", data={"email": "bob@example.org"})

    assert known.status_code == unknown.status_code == 200
    assert known.text.replace("ann@", "bob@") == unknown.text
    assert list(known.headers) == list(unknown.headers)
    links = service.mail_to("ann@example.org")[-1]
    assert service.mail_to("bob@example.org") == []
    assert service.client.post(path(links.link("unsubscribe"))).status_code == 200
    assert service.states() == {"ann@example.org": "unsubscribed"}


def test_send_me_my_link_lists_every_subscription_and_keeps_to_the_cool_down(service: Service) -> None:
    service.command("lists", "add", "sport", "--name", "Sport")
    service.confirmed("ann@example.org", "daily")
    service.confirmed("ann@example.org", "sport")
    for _ in range(3):
        service.client.post("/unsubscribe", data={"email": "ann@example.org"})

    mails = [mail for mail in service.mail_to("ann@example.org") if "link" in mail.message["Subject"].lower()]
    assert len(mails) == 1
    text = mails[0].part("plain")
    assert "Daily News" in text
    assert "Sport" in text
    assert text.count("/unsubscribe/") >= 2


def test_send_me_my_link_refuses_what_is_no_address(on_sqlite: Service) -> None:
    response = on_sqlite.client.post("/unsubscribe", data={"email": "ann"})

    assert response.status_code == 422
    assert 'value="ann"' in response.text

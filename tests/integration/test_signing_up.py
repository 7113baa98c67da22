"""Signing up: one mail, the same answer for everybody, and evidence of what was agreed to."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest

from newsletter.web.pacing import BEAT
from tests.support import providers
from tests.support.service import Service, path


def test_a_new_address_is_stored_as_pending_and_gets_one_confirmation(service: Service) -> None:
    response = service.sign_up("ann@example.org", name="Ann")

    assert response.status_code == 200
    assert "Check your inbox" in response.text
    assert service.states() == {"ann@example.org": "pending"}
    (mail,) = service.mail_to("ann@example.org")
    assert mail.message["Subject"] == "Please confirm: Daily News"


def test_a_script_gets_json(service: Service) -> None:
    url = "/lists/daily/subscriptions"
    by_type = service.client.post(url, json={"email": "ann@example.org"})
    by_accept = service.client.post(
        url, data={"email": "bob@example.org"}, headers={"Accept": "application/json"}
    )

    for response in (by_type, by_accept):
        assert (response.status_code, response.json) == (202, {"status": "check_inbox"})
    assert set(service.states()) == {"ann@example.org", "bob@example.org"}


def test_d9_twenty_sign_ups_in_a_row_cause_one_mail_and_twenty_identical_answers(service: Service) -> None:
    answers = []
    for number in range(20):
        response = service.sign_up("ann@example.org")
        answers.append((response.status_code, dict(response.headers), response.data))
        if number == 3:
            service.send_mail()

    assert all(answer == answers[0] for answer in answers)
    assert len(service.mail_to("ann@example.org")) == 1
    assert service.counts()["subscribers"] == 1


def test_a7_the_answer_is_the_same_in_every_state(service: Service) -> None:
    unknown = service.sign_up("ann@example.org")
    answers = {"unknown": unknown, "pending": service.sign_up("ann@example.org")}
    mail = service.mail_to("ann@example.org")[0]
    service.client.post(path(mail.link("confirm")))
    answers["confirmed"] = service.sign_up("ann@example.org")
    service.client.post(path(mail.link("unsubscribe")))
    answers["unsubscribed"] = service.sign_up("ann@example.org")
    service.write("UPDATE subscriptions SET state = 'complained'")
    answers["complained"] = service.sign_up("ann@example.org")
    with service.app.app_context():
        from newsletter.database import write_transaction
        from newsletter.extensions import db
        from newsletter.services.suppress import suppress
        from tests.support.service import now

        with write_transaction(db.session()):
            suppress(db.session(), service.settings, now(), "ann@example.org", reason="complaint")
    answers["suppressed"] = service.sign_up("ann@example.org")

    for state, response in answers.items():
        assert response.status_code == 200, state
        assert response.data == unknown.data, state
        assert list(response.headers) == list(unknown.headers), state


@pytest.mark.parametrize("door", ["/lists/daily/subscriptions", "/lists/daily/code", "/unsubscribe"])
def test_a7_no_answer_leaves_before_the_beat(on_sqlite: Service, door: str) -> None:
    for email in ("ann@example.org", "ann@example.org", "ann@"):
        began = time.monotonic()
        on_sqlite.client.post(door, data={"email": email, "code": "123456"})
        assert time.monotonic() - began >= BEAT


def test_d10_a_pending_address_is_mailed_again_after_the_cool_down(service: Service) -> None:
    service.sign_up()
    service.send_mail()
    service.age(minutes=9)
    service.sign_up()
    assert len(service.mail_to()) == 1

    service.age(minutes=2)
    service.sign_up()
    assert len(service.mail_to()) == 2


def test_d9_at_most_three_mails_a_day_and_five_in_thirty_days(service: Service) -> None:
    for _ in range(6):
        service.sign_up()
        service.send_mail()
        service.age(minutes=11)
    assert len(service.mail_to()) == 3

    for _ in range(6):
        service.age(days=2)
        service.sign_up()
        service.send_mail()
    assert len(service.mail_to()) == 5


def test_d10_a_confirmed_address_gets_at_most_a_notice(service: Service) -> None:
    service.confirmed("ann@example.org")
    service.sign_up("ann@example.org")
    assert len(service.mail_to("ann@example.org")) == 1  # still within the cool-down
    service.age(minutes=11)
    for _ in range(3):
        service.sign_up("ann@example.org")

    mails = service.mail_to("ann@example.org")
    assert [mail.message["Subject"] for mail in mails[1:]] == ["You already receive Daily News"]
    assert "/confirm/" not in mails[1].raw.decode()
    assert service.states() == {"ann@example.org": "confirmed"}


def test_d10_an_unsubscribed_address_gets_a_fresh_confirmation(service: Service) -> None:
    first = service.confirmed("ann@example.org")
    service.client.post(path(first.link("unsubscribe")))

    service.sign_up("ann@example.org")

    assert service.states() == {"ann@example.org": "pending"}
    second = service.mail_to("ann@example.org")[-1]
    assert second.message["Message-ID"] != first.message["Message-ID"]
    assert service.client.post(path(second.link("confirm"))).status_code == 200
    assert service.states() == {"ann@example.org": "confirmed"}


def test_d9_who_left_without_ever_confirming_is_mailed_again_only_after_the_cool_down(
    service: Service,
) -> None:
    service.sign_up()
    (first,) = service.mail_to()
    service.client.post(path(first.link("unsubscribe")))

    service.sign_up()
    assert len(service.mail_to()) == 1
    service.age(minutes=11)
    assert len(service.mail_to()) == 2


def test_d10_an_address_that_complained_gets_nothing(service: Service) -> None:
    service.confirmed("ann@example.org")
    service.write("UPDATE subscriptions SET state = 'complained'")

    service.age(days=40)
    service.sign_up("ann@example.org")

    assert len(service.mail_to("ann@example.org")) == 1
    assert service.states() == {"ann@example.org": "complained"}


def test_a18_addresses_that_differ_in_case_are_one_subscriber_and_mail_goes_to_the_first_spelling(
    service: Service,
) -> None:
    service.sign_up("Ann.B@Example.ORG")
    service.sign_up("ann.b@example.org")

    assert service.states() == {"Ann.B@example.org": "pending"}
    assert len(service.mail_to("Ann.B@example.org")) == 1


def test_d11_the_evidence_holds_words_page_network_agent_time_and_mail(service: Service) -> None:
    service.client.post(
        "/lists/daily/subscriptions",
        data={"email": "ann@example.org"},
        headers={"Referer": "https://site.example/story?utm=secret", "User-Agent": "Firefox"},
    )
    (mail,) = service.mail_to("ann@example.org")

    (row,) = service.rows(
        "SELECT e.kind, e.way, e.page, e.network, e.agent, e.message_id, w.text FROM consent_events e "
        "JOIN wordings w ON w.digest = e.wording"
    )
    assert row[:5] == ("sign_up", "form", "https://site.example/story", "127.0.0.1", "Firefox")
    assert row[5] == mail.message["Message-ID"]
    assert "Get daily news directly in your inbox!" in row[6]
    assert "Unsubscribe any time" in row[6]


def test_d11_the_words_that_are_kept_are_the_words_that_were_shown(service: Service) -> None:
    page = service.client.get("/").text
    service.sign_up()

    kept = service.one("SELECT text FROM wordings")
    for words in kept.replace("[", "").replace("]", "").splitlines():
        assert words in page.replace("&#39;", "'"), words


def test_d11_editing_the_words_leaves_old_evidence_as_it_was(service: Service) -> None:
    service.sign_up("ann@example.org")
    service.command("lists", "edit", "daily", "--invitation", "Read us!")
    service.sign_up("bob@example.org")

    texts = [
        text for (text,) in service.rows(
            "SELECT w.text FROM consent_events e JOIN wordings w ON w.digest = e.wording ORDER BY e.id"
        )
    ]  # fmt: skip
    assert "Get daily news directly in your inbox!" in texts[0]
    assert "Read us!" in texts[1]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("ann@gmial.com", "ann@gmail.com"), ("bo@hotmial.com", "bo@hotmail.com"), ("x@yaho.com", "x@yahoo.com")],
)
def test_a_slip_in_a_known_provider_is_offered_as_a_button_and_taken_all_the_same(
    on_sqlite: Service, typed: str, meant: str
) -> None:
    response = on_sqlite.sign_up(typed)

    assert response.status_code == 200
    assert f'name="email" value="{meant}"' in response.text
    assert on_sqlite.states() == {typed: "pending"}


def test_the_page_links_to_the_inbox_of_a_known_provider(on_sqlite: Service) -> None:
    assert "https://mail.google.com/" in on_sqlite.sign_up("ann@gmail.com").text
    assert "https://mail.google.com/" not in on_sqlite.sign_up("ann@example.org").text


def test_a9_nothing_that_the_visitor_typed_but_the_address_is_in_the_mail(service: Service) -> None:
    service.sign_up("ann@example.org", name="Buy at evil.example")
    (mail,) = service.mail_to("ann@example.org")

    assert b"evil.example" not in mail.raw


def test_two_lists_are_two_subscriptions_of_one_subscriber(service: Service) -> None:
    service.command("lists", "add", "sport", "--name", "Sport")
    service.sign_up(slug="daily")
    service.sign_up(slug="sport")

    assert service.counts()["subscribers"] == 1
    assert service.counts()["subscriptions"] == 2
    assert {mail.message["List-Id"] for mail in service.mail_to()} == {
        "<daily.news.example>",
        "<sport.news.example>",
    }


def test_an_unknown_list_is_404_for_people_and_scripts(service: Service) -> None:
    assert service.client.get("/lists/nothing").status_code == 404
    assert service.sign_up(slug="nothing").status_code == 404
    response = service.client.post("/lists/nothing/subscriptions", json={"email": "ann@example.org"})
    assert response.status_code == 404
    assert response.content_type == "application/problem+json"
    assert json.loads(response.data)["status"] == 404
    assert service.counts()["subscribers"] == 0


def test_e1_the_public_form_sets_no_cookie_and_does_not_vary_by_one(on_sqlite: Service) -> None:
    for response in (on_sqlite.client.get("/"), on_sqlite.sign_up(), on_sqlite.client.get("/lists/daily")):
        assert "Set-Cookie" not in response.headers
        assert "Cookie" not in response.headers.get("Vary", "")


def test_e1_these_views_and_no_others_are_exempt_from_form_protection(
    make_service: Callable[..., Service],
) -> None:
    make_service("sqlite", **providers.SETTINGS)
    from newsletter.extensions import csrf

    assert csrf._exempt_views == {
        "newsletter.web.public.take_code",
        "newsletter.web.public.take_sign_up",
        "newsletter.web.public.send_link",
        "newsletter.web.doors.press_confirm",
        "newsletter.web.doors.send_fresh",
        "newsletter.web.doors.press_unsubscribe",
        # Programs of providers, which prove themselves by a signature or a password.
        "newsletter.web.events.mailgun.take_mailgun",
        "newsletter.web.events.postmark.take_postmark",
        "newsletter.web.events.sendgrid.take_sendgrid",
        "newsletter.web.events.ses.take_ses",
        # What a token in the address authorises.
        "newsletter.web.own_page.act",
        "newsletter.web.changing_address.press_new_address",
        "newsletter.web.changing_address.press_not_me",
        "newsletter.web.changing_address.press_stop",
    }
    # A token is all that the API reads: a browser sends none along by itself.
    assert {blueprint.name for blueprint in csrf._exempt_blueprints} == {
        "audit", "changes", "exports", "imports", "lists", "operators", "outbox", "subscribers",
        "subscriptions", "tokens", "webhooks",
    }  # fmt: skip

"""Mails, as the bytes that a real SMTP server receives."""

from __future__ import annotations

import re
from collections.abc import Callable
from email.utils import parsedate_to_datetime

import pytest

from tests.support.service import Service, now
from tests.support.smtp import Received


def _confirmation(service: Service, email: str = "ann@example.org") -> Received:
    service.sign_up(email)
    return service.mail_to(email)[-1]


def test_u1_the_unsubscribe_headers_are_on_the_wire_as_rfc_8058_wants_them(service: Service) -> None:
    mail = _confirmation(service)

    headers = mail.headers.split(b"\r\n")
    uris = [line for line in headers if line.startswith(b"List-Unsubscribe:")]
    posts = [line for line in headers if line.startswith(b"List-Unsubscribe-Post:")]
    assert len(uris) == len(posts) == 1
    assert re.fullmatch(rb"List-Unsubscribe: <https://news\.example/unsubscribe/[A-Za-z0-9_.-]+>", uris[0])
    assert posts[0] == b"List-Unsubscribe-Post: List-Unsubscribe=One-Click"
    assert b"=?" not in uris[0]


def test_s1_each_header_stands_once(service: Service) -> None:
    began = now().replace(microsecond=0)
    mail = _confirmation(service)

    for name in ("From", "To", "Date", "Message-ID", "MIME-Version", "List-Id", "Subject", "Auto-Submitted"):
        assert len(mail.message.get_all(name, [])) == 1, name
    assert mail.message["From"] == "Daily News <news@news.example>"
    assert mail.message["To"] == "ann@example.org"
    assert re.fullmatch(r"<[0-9a-f-]{36}@news\.example>", mail.message["Message-ID"])
    assert mail.message["List-Id"] == "<daily.news.example>"
    assert mail.message["Auto-Submitted"] == "auto-generated"
    assert began <= parsedate_to_datetime(mail.message["Date"]) <= now()


def test_s3_plain_text_comes_first_and_lines_are_not_too_long(service: Service) -> None:
    service.command("lists", "add", "nouvelles", "--name", "Les nouvelles de l’été, très tôt le matin")
    service.sign_up("ann@example.org", "nouvelles")
    mail = service.mail_to("ann@example.org")[-1]

    assert [part.get_content_type() for part in mail.message.iter_parts()] == ["text/plain", "text/html"]
    assert mail.message.get_content_type() == "multipart/alternative"
    assert all(len(line) <= 998 for line in mail.raw.split(b"\r\n"))
    assert mail.raw.replace(b"\r\n", b"").count(b"\n") == 0
    assert mail.raw.isascii()
    for part in mail.message.iter_parts():
        if part["Content-Transfer-Encoding"] == "quoted-printable":
            assert all(len(line) <= 76 for line in str(part.get_payload()).splitlines())
    assert "Les nouvelles de l’été" in mail.part("plain")
    assert "Les nouvelles de l’été" in str(mail.message["Subject"])


def test_the_confirm_link_stands_alone_on_its_line(service: Service) -> None:
    mail = _confirmation(service)
    link = mail.link("confirm")

    assert link.startswith("https://news.example/confirm/")
    assert mail.raw.count(link.encode() + b"\r\n") == 1  # whole on the wire too
    assert link[-1].isalnum()
    assert link in mail.part("html")


def test_d4_links_hold_no_address(service: Service) -> None:
    mail = _confirmation(service)

    for door in ("confirm", "unsubscribe"):
        assert "ann" not in mail.link(door).lower() or "example.org" not in mail.link(door)


def test_u18_every_link_in_every_kind_of_mail_leads_somewhere(service: Service) -> None:
    service.confirmed("ann@example.org")
    service.age(minutes=11)
    service.sign_up("ann@example.org")
    service.client.post("/unsubscribe", data={"email": "ann@example.org"})

    mails = service.mail_to("ann@example.org")
    assert len(mails) == 3
    for mail in mails:
        for link in re.findall(r"https://news\.example[^\s\"<>)]*", mail.part("plain") + mail.part("html")):
            assert service.client.get(link.removeprefix("https://news.example") or "/").status_code == 200, (
                link
            )


def test_a_postal_address_is_printed_where_it_is_set(make_service: Callable[..., Service]) -> None:
    service = make_service("sqlite", NEWSLETTER_POSTAL_ADDRESS="Press Street 1, 12345 Town")

    assert "Press Street 1, 12345 Town" in _confirmation(service).part("plain")


def test_a_list_has_its_own_sender(service: Service) -> None:
    service.command("lists", "edit", "daily", "--from", "Sport Ä <sport@sport.example>")
    mail = _confirmation(service)

    assert mail.sender == "sport@sport.example"
    assert mail.message["From"] == "Sport Ä <sport@sport.example>"
    assert mail.message["Message-ID"].endswith("@sport.example>")


def test_a19_an_internationalised_domain_is_sent_in_its_ascii_form(service: Service) -> None:
    service.sign_up("ann@bücher.example")

    service.send_mail()
    assert [mail.recipient for mail in service.sink.mails] == ["ann@xn--bcher-kva.example"]


def test_a19_a_local_part_outside_ascii_goes_to_a_relay_with_smtputf8(service: Service) -> None:
    service.sign_up("jörg@bücher.example")

    service.send_mail()
    assert [mail.recipient for mail in service.sink.mails] == ["jörg@xn--bcher-kva.example"]


def test_a19_without_smtputf8_the_message_fails_and_the_batch_goes_on(service: Service) -> None:
    service.sink.stop()
    service.sink.smtputf8 = False
    service.sink.start()
    service.sign_up("jörg@example.org")
    service.sign_up("ann@example.org")

    assert len(service.mail_to("ann@example.org")) == 1
    assert service.statuses() == ["failed", "sent"]
    assert "SMTPUTF8" in service.one("SELECT last_error FROM outbox WHERE status = 'failed'")


ENCODED = "=?utf-8?q?hi=0D=0ABcc:_victim@example.com=0D=0A=0D=0Abody?="


def test_a8_an_encoded_word_in_a_name_is_text_and_no_header(service: Service) -> None:
    service.command("lists", "edit", "daily", "--name", ENCODED)
    mail = _confirmation(service)

    assert b"Bcc" not in mail.headers.replace(b"=0ABcc", b"")
    assert mail.message["List-Unsubscribe"]
    assert "victim" in str(mail.message["Subject"])


@pytest.mark.parametrize(
    "sender", [f"{ENCODED} <a@example.org>", "X <a(b@example.org>", "X <a@b..c>", "a@[", "X <.a.@x>"]
)
def test_a8_a_sender_that_no_header_can_carry_is_refused(on_sqlite: Service, sender: str) -> None:
    assert on_sqlite.command("lists", "edit", "daily", "--from", sender, check=False).returncode == 1


def test_long_names_outside_ascii_are_encoded_in_short_words(service: Service) -> None:
    service.command("lists", "edit", "daily", "--name", "朝のニュース" * 30)
    mail = _confirmation(service)

    assert all(len(word) <= 75 for word in re.findall(rb"=\?[^?]+\?[bqBQ]\?[^?]*\?=", mail.headers))
    assert str(mail.message["Subject"]).count("朝のニュース") == 30
    assert re.search(rb"^List-Unsubscribe: <https://\S+>\r$", mail.headers + b"\r\n", re.MULTILINE)


@pytest.mark.parametrize("host", ["news.example", "evil.example"])
def test_links_are_built_from_the_base_url_alone(on_sqlite: Service, host: str) -> None:
    on_sqlite.client.post(
        "/lists/daily/subscriptions", data={"email": "ann@example.org"}, headers={"X-Forwarded-Host": host}
    )

    assert b"evil" not in on_sqlite.mail_to("ann@example.org")[0].raw

"""The welcome mail: in the list's own words, after a confirmation, and only once."""

from __future__ import annotations

import re

from newsletter.domain.languages import LANGUAGES
from newsletter.services import lists
from tests.support.acting import writing
from tests.support.importing import imported
from tests.support.service import Service, path
from tests.support.smtp import Received

TEXT = "Good to have you!\n\nRead what came before at https://daily.example/archive."


def _welcoming(service: Service, text: str | None = TEXT) -> Service:
    writing(service, lambda session: lists.edit(session, "daily", {"welcome": text}))
    return service


def _welcomes(service: Service, address: str = "ann@example.org") -> list[Received]:
    return [mail for mail in service.mail_to(address) if "Welcome" in str(mail.message["Subject"])]


def test_who_confirms_is_welcomed_in_the_words_of_the_list(service: Service) -> None:
    _welcoming(service).confirmed()

    (mail,) = _welcomes(service)
    assert mail.message["Subject"] == "Welcome to Daily News"
    assert TEXT in mail.part("plain").replace("\r\n", "\n")
    assert 'href="https://daily.example/archive"' in mail.part("html")
    assert mail.link("unsubscribe")
    assert service.client.post(path(mail.link("unsubscribe"))).status_code == 200
    assert service.states() == {"ann@example.org": "unsubscribed"}


def test_the_code_welcomes_too(service: Service) -> None:
    _welcoming(service).sign_up()
    code = re.search(r"\b(\d{3} \d{3})\b", service.mail_to()[-1].part("plain"))
    assert code
    service.client.post("/lists/daily/code", data={"email": "ann@example.org", "code": code[1]})

    assert len(_welcomes(service)) == 1


def test_confirming_twice_welcomes_once(service: Service) -> None:
    mail = _welcoming(service).confirmed()
    service.client.post(path(mail.link("confirm")))
    service.send_mail()
    service.client.post(path(mail.link("confirm")))

    assert len(_welcomes(service)) == 1


def test_a_list_without_a_welcome_sends_none(service: Service) -> None:
    service.confirmed()

    assert len(service.mail_to()) == 1


def test_who_leaves_before_it_is_sent_is_not_welcomed(service: Service) -> None:
    mail = _welcoming(service).confirmed()
    service.client.post(path(mail.link("unsubscribe")))

    assert _welcomes(service) == []
    assert service.one("SELECT status FROM outbox WHERE kind = 'welcome'") == "cancelled"


def test_who_is_brought_in_confirmed_is_not_welcomed(service: Service) -> None:
    file = "email,state\nann@example.org,confirmed\n"
    imported(_welcoming(service), file, statement="They asked for it at the fair")

    assert service.states() == {"ann@example.org": "confirmed"}
    assert service.one("SELECT count(*) FROM outbox") == 0


def test_a9_nothing_that_the_visitor_typed_is_in_it_but_the_address(service: Service) -> None:
    _welcoming(service).sign_up(name="Buy Pills")
    service.client.post(path(service.mail_to()[-1].link("confirm")))

    (mail,) = _welcomes(service)
    assert b"Pills" not in mail.raw
    assert "ann@example.org" in mail.part("plain")


def test_markup_of_the_list_stays_text(on_sqlite: Service) -> None:
    _welcoming(on_sqlite, "<img src=x> {{ address }} %(list)s").confirmed()

    (mail,) = _welcomes(on_sqlite)
    assert "<img" not in mail.part("html")
    assert "<img src=x> {{ address }} %(list)s" in mail.part("plain")


def test_its_frame_speaks_the_language_of_its_reader(on_sqlite: Service) -> None:
    _welcoming(on_sqlite)
    for language in LANGUAGES:
        on_sqlite.sign_up(f"{language}@example.org", locale=language)
    on_sqlite.send_mail()
    for asked in list(on_sqlite.sink.mails):
        on_sqlite.client.post(path(asked.link("confirm")))
    mails = {language: on_sqlite.mail_to(f"{language}@example.org")[-1] for language in LANGUAGES}

    assert len({str(mail.message["Subject"]) for mail in mails.values()}) == len(LANGUAGES)
    for language, mail in mails.items():
        assert f'lang="{language}"' in mail.part("html")
        assert "Good to have you!" in mail.part("plain")

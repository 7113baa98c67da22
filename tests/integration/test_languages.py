"""Pages, mails and answers for scripts in the visitor's language: the form's, the list's, or the browser's."""

from __future__ import annotations

import json
import re
from html import unescape

import pytest
from werkzeug.test import TestResponse

from newsletter.domain.languages import LANGUAGES, direction
from newsletter.translations import translations
from tests.support.service import Service, path
from tests.support.smtp import Received

URL = "/lists/daily/subscriptions"
OTHERS = [language for language in LANGUAGES if language != "en"]
every_language = pytest.mark.parametrize("language", LANGUAGES)

HOSTILE = [
    "", "xx", "../../etc/passwd", "de/../../../etc", "..", "de\r\nSet-Cookie: a=b", "e" * 5000, "%(list)s",
    "<script>", "'; DROP TABLE subscribers; --", "日本語", "*", "de;q=x",
]  # fmt: skip


def _say(language: str, text: str, **values: str) -> str:
    """A text of ours in a language."""
    words = translations(language).gettext(text)
    return words % values if values else words


def _frame(language: str) -> str:
    return f'<html lang="{language}" dir="{direction(language)}">'


def _reads(service: Service, language: str) -> None:
    """From here on, every subscriber is known to read this language."""
    service.write("UPDATE subscribers SET locale = :language", language=language)


def _mail_in(service: Service, language: str) -> Received:
    service.sign_up("ann@example.org")
    _reads(service, language)
    return service.mail_to("ann@example.org")[-1]


# Pages


@every_language
def test_a_page_is_in_the_language_of_the_browser(on_sqlite: Service, language: str) -> None:
    response = on_sqlite.client.get(
        "/unsubscribe", headers={"Accept-Language": f"xx, {language}-ZZ;q=0.9, en;q=0.1"}
    )

    assert _frame(language) in response.text
    assert f"<h1>{_say(language, 'Send me my link')}</h1>" in response.text
    assert response.headers["Content-Language"] == language
    assert "Accept-Language" in response.vary


@every_language
def test_the_front_page_is_whole_in_each_language(on_sqlite: Service, language: str) -> None:
    page = on_sqlite.client.get(f"/?locale={language}").text

    assert _frame(language) in page
    for text in ("How it works", "Tomorrow’s edition could be your first.", "Markets, prices and your money"):
        assert _say(language, text) in page
        assert language == "en" or text not in page


def test_what_the_page_asks_for_comes_before_the_browser(on_sqlite: Service) -> None:
    response = on_sqlite.client.get("/unsubscribe?locale=fr", headers={"Accept-Language": "de"})

    assert _frame("fr") in response.text
    assert "Accept-Language" not in response.vary  # it made no difference


def test_a_language_that_the_browser_refuses_is_not_spoken(on_sqlite: Service) -> None:
    response = on_sqlite.client.get("/unsubscribe", headers={"Accept-Language": "de;q=0, es;q=0.1"})

    assert _frame("es") in response.text


def test_pages_are_kept_for_each_language_apart(on_sqlite: Service) -> None:
    def page(language: str) -> str:
        """Each drawing of a form has a token of its own; the rest stays."""
        shown = on_sqlite.client.get(f"/?locale={language}").text
        return re.sub(r'name="token" value="[^"]+"', "", shown)

    pages = {language: page(language) for language in LANGUAGES}

    assert len(set(pages.values())) == len(LANGUAGES)
    for language, shown in pages.items():
        assert page(language) == shown


@pytest.mark.parametrize("locale", HOSTILE)
def test_a_language_that_is_none_is_harmless(service: Service, locale: str) -> None:
    by_query = service.client.get("/unsubscribe", query_string={"locale": locale})
    header = {"Accept-Language": locale.encode("ascii", "replace").decode().replace("\r\n", " ")}
    by_header = service.client.get("/unsubscribe", headers=header)
    signed_up = service.sign_up("ann@example.org", locale=locale)
    service.write("UPDATE subscribers SET locale = :locale", locale=locale[:35])
    mail = service.mail_to("ann@example.org")[-1]
    door = service.client.get(path(mail.link("confirm")))

    for response in (by_query, signed_up, door):
        assert response.status_code == 200
        assert _frame("en") in response.text
        assert "Set-Cookie" not in response.headers
    assert by_header.status_code == 200
    assert mail.message["Subject"] == "Please confirm: Daily News"


def test_nul_in_a_language_is_refused_or_harmless(service: Service) -> None:
    assert service.client.get("/unsubscribe?locale=de%00").status_code == 400
    assert _frame("en") in service.sign_up("ann@example.org", locale="de\0").text


def test_the_newcomers_mailbox_and_health_stay_english(on_sqlite: Service) -> None:
    at_home = Service(
        {**on_sqlite.environ, "NEWSLETTER_SMTP_URL": "", "NEWSLETTER_BASE_URL": "http://127.0.0.1:8000"},
        on_sqlite.sink,
    )
    german = {"Accept-Language": "de"}

    assert _frame("en") in at_home.client.get("/mailbox/", headers=german).text
    assert "Content-Language" not in at_home.client.get("/healthz", headers=german).headers


# The doors: whoever holds a link of ours is spoken to as they were when they signed up


@every_language
def test_the_pages_behind_a_link_speak_its_readers_language(service: Service, language: str) -> None:
    mail = _mail_in(service, language)
    client, elsewhere = service.client, {"Accept-Language": "de" if language != "de" else "fr"}
    confirm, unsubscribe = path(mail.link("confirm")), path(mail.link("unsubscribe"))

    pages = {
        "Confirm your subscription": client.get(confirm, headers=elsewhere),
        "You’re in": client.post(confirm, headers=elsewhere),
        "Unsubscribe": client.get(unsubscribe, headers=elsewhere),
        "You’re unsubscribed": client.post(unsubscribe, headers=elsewhere),
        "This link doesn’t work": client.post(confirm, headers=elsewhere),
    }
    for text, response in pages.items():
        assert _frame(language) in response.text, text
        assert _say(language, text) in response.text


def test_a_damaged_link_is_answered_in_the_language_of_the_browser(on_sqlite: Service) -> None:
    for door in ("/confirm/x", "/unsubscribe/x"):
        response = on_sqlite.client.get(door, headers={"Accept-Language": "pt-BR"})
        assert response.status_code == 404
        assert _frame("pt") in response.text


def test_a_reader_of_a_language_that_we_lost_is_spoken_to_in_the_lists(on_sqlite: Service) -> None:
    on_sqlite.command("lists", "edit", "daily", "--locale", "hi")
    mail = _mail_in(on_sqlite, "xx")

    assert mail.message["Subject"] == _say("hi", "Please confirm: %(list)s", list="Daily News")
    assert _frame("hi") in on_sqlite.client.get(path(mail.link("confirm"))).text


# Mails


@every_language
def test_each_mail_is_in_its_readers_language(service: Service, language: str) -> None:
    first = _mail_in(service, language)
    service.client.post(path(first.link("confirm")))
    service.age(minutes=11)
    service.sign_up("ann@example.org")
    service.client.post("/unsubscribe", data={"email": "ann@example.org"})
    mails = service.mail_to("ann@example.org")

    subjects = {str(mail.message["Subject"]): mail for mail in mails}
    assert set(subjects) == {
        _say(language, "Please confirm: %(list)s", list="Daily News"),
        _say(language, "You already receive %(list)s", list="Daily News"),
        _say(language, "Your links at %(host)s", host="news.example"),
    }
    for mail in mails:
        assert f'<html lang="{language}" dir="{direction(language)}">' in mail.part("html")
        assert mail.raw.isascii()
        assert all(len(line) <= 998 for line in mail.raw.split(b"\r\n"))
        assert service.client.get(path(mail.link("unsubscribe"))).status_code == 200
    for mail in mails[1:]:
        words = _say(language, "Unsubscribe from %(list)s", list="Daily News")
        assert words in mail.part("plain")
        assert words in unescape(mail.part("html"))


@every_language
def test_a_confirmation_says_all_that_it_must_and_its_link_stands_alone(
    service: Service, language: str
) -> None:
    mail = _mail_in(service, language)
    text, html = mail.part("plain"), unescape(mail.part("html"))

    for sentence in (
        "Please confirm your subscription",
        "Wasn’t it you? Then ignore this email. Unless you confirm, nothing more will come.",
        "Don’t email me again",
    ):
        wanted = _say(language, sentence)
        assert wanted in html
        assert re.sub(r"[\s’']+", " ", wanted) in re.sub(r"[\s’']+", " ", text)
        assert language == "en" or sentence not in html + text
    assert "ann@example.org" in text.splitlines()
    assert mail.link("confirm") in html
    assert all(len(line) <= 68 or "://" in line for line in text.splitlines())
    assert service.client.get(path(mail.link("confirm"))).status_code == 200


def test_arabic_mail_counts_days_as_arabic_does(on_sqlite: Service) -> None:
    for days, words in ((1, "يوم واحد"), (2, "يومين"), (7, "7 أيام"), (30, "30 يومًا")):
        service = Service(on_sqlite.environ | {"NEWSLETTER_CONFIRM_MAX_AGE_DAYS": f"{days}"}, on_sqlite.sink)
        service.sign_up(f"ann{days}@example.org")
        _reads(service, "ar")
        assert words in service.mail_to(f"ann{days}@example.org")[-1].part("plain")


def test_what_an_operator_wrote_stays_text_in_every_language(service: Service) -> None:
    service.command("lists", "edit", "daily", "--name", "<b>%s & x</b> %(list)s")
    for language in LANGUAGES:
        service.sign_up(f"{language}@example.org")
        _reads(service, language)
        mail = service.mail_to(f"{language}@example.org")[-1]
        assert "<b>%s & x</b> %(list)s" in str(mail.message["Subject"])
        assert "&lt;b&gt;%s &amp; x&lt;/b&gt; %(list)s" in mail.part("html")
        page = service.client.get(path(mail.link("confirm"))).text
        assert "&lt;b&gt;%s &amp; x&lt;/b&gt; %(list)s" in page
        assert "<b>" not in page


# Answers for scripts


@every_language
def test_problems_are_told_to_scripts_in_their_language(service: Service, language: str) -> None:
    headers = {"Accept-Language": language, "Accept": "application/json"}
    refused = service.client.post(URL, json={"email": "ann b@example.org"}, headers=headers)
    missing = service.client.get("/nothing", headers=headers)
    malformed = service.client.post(URL, data=b"[]", content_type="application/json", headers=headers)

    words = _say(language, "There is a space after “%(before)s”. An email address has none.")
    assert json.loads(refused.data)["errors"] == {"email": words % {"before": "ann"}}
    assert json.loads(missing.data)["title"] == _say(language, "There is nothing here")
    must = _say(language, 'The JSON must be an object such as {"email": "ann@example.org"}.')
    assert json.loads(malformed.data)["detail"] == must
    for response in (refused, missing, malformed):
        assert response.content_type == "application/problem+json"
        assert response.headers["Content-Language"] == language


# Law 5


@every_language
def test_a7_what_is_known_of_an_address_never_shows_in_the_language(service: Service, language: str) -> None:
    def answers() -> list[TestResponse]:
        headers = {"Accept-Language": language}
        return [
            service.client.post(URL, data={"email": "ann@example.org"}, headers=headers),
            service.client.post(URL, json={"email": "ann@example.org"}, headers=headers),
            service.client.post("/unsubscribe", data={"email": "ann@example.org"}, headers=headers),
        ]

    unknown = answers()
    known = []
    for other in LANGUAGES:
        _reads(service, other)
        known.append(answers())

    for again in known:
        for before, after in zip(unknown, again, strict=True):
            assert after.status_code == before.status_code
            assert after.data == before.data
            assert list(after.headers) == list(before.headers)
            assert before.headers["Content-Language"] == language


# The form


@every_language
def test_the_form_says_its_language_and_the_answer_and_the_mail_keep_to_it(
    service: Service, language: str
) -> None:
    other = {"Accept-Language": "de" if language != "de" else "fr"}
    answer = service.client.post(URL, data={"email": "ann@example.org", "locale": language}, headers=other)
    refused = service.client.post(URL, data={"email": "ann", "locale": language}, headers=other)

    assert _frame(language) in answer.text
    assert _say(language, "Check your inbox") in answer.text
    assert (
        _say(language, "The @ sign is missing. An email address looks like ann@example.org.") in refused.text
    )
    assert service.one("SELECT locale FROM subscribers") == language
    subject = service.mail_to("ann@example.org")[0].message["Subject"]
    assert subject == _say(language, "Please confirm: %(list)s", list="Daily News")


def test_the_form_comes_before_the_list_and_the_list_before_the_browser(service: Service) -> None:
    service.command("lists", "add", "sport", "--name", "Sport", "--locale", "es")
    french = {"Accept-Language": "fr"}
    url = "/lists/sport/subscriptions"

    assert _frame("es") in service.client.get("/lists/sport", headers=french).text
    assert _frame("de") in service.client.get("/lists/sport?locale=de", headers=french).text
    assert _frame("fr") in service.client.get("/lists/daily", headers=french).text
    assert _frame("en") in service.client.get("/lists/daily").text
    for email, locale, spoken in (("a@example.org", "hi", "hi"), ("b@example.org", "xx", "es")):
        answer = service.client.post(url, data={"email": email, "locale": locale}, headers=french)
        assert _frame(spoken) in answer.text
        assert service.one("SELECT locale FROM subscribers WHERE address = :email", email=email) == spoken
        assert "Accept-Language" not in answer.vary


@every_language
def test_d11_evidence_holds_the_words_in_the_language_in_which_they_were_shown(
    service: Service, language: str
) -> None:
    service.command("lists", "add", "sport", "--name", "Sport")
    service.command("lists", "edit", "daily", "--invitation", "News, every day at six")
    page = service.client.get(f"/lists/sport?locale={language}").text
    service.client.post("/lists/sport/subscriptions", data={"email": "ann@example.org", "locale": language})
    service.client.post(URL, data={"email": "ann@example.org", "locale": language})

    texts = [
        text
        for (text,) in service.rows(
            "SELECT w.text FROM consent_events e JOIN wordings w ON w.digest = e.wording ORDER BY e.id"
        )
    ]
    button = f"[{_say(language, 'Sign up')}]"
    fine_print = _say(language, "We’ll send one email to confirm. Unsubscribe any time with one click.")
    assert texts[0].splitlines() == [
        _say(language, "Get %(list)s directly in your inbox!", list="Sport"), button, fine_print
    ]  # fmt: skip
    assert texts[1].splitlines() == ["News, every day at six", button, fine_print]
    for line in texts[0].replace("[", "").replace("]", "").splitlines():
        assert line in page

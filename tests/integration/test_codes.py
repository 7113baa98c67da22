"""Confirming by the six digits of the mail: five tries, fifteen minutes, one sign-up, and nothing given away."""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode

import pytest
from werkzeug.test import TestResponse

from newsletter.domain.codes import code_for, is_code_of
from tests.support.service import Service

KEYS = ("k" * 40, "l" * 40)


def enter(service: Service, code: str, email: str = "ann@example.org", slug: str = "daily") -> TestResponse:
    return service.client.post(
        f"/lists/{slug}/code", data={"email": email, "code": code}, headers={"Accept": "application/json"}
    )


def code_in_mail(service: Service, email: str = "ann@example.org") -> str:
    """The code in the newest mail, in both of its parts."""
    mail = service.mail_to(email)[-1]
    codes = {
        re.search(r"\b(\d{3} \d{3})\b", re.sub(r"#[0-9a-f]{6}", "", mail.part(part)))
        for part in ("plain", "html")
    }
    found = {match[1] for match in codes if match}
    assert len(found) == 1
    return found.pop()


def wrong(code: str) -> str:
    return f"{(int(code.replace(' ', '')) + 1) % 1_000_000:06}"


def test_the_code_of_the_mail_confirms(service: Service) -> None:
    service.sign_up()
    answer = enter(service, code_in_mail(service))

    assert (answer.status_code, answer.json) == (200, {"status": "confirmed"})
    assert service.states() == {"ann@example.org": "confirmed"}
    assert service.events() == ["sign_up", "confirm"]
    assert service.one("SELECT way FROM consent_events WHERE kind = 'confirm'") == "code"


@pytest.mark.parametrize("typed", ["{0}{1}", " {0} {1} ", "{0}-{1}", "\N{RIGHT-TO-LEFT MARK}{0}{1}"])
def test_a_code_may_be_typed_with_and_without_a_gap(on_sqlite: Service, typed: str) -> None:
    on_sqlite.sign_up()

    assert enter(on_sqlite, typed.format(*code_in_mail(on_sqlite).split())).status_code == 200


@pytest.mark.parametrize("zero", ["\N{ARABIC-INDIC DIGIT ZERO}", "\N{DEVANAGARI DIGIT ZERO}"])
def test_a_code_may_be_typed_in_the_digits_of_the_language(on_sqlite: Service, zero: str) -> None:
    on_sqlite.sign_up()
    own = {ord("0") + number: ord(zero) + number for number in range(10)}

    assert enter(on_sqlite, code_in_mail(on_sqlite).translate(own)).status_code == 200


def test_after_five_wrong_codes_even_the_right_one_is_none(service: Service) -> None:
    service.sign_up()
    code = code_in_mail(service)

    answers = [enter(service, wrong(code)).status_code for _ in range(5)]
    sixth = enter(service, code)

    assert answers == [422] * 5
    assert sixth.status_code == 429
    assert int(sixth.headers["Retry-After"]) == 900
    assert service.states() == {"ann@example.org": "pending"}


def test_attempts_are_counted_whatever_happens_in_between(service: Service) -> None:
    """Neither another sign-up nor a little waiting gives a code more attempts."""
    service.sign_up()
    code = code_in_mail(service)
    for _ in range(3):
        enter(service, wrong(code))
    _age_counts(service, minutes=10)
    service.sign_up()
    answers = [enter(service, wrong(code)).status_code for _ in range(3)]

    assert answers == [422, 422, 429]


def _age_counts(service: Service, minutes: int) -> None:
    if service.on_postgresql:
        service.write(f"UPDATE limit_counts SET expires_at = expires_at - interval '{minutes} minutes'")
    else:
        service.write(
            "UPDATE limit_counts SET expires_at = "
            f"strftime('%Y-%m-%dT%H:%M:%f', expires_at, '-{minutes} minutes') || '000Z'"
        )


def test_a_code_is_good_for_fifteen_minutes(service: Service) -> None:
    service.sign_up()
    code = code_in_mail(service)
    service.age(minutes=16)

    assert enter(service, code).status_code == 422
    assert service.states() == {"ann@example.org": "pending"}


def test_a_code_is_bound_to_its_sign_up(service: Service) -> None:
    """Not another list's, not another person's, and not that of a sign-up before leaving."""
    service.command("lists", "add", "weekly", "--name", "Weekly")
    service.sign_up("ann@example.org")
    service.sign_up("bob@example.org")
    code = code_in_mail(service, "ann@example.org")

    assert enter(service, code, "bob@example.org").status_code == 422
    assert enter(service, code, slug="weekly").status_code == 422

    mail = service.mail_to("ann@example.org")[0]
    service.client.post(mail.link("unsubscribe").removeprefix("https://news.example"))
    service.sign_up("ann@example.org")
    assert enter(service, code).status_code == 422
    assert set(service.states().values()) == {"pending", "unsubscribed"} or service.states() == {
        "ann@example.org": "pending", "bob@example.org": "pending",
    }  # fmt: skip


def test_d6_a_code_from_before_leaving_is_none_where_no_newer_mail_may_be_sent(service: Service) -> None:
    """The budget of the address is used up: the sign-up after leaving causes no mail."""
    for _ in range(4):
        service.sign_up()
        service.send_mail()
        service.age(days=2)
    service.sign_up()
    code, mail = code_in_mail(service), service.mail_to()[-1]
    service.client.post(mail.link("unsubscribe").removeprefix("https://news.example"))
    service.sign_up()

    assert service.statuses() == ["sent"] * 5
    assert enter(service, code).status_code == 422
    assert service.states() == {"ann@example.org": "pending"}


def test_law_5_the_answers_are_the_same_for_every_address(service: Service) -> None:
    service.confirmed("confirmed@example.org")
    service.sign_up("pending@example.org")
    code = code_in_mail(service, "pending@example.org")

    for number in range(7):
        answers = [
            enter(service, wrong(code), f"{who}@example.org") for who in ("confirmed", "pending", "unknown")
        ]
        assert len({(answer.status_code, answer.data) for answer in answers}) == 1, number
        assert len({str(answer.headers) for answer in answers}) == 1, number


def test_no_code_is_stored_anywhere(on_sqlite: Service) -> None:
    people = [f"{name}@example.org" for name in ("ann", "bob", "cem", "dot")]
    for email in people:
        on_sqlite.sign_up(email)
    codes = [code_in_mail(on_sqlite, email).replace(" ", "").encode() for email in people]
    stored = b"".join(path.read_bytes() for path in on_sqlite.settings.data_dir.glob("newsletter.sqlite3*"))

    assert b"ann@example.org" in stored
    # By chance, some moment or hash may hold the digits of one.
    assert [code for code in codes if code in stored] != codes
    assert sum(code in stored for code in codes) < 2


@pytest.mark.parametrize("typed", ["", "abcdef", "0" * 500, "\N{ARABIC-INDIC DIGIT ONE}" * 6, "12\x0034"])
def test_what_is_no_code_gets_a_clear_answer(on_sqlite: Service, typed: str) -> None:
    on_sqlite.sign_up()
    answer = enter(on_sqlite, typed)

    assert answer.status_code == 422
    assert answer.json is not None
    assert answer.json["errors"]["code"]
    assert on_sqlite.states() == {"ann@example.org": "pending"}


def test_half_a_character_is_no_code(on_sqlite: Service) -> None:
    """JSON can name what no text can hold."""
    answer = on_sqlite.client.post(
        "/lists/daily/code",
        data=r'{"email": "ann@example.org", "code": "\ud800"}',
        content_type="application/json",
    )

    assert answer.status_code == 422


def test_an_unknown_list_has_no_codes(on_sqlite: Service) -> None:
    assert enter(on_sqlite, "123456", slug="none").status_code == 404


def test_d2_codes_survive_a_new_key() -> None:
    code = code_for("<m@example.org>", KEYS[0])

    assert re.fullmatch(r"\d{6}", code)
    assert is_code_of("<m@example.org>", KEYS, code)
    assert not is_code_of("<n@example.org>", KEYS, code)


def test_a_late_mail_brings_no_code(make_service: Callable[..., Service]) -> None:
    """A code that would be too old when it arrives is left out; the link works."""
    service = make_service("sqlite")
    service.sign_up()
    service.age(minutes=10)
    mail = service.mail_to()[0]

    assert not re.search(r"^\d{3} \d{3}\s*$", mail.part("plain"), re.MULTILINE)
    assert mail.link("confirm")


def test_no_code_lives_through_more_than_five_of_many_attempts_at_once(service: Service) -> None:
    service.sign_up("ann@example.org")
    right = code_in_mail(service).replace(" ", "")
    guesses = [code for number in range(33) if (code := f"{number:06}") != right][:32]
    with service.served("--workers", "3", "--without-worker") as url, ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda code: _attempt(url, code), guesses))

    assert sorted(answers) == [422] * 5 + [429] * 27


def test_who_guesses_at_many_codes_is_stopped_for_their_network(make_service: Callable[..., Service]) -> None:
    service = make_service("sqlite", NEWSLETTER_SIGNUP_LIMIT="1000/hour")

    answers = [enter(service, "123456", f"u{number}@example.org").status_code for number in range(34)]

    assert answers == [422] * 30 + [429] * 4


def test_d5_the_right_code_may_be_sent_twice(service: Service) -> None:
    service.sign_up()
    code = code_in_mail(service)

    assert [enter(service, code).status_code for _ in range(2)] == [200, 200]
    assert service.events() == ["sign_up", "confirm"]


def _attempt(url: str, code: str) -> int:
    request = urllib.request.Request(
        f"{url}/lists/daily/code", data=urlencode({"email": "ann@example.org", "code": code}).encode()
    )
    try:
        with urllib.request.urlopen(request) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code

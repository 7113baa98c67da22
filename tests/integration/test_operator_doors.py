"""The doors of the console under attack: links that were used, guesses at passwords and codes, crowds."""

from __future__ import annotations

import re
import threading
from datetime import timedelta
from urllib.parse import urlencode

import pyotp
import pytest
from argon2 import PasswordHasher

from newsletter.domain import passwords
from newsletter.services import operators
from newsletter.services.operators import OperatorError
from tests.support.acting import audited, reading, writing
from tests.support.operators import PASSWORD, Console, invite
from tests.support.service import Service, eventually, now, path
from tests.support.webhooks import stored

GUESS = "a wrong guess of it"


def _reset(service: Service) -> str:
    return path(service.command("operators", "reset", "ann@example.org").stdout.split()[-1])


def test_a_reset_ends_every_invitation_before_it(service: Service) -> None:
    used = path(invite(service, "ann@example.org"))
    Console(service).post(used, password=PASSWORD)
    unused, newest = _reset(service), _reset(service)

    assert [Console(service).get(link).status_code for link in (used, unused, newest)] == [404, 404, 200]
    assert Console(service).log_in("ann@example.org", PASSWORD).status_code == 401


def test_of_two_who_take_the_same_invitation_one_gets_it(service: Service) -> None:
    invite(service, "ann@example.org")
    found = reading(service, lambda session: operators.find_by_address(session, "ann@example.org"))
    assert found is not None

    writing(service, lambda session: operators.accept(session, now(), found.actor(), found, "first"))
    with pytest.raises(OperatorError):
        writing(service, lambda session: operators.accept(session, now(), found.actor(), found, "second"))

    assert service.one("SELECT password_hash FROM operators") == "first"


def test_a_password_of_any_length_is_taken_or_refused(on_sqlite: Service) -> None:
    Console.of(on_sqlite, "ann@example.org")

    assert Console(on_sqlite).log_in("ann@example.org", "x" * 5000).status_code == 401
    assert Console(on_sqlite).log_in("ann@example.org", "").status_code == 401


def test_while_a_password_is_checked_others_are_written_down(on_sqlite: Service) -> None:
    Console.of(on_sqlite, "ann@example.org")
    operator = threading.Thread(target=lambda: Console(on_sqlite).log_in("ann@example.org", PASSWORD))
    visitor = threading.Thread(target=lambda: on_sqlite.sign_up("bob@example.org"))

    with passwords._turn:  # hashing takes as long as this is held
        operator.start()
        eventually(lambda: on_sqlite.one("SELECT count(*) FROM limit_counts"))
        visitor.start()
        visitor.join(timeout=120)
        assert on_sqlite.states() == {"bob@example.org": "pending"}
    operator.join(timeout=120)
    visitor.join(timeout=120)


def test_a_password_hashed_with_less_care_is_hashed_anew(service: Service) -> None:
    Console.of(service, "ann@example.org")
    weak = PasswordHasher(time_cost=1, memory_cost=8192).hash(PASSWORD)
    service.write(f"UPDATE operators SET password_hash = '{weak}'")

    assert Console(service).log_in("ann@example.org", PASSWORD).status_code == 303

    assert not passwords.wants_new_hash(service.one("SELECT password_hash FROM operators"))


def test_a_session_ends_after_some_idle_hours_and_after_two_weeks(service: Service) -> None:
    console = Console.of(service, "ann@example.org")
    kept = service.rows("SELECT seen_at, expires_at FROM operator_sessions")[0]
    for column, ago in (("seen_at", timedelta(hours=13)), ("expires_at", timedelta(days=15))):
        assert console.get("/operator/").status_code == 200
        moment = stored(service, now() - ago)
        service.write(f"UPDATE operator_sessions SET {column} = :moment", moment=moment)
        assert console.get("/operator/").status_code == 303
        service.write("UPDATE operator_sessions SET seen_at = :seen, expires_at = :ends",
                      seen=kept.seen_at, ends=kept.expires_at)  # fmt: skip


def test_being_seen_is_written_down_every_few_minutes_alone(service: Service) -> None:
    console = Console.of(service, "ann@example.org")
    seen = service.one("SELECT seen_at FROM operator_sessions")
    console.get("/operator/")
    assert service.one("SELECT seen_at FROM operator_sessions") == seen

    service.write(
        "UPDATE operator_sessions SET seen_at = :moment", moment=stored(service, now() - timedelta(hours=1))
    )
    console.get("/operator/")
    assert service.one("SELECT seen_at FROM operator_sessions") >= seen


def test_o3_a_network_that_tries_many_accounts_must_wait(service: Service) -> None:
    statuses = [Console(service).log_in(f"x{n}@example.org", GUESS).status_code for n in range(21)]

    assert statuses == [401] * 20 + [429]


def test_o3_the_mark_of_a_browser_helps_with_its_own_account_alone(service: Service) -> None:
    Console.of(service, "ann@example.org")
    stranger = Console.of(service, "bob@example.org")
    stranger.post("/operator/logout")

    statuses = [stranger.log_in("ann@example.org", GUESS).status_code for _ in range(11)]

    assert statuses[-1] == 429


def test_o3_who_must_wait_is_told_how_long(on_sqlite: Service) -> None:
    answer = [Console(on_sqlite).log_in("ann@example.org", GUESS) for _ in range(11)][-1]

    assert 0 < int(answer.headers["Retry-After"]) <= 900
    assert re.search(r"Please try again in 1[2-5] minutes\.", answer.text)
    assert "sign-ups" not in answer.text


def test_guesses_at_the_password_of_an_open_console_are_counted(service: Service) -> None:
    console = Console.of(service, "ann@example.org")
    console.switch_on_second_factor()
    off = "/operator/account/second-factor/off"

    statuses = [console.post(off, current=GUESS).status_code for _ in range(11)]

    assert statuses == [422] * 10 + [429]
    assert ("operator.password_failed", "ann@example.org") in audited(service)


def test_a_second_factor_is_switched_on_with_the_password_unless_it_was_told_just_now(
    service: Service,
) -> None:
    console = Console.of(service, "ann@example.org")
    service.write(
        "UPDATE operator_sessions SET created_at = :moment",
        moment=stored(service, now() - timedelta(minutes=11)),
    )
    page = console.get("/operator/account/second-factor").text
    code = pyotp.TOTP(page.split("secret: <code>")[1].split("<")[0]).now()

    assert console.post("/operator/account/second-factor", code=code, current=GUESS).status_code == 422
    assert service.one("SELECT totp_secret FROM operators") is None
    assert console.post("/operator/account/second-factor", code=code, current=PASSWORD).status_code == 200
    assert service.one("SELECT totp_secret FROM operators") is not None


def test_a_new_password_ends_log_ins_that_wait_for_their_second_factor(service: Service) -> None:
    owner = Console.of(service, "ann@example.org")
    secret, _ = owner.switch_on_second_factor()
    half_way = Console(service)
    half_way.log_in("ann@example.org", PASSWORD)
    owner.post("/operator/account/password", current=PASSWORD, password="another long password")

    code = pyotp.TOTP(secret).at(now() + timedelta(seconds=30))
    answer = half_way.post("/operator/login/code", code=code)

    assert answer.headers["Location"] == "/operator/login"
    assert half_way.get("/operator/").status_code == 303


def test_what_is_typed_at_the_door_is_kept_nowhere(service: Service) -> None:
    Console.of(service, "ann@example.org")
    Console(service).log_in("a password in the wrong field", GUESS)

    kept = str(service.rows("SELECT * FROM audit_events")) + str(service.rows("SELECT * FROM limit_counts"))
    assert ("login.failed", None) in audited(service)
    assert "wrong field" not in kept
    assert GUESS not in kept


@pytest.mark.parametrize(
    ("wanted", "leads_to"),
    [
        ("/operator/lists/daily?days=30", "/operator/lists/daily?days=30"),
        ("//evil.example/", "/operator/"),
        ("https://evil.example/operator/", "/operator/"),
        ("/operator/\\evil.example", "/operator/"),
        ("/operator/\r\nSet-Cookie: a=b", "/operator/"),
    ],
)
def test_a_log_in_leads_to_pages_of_the_console_alone(on_sqlite: Service, wanted: str, leads_to: str) -> None:
    console = Console.of(on_sqlite, "ann@example.org")
    console.post("/operator/logout")

    door = f"/operator/login?{urlencode({'next': wanted})}"
    answer = console.post(door, email="ann@example.org", password=PASSWORD)

    assert answer.headers["Location"] == leads_to


def test_whoever_is_not_logged_in_comes_back_to_where_they_wanted(on_sqlite: Service) -> None:
    Console.of(on_sqlite, "ann@example.org")

    answer = Console(on_sqlite).get("/operator/audit?action=login")

    assert answer.headers["Location"] == "/operator/login?next=/operator/audit?action%3Dlogin"

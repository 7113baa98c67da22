"""Sessions end when what an operator may do, or how they log in, is changed, and whoever comes with one is told
why (checklist O2)."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pyotp
import pytest
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from newsletter.domain import second_factor
from newsletter.domain.roles import Role
from newsletter.parts import parts
from newsletter.services import logins, operators
from newsletter.services.logins import TooManyAttempts
from tests.support.acting import reading, writing
from tests.support.operators import PASSWORD, Console, wrong_code
from tests.support.service import Service, now, path

Change = Callable[[Service, Console], None]
_ACCOUNT = "/operator/account"


def _command(*arguments: str) -> Change:
    return lambda service, _: service.command("operators", *arguments).check_returncode()


def _press(url: str, **fields: str) -> Change:
    def press(_: Service, here: Console) -> None:
        assert here.post(url, **fields).status_code in (200, 303)

    return press


def _disable_for_a_while(service: Service, _: Console) -> None:
    for switch in ("--disable", "--enable"):
        service.command("operators", "edit", "ann@example.org", switch)


# What is changed, by whom, why the others are told that they are logged out, and whether the browser in which it
# was changed stays logged in.
_CHANGES: dict[str, tuple[Change, str, bool]] = {
    "the password": (
        _press(f"{_ACCOUNT}/password", current=PASSWORD, password="another long password"),
        "your password was changed",
        True,
    ),
    "the second factor on": (
        lambda _, here: here.switch_on_second_factor() and None,
        "the second factor was switched on, and this browser logged in without it",
        True,
    ),
    "a role": (_command("edit", "ann@example.org", "--role", "viewer"), "what you may do was changed", False),
    "lists": (
        _command("edit", "ann@example.org", "--role", "editor", "--list", "daily"),
        "what you may do was changed",
        False,
    ),
    "disabled": (_command("edit", "ann@example.org", "--disable"), "your account was disabled", False),
    "disabled for a while": (
        _disable_for_a_while,
        "your account was disabled",
        False,
    ),
    "reset": (_command("reset", "ann@example.org"), "your password and second factor were reset", False),
}  # fmt: skip
_CHANGES_WITH_SECOND_FACTOR: dict[str, tuple[Change, str, bool]] = {
    "the second factor off": (
        _press(f"{_ACCOUNT}/second-factor/off", current=PASSWORD), "the second factor was switched off", True,
    ),
    "new recovery codes": (
        _press(f"{_ACCOUNT}/recovery-codes", current=PASSWORD), "new recovery codes were made", True,
    ),
}  # fmt: skip


def _log_in(service: Service, code: str | None = None) -> Console:
    console = Console(service)
    console.log_in("ann@example.org", PASSWORD)
    if code is not None:
        console.post("/operator/login/code", code=code)
    assert console.get("/operator/").status_code == 200
    return console


def _check(change: str, service: Service, here: Console, there: Console, half: Console | None) -> None:
    act, why, stays = (_CHANGES | _CHANGES_WITH_SECOND_FACTOR)[change]
    act(service, here)
    refused = there.client.get("/operator/lists/daily", base_url="https://news.example")
    told = there.get(refused.headers["Location"]).text

    assert (refused.status_code, here.get("/operator/").status_code) == (303, 200 if stays else 303)
    assert f"You were logged out because {why}. Please log in again." in told
    if half is not None:
        assert half.get("/operator/login/code").status_code == 303


@pytest.fixture
def ann(service: Service) -> Console:
    Console.of(service, "owner@example.org")  # the last owner could not be changed
    return Console.of(service, "ann@example.org")


@pytest.mark.parametrize("change", _CHANGES)
def test_o2_a_change_ends_what_was_opened_before_it_and_says_why(
    service: Service, ann: Console, change: str
) -> None:
    _check(change, service, ann, _log_in(service), None)


@pytest.mark.parametrize("change", _CHANGES_WITH_SECOND_FACTOR | {"the password": (), "a role": ()})
def test_o2_a_change_ends_log_ins_that_are_half_done(service: Service, ann: Console, change: str) -> None:
    ann.switch_on_second_factor()
    half = Console(service)
    half.log_in("ann@example.org", PASSWORD)
    assert half.get("/operator/login/code").status_code == 200
    service.write("UPDATE operators SET totp_step = 0")
    there = _log_in(service, pyotp.TOTP(_secret(service)).now())

    _check(change, service, ann, there, half)


def _secret(service: Service) -> str:
    found = reading(service, lambda session: operators.find_by_address(session, "ann@example.org"))
    assert found is not None
    assert found.totp_secret is not None
    secret = second_factor.unseal(found.totp_secret, service.settings.secret_keys, found.id)
    assert secret is not None
    return secret


def test_a_recovery_code_ends_all_sessions_but_the_one_that_it_opens(service: Service, ann: Console) -> None:
    _, codes = ann.switch_on_second_factor()
    there = _log_in(service, codes[0])

    assert (ann.get("/operator/").status_code, there.get("/operator/").status_code) == (303, 200)
    assert "somebody logged in with one of your recovery codes" in ann.get("/operator/login").text


def test_a_wrong_code_and_a_change_of_nothing_end_no_session(service: Service, ann: Console) -> None:
    secret, _ = ann.switch_on_second_factor()
    half = Console(service)
    half.log_in("ann@example.org", PASSWORD)
    half.post("/operator/login/code", code=wrong_code(secret))
    service.command("operators", "edit", "ann@example.org", "--role", "owner")

    assert ann.get("/operator/").status_code == 200
    assert half.get("/operator/login/code").status_code == 200


def test_an_owner_who_changes_their_own_rights_stays_here_and_is_out_elsewhere(
    service: Service, ann: Console
) -> None:
    there = _log_in(service)
    (own,) = service.rows("SELECT id FROM operators WHERE address = 'ann@example.org'")
    ann.post(f"/operator/operators/{UUID(str(own.id))}", role=Role.EDITOR.value, all_lists="yes")

    assert (ann.get("/operator/").status_code, there.get("/operator/").status_code) == (200, 303)


def test_where_one_is_logged_in_is_shown_without_what_has_ended(service: Service, ann: Console) -> None:
    _log_in(service)
    before = ann.get(_ACCOUNT).text.count(">End</button>")
    ann.switch_on_second_factor()

    assert (before, ann.get(_ACCOUNT).text.count(">End</button>")) == (1, 0)


def test_a_session_whose_time_was_over_is_told_nothing(service: Service, ann: Console) -> None:
    service.write(
        "UPDATE operator_sessions SET seen_at = :long_ago",
        long_ago=(now() - timedelta(days=1))
        if service.on_postgresql
        else (now() - timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%S.000000Z"),
    )

    assert ann.get("/operator/").status_code == 303
    assert "You were logged out" not in ann.get("/operator/login").text


def test_an_upgrade_ends_sessions_of_before_the_second_factor(service: Service, ann: Console) -> None:
    ann.switch_on_second_factor()
    owner = Console(service)
    owner.log_in("owner@example.org", PASSWORD)
    service.command("db", "downgrade", "0009")
    service.command("db", "upgrade")

    assert service.rows("SELECT generation, ended_because FROM operators ORDER BY identity") == [
        (2, "second_factor_on"), (1, None),
    ]  # fmt: skip


def _token(owner: Console, name: str, *scopes: str, **lists: str) -> None:
    answer = owner.post(
        "/operator/tokens", name=name, scopes=list(scopes), days="30", **(lists or {"all_lists": "yes"})
    )
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("change", "stay"),
    [
        (("--role", "owner"), {"all", "lists", "mine"}),
        (("--role", "editor", "--all-lists"), {"lists", "mine"}),
        (("--role", "editor", "--list", "daily"), {"mine"}),
        (("--role", "viewer", "--list", "daily"), set()),
        (("--disable",), set()),
    ],
)
def test_tokens_that_may_do_more_than_who_made_them_are_revoked_and_no_others(
    on_sqlite: Service, change: tuple[str, ...], stay: set[str]
) -> None:
    owner, ann = Console.of(on_sqlite, "owner@example.org"), Console.of(on_sqlite, "ann@example.org")
    _token(ann, "all", "webhooks")
    _token(ann, "lists", "exports")
    _token(ann, "mine", "exports", lists="daily")
    _token(owner, "another's", "admin")
    on_sqlite.command("operators", "edit", "ann@example.org", *change)
    valid = {name for (name,) in on_sqlite.rows("SELECT name FROM api_tokens WHERE revoked_at IS NULL")}

    assert valid == stay | {"another's"}


def test_o3_beside_a_stranger_who_guesses_an_owner_on_a_new_browser_is_told_a_way_on_and_has_it(
    service: Service, ann: Console
) -> None:
    ann.post("/operator/logout")
    stranger, new = Console(service), Console(service)
    for _ in range(11):
        refused = stranger.log_in("ann@example.org", "a wrong guess of it")
    told = new.log_in("ann@example.org", PASSWORD)
    about_nobody = [stranger.log_in("nobody@example.org", "a guess") for _ in range(11)][-1]
    link = path(service.command("operators", "link", "ann@example.org").stdout.split()[-1])

    assert (refused.status_code, told.status_code) == (429, 429)
    assert "newsletter operators link" in told.text
    assert "another network" in told.text
    # The page says nothing of the account: it is the same for an address that nobody has.
    assert [_words(told), about_nobody.status_code] == [_words(about_nobody), 429]
    assert new.get(link).status_code == 200
    assert new.log_in("ann@example.org", PASSWORD).status_code == 429  # looking has changed nothing
    assert new.post(link).headers["Location"] == "/operator/login"
    assert new.log_in("ann@example.org", PASSWORD).status_code == 303
    assert new.get("/operator/").status_code == 200


def _words(answer: TestResponse) -> str:
    return re.sub(r"in \d+ minutes|in a minute", "in a while", answer.text)


def test_o3_another_network_is_a_way_on_until_there_are_guesses_from_everywhere(on_sqlite: Service) -> None:
    Console.of(on_sqlite, "ann@example.org")

    def tries(number: int, network: str) -> list[int]:
        return [
            writing(
                on_sqlite,
                lambda session: _tried(session, network),
            )
            for _ in range(number)
        ]

    assert tries(11, "192.0.2.0") == [True] * 10 + [False]
    assert tries(1, "198.51.100.0") == [True]
    for n in range(10):
        tries(10, f"203.0.113.{n}")
    assert tries(1, "198.51.100.7") == [False]


def _tried(session: Session, network: str) -> bool:
    try:
        logins.check_attempts(session, now(), network=network, account="ann@example.org", device=None)
    except TooManyAttempts:
        return False
    return True


@pytest.mark.parametrize("link", ["reset", "cut short", "an hour old", "disabled"])
def test_a_link_for_a_browser_opens_nothing_where_it_is_none(on_sqlite: Service, link: str) -> None:
    Console.of(on_sqlite, "owner@example.org")
    Console.of(on_sqlite, "ann@example.org", role=Role.EDITOR)
    found = reading(on_sqlite, lambda session: operators.find_by_address(session, "ann@example.org"))
    assert found is not None
    made = now() - timedelta(minutes=61) if link == "an hour old" else now()
    with on_sqlite.app.app_context():
        token = parts().tickets.browser(found.id, now=made)
        other = parts().tickets.invitation(found.id, found.stamp, now=made)
    if link == "disabled":
        on_sqlite.command("operators", "edit", "ann@example.org", "--disable")
    url = f"/operator/browser/{ {'reset': other, 'cut short': token[:-3]}.get(link, token) }"

    answers = [Console(on_sqlite).get(url), Console(on_sqlite).post(url)]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert all("device" not in str(answer.headers) for answer in answers)

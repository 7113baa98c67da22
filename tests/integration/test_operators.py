"""Operators: invited, logged in, let in to what is theirs, and let out."""

from __future__ import annotations

import re
from datetime import timedelta
from uuid import uuid4

import pyotp
import pytest
from argon2 import Parameters, PasswordHasher, extract_parameters
from argon2.exceptions import VerifyMismatchError
from werkzeug.test import TestResponse

from newsletter.domain.roles import Role
from newsletter.extensions import csrf, db
from newsletter.services import operators
from tests.support.operators import PASSWORD, Console, invite, wrong_code
from tests.support.service import Service, now, path


def test_an_invitation_leads_to_a_password_and_into_the_console(service: Service) -> None:
    console = Console(service)
    link = invite(service, "ann@example.org")

    answer = console.post(path(link), password=PASSWORD)

    assert answer.status_code == 303
    assert console.get("/operator/").status_code == 200
    assert "ann@example.org" in console.get("/operator/").text


def test_an_invitation_counts_once_and_for_a_day(service: Service) -> None:
    link = path(invite(service, "ann@example.org"))
    Console(service).post(link, password=PASSWORD)
    assert Console(service).get(link).status_code == 404

    with service.app.app_context():
        from newsletter.parts import parts

        found = operators.find_by_address(db.session(), "ann@example.org")
        assert found is not None
        old = parts().tickets.invitation(found.id, found.stamp, now=now() - timedelta(hours=25))
        other = parts().links.unsubscribe_token(found.id)
    assert Console(service).get(f"/operator/welcome/{old}").status_code == 404
    assert Console(service).get(f"/operator/welcome/{other}").status_code == 404


@pytest.mark.parametrize(
    "password", ["short", "ann@example.org", "password1234", "1234567890123", "a" * 20, "x" * 201]
)
def test_a_password_that_is_easily_guessed_is_refused_with_a_reason(
    on_sqlite: Service, password: str
) -> None:
    link = path(invite(on_sqlite, "ann@example.org"))

    answer = Console(on_sqlite).post(link, password=password)

    assert answer.status_code == 422
    assert 'role="alert"' in answer.text


def test_o1_address_and_password_are_wrong_together(service: Service) -> None:
    Console.of(service, "ann@example.org")
    invite(service, "bob@example.org")
    texts = set()
    for email in ("ann@example.org", "bob@example.org", "nobody@example.org", "no address"):
        answer = Console(service).log_in(email, "not the password of anybody")
        assert answer.status_code == 401
        texts.add(answer.text.replace(email, "").split("<main")[1].replace(_token(answer), ""))
    assert len(texts) == 1


def test_o1_an_unknown_address_costs_what_a_known_one_does(
    on_sqlite: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hashing takes nearly all of the time: it is as much for either."""
    Console.of(on_sqlite, "ann@example.org")
    verify, hashed = PasswordHasher.verify, list[tuple[str, Parameters]]()

    def noted(hasher: PasswordHasher, stored: str, password: str) -> bool:
        with pytest.raises(VerifyMismatchError) as raised:  # which is known by hashing alone
            verify(hasher, stored, password)
        hashed.append((email, extract_parameters(stored)))
        raise raised.value

    monkeypatch.setattr(PasswordHasher, "verify", noted)
    for email in ("ann@example.org", "nobody@example.org"):
        Console(on_sqlite).log_in(email, "not the password of anybody")

    (known, cost), (unknown, same_cost) = hashed
    assert (known, unknown) == ("ann@example.org", "nobody@example.org")
    assert same_cost == cost


def test_o2_the_session_after_the_log_in_is_another_than_before(service: Service) -> None:
    Console.of(service, "ann@example.org")
    console = Console(service)
    console.get("/operator/login")
    before = console.cookie()
    console.log_in("ann@example.org", PASSWORD)

    assert console.cookie() != before
    planted = Console(service)
    planted.client.set_cookie("__Host-newsletter", before or "")
    assert planted.get("/operator/").status_code == 303


def test_o2_the_cookie_is_for_us_alone_and_for_no_script(on_sqlite: Service) -> None:
    Console.of(on_sqlite, "ann@example.org")
    answer = Console(on_sqlite).log_in("ann@example.org", PASSWORD)

    cookies = answer.headers.getlist("Set-Cookie")
    assert [one.partition("=")[0] for one in cookies] == ["__Host-newsletter-device", "__Host-newsletter"]
    for one in cookies:
        assert "Secure" in one
        assert "HttpOnly" in one
        assert "SameSite=Lax" in one
        assert "Path=/" in one
        assert "Domain" not in one


def test_o2_a_new_password_ends_all_other_sessions(service: Service) -> None:
    here, there = Console.of(service, "ann@example.org"), Console(service)
    there.log_in("ann@example.org", PASSWORD)
    assert there.get("/operator/").status_code == 200

    here.post("/operator/account/password", current=PASSWORD, password="another long password")

    assert here.get("/operator/").status_code == 200
    assert there.get("/operator/").status_code == 303


def test_logging_out_ends_the_session_for_whoever_copied_it(service: Service) -> None:
    console = Console.of(service, "ann@example.org")
    copy = console.cookie()
    console.post("/operator/logout")

    thief = Console(service)
    thief.client.set_cookie("__Host-newsletter", copy or "")
    assert thief.get("/operator/").status_code == 303


def test_who_is_disabled_is_out_at_once_and_stays_out(service: Service) -> None:
    Console.of(service, "owner@example.org")
    console = Console.of(service, "ann@example.org", role=Role.EDITOR)
    service.command("operators", "edit", "ann@example.org", "--disable")

    assert console.get("/operator/").status_code == 303
    assert Console(service).log_in("ann@example.org", PASSWORD).status_code == 401


def test_o3_who_guesses_must_wait_and_does_not_lock_the_owner_out(service: Service) -> None:
    owner = Console.of(service, "ann@example.org")
    owner.post("/operator/logout")
    answers = [Console(service).log_in("ann@example.org", "a wrong guess of it") for _ in range(11)]

    assert [answer.status_code for answer in answers] == [401] * 10 + [429]
    assert int(answers[-1].headers["Retry-After"]) > 0
    assert Console(service).log_in("ann@example.org", PASSWORD).status_code == 429
    assert owner.log_in("ann@example.org", PASSWORD).status_code == 303


def test_o5_the_second_factor_is_asked_for_and_counts_once(service: Service) -> None:
    console = Console.of(service, "ann@example.org")
    secret, _ = console.switch_on_second_factor()
    code = pyotp.TOTP(secret).at(now() + timedelta(seconds=30))

    first, second = Console(service), Console(service)
    for one in (first, second):
        one.log_in("ann@example.org", PASSWORD)
        assert one.get("/operator/").status_code == 303
    assert first.post("/operator/login/code", code=wrong_code(secret)).status_code == 401
    assert first.post("/operator/login/code", code=code).status_code == 303
    assert first.get("/operator/").status_code == 200
    assert second.post("/operator/login/code", code=code).status_code == 401


def test_the_secret_of_a_second_factor_is_encrypted_under_the_newest_key_of_each_log_in(
    service: Service,
) -> None:
    secret, codes = Console.of(service, "ann@example.org").switch_on_second_factor()
    kept = [service.one("SELECT totp_secret FROM operators")]
    rotated, forgotten = (_with_keys(service, keys) for keys in (f"{'k' * 40},{'n' * 40}", "n" * 40))

    assert _second_step(forgotten, _next_code(service, secret)) == 401  # by the old key, which is lost
    assert _second_step(forgotten, codes[0]) == 303
    assert _second_step(rotated, _next_code(service, secret)) == 303
    kept.append(service.one("SELECT totp_secret FROM operators"))
    assert _second_step(forgotten, _next_code(service, secret)) == 303
    assert len({secret, *kept}) == 3


def test_a_second_factor_that_was_kept_as_it_is_counts_and_is_encrypted_then(service: Service) -> None:
    secret, _ = Console.of(service, "ann@example.org").switch_on_second_factor()
    service.write("UPDATE operators SET totp_secret = :secret", secret=secret)

    assert _second_step(service, _next_code(service, secret)) == 303
    assert secret not in service.one("SELECT totp_secret FROM operators")


def _with_keys(service: Service, keys: str) -> Service:
    return Service(service.environ | {"NEWSLETTER_SECRET_KEYS": keys}, service.sink)


def _next_code(service: Service, secret: str) -> str:
    """A code that was not used yet."""
    service.write("UPDATE operators SET totp_step = NULL")
    return pyotp.TOTP(secret).now()


def _second_step(service: Service, code: str) -> int:
    console = Console(service)
    console.log_in("ann@example.org", PASSWORD)
    return console.post("/operator/login/code", code=code).status_code


def test_o5_each_recovery_code_counts_once(service: Service) -> None:
    _, codes = Console.of(service, "ann@example.org").switch_on_second_factor()
    assert len(set(codes)) == 10

    for expected in (303, 401):
        console = Console(service)
        console.log_in("ann@example.org", PASSWORD)
        assert console.post("/operator/login/code", code=codes[0].upper()).status_code == expected
    assert codes[0] not in str(service.rows("SELECT recovery_codes FROM operators"))


def test_the_second_factor_goes_off_by_the_password_alone(service: Service) -> None:
    console = Console.of(service, "ann@example.org")
    console.switch_on_second_factor()

    assert console.post("/operator/account/second-factor/off", current="a guess").status_code == 422
    assert console.post("/operator/account/second-factor/off", current=PASSWORD).status_code == 303
    assert Console(service).log_in("ann@example.org", PASSWORD).headers["Location"] == "/operator/"


def test_no_post_of_the_console_is_taken_without_its_token(on_sqlite: Service) -> None:
    console = Console.of(on_sqlite, "ann@example.org")
    posts = [
        rule
        for rule in on_sqlite.app.url_map.iter_rules()
        if rule.rule.startswith("/operator") and "POST" in (rule.methods or ())
    ]
    assert len(posts) > 10
    for rule in posts:
        values = {name: uuid4() if "uuid" in rule.rule else "daily" for name in rule.arguments}
        with on_sqlite.app.test_request_context():
            url = on_sqlite.app.url_map.bind("news.example").build(rule.endpoint, values, "POST")
        assert console.client.post(url, base_url="https://news.example").status_code == 400, rule
        assert rule.endpoint not in {view.rpartition(".")[2] for view in csrf._exempt_views}


def test_only_owners_see_operators_tokens_and_the_audit_log(service: Service) -> None:
    for role, status in ((Role.OWNER, 200), (Role.EDITOR, 403), (Role.VIEWER, 403)):
        console = Console.of(service, f"{role}@example.org", role=role)
        for page in ("operators", "tokens", "audit"):
            assert console.get(f"/operator/{page}").status_code == status


def test_the_last_owner_cannot_be_taken_away(service: Service) -> None:
    Console.of(service, "ann@example.org")

    failed = service.command("operators", "edit", "ann@example.org", "--role", "viewer", check=False)

    assert failed.returncode == 1
    assert "only owner" in failed.stderr


def test_an_operator_of_one_list_sees_no_other(service: Service) -> None:
    service.command("lists", "add", "sport", "--name", "Sport")
    console = Console.of(service, "ann@example.org", role=Role.EDITOR, slugs=["sport"])

    page = console.get("/operator/").text

    assert "Sport" in page
    assert "Daily News" not in page


def test_what_was_done_is_in_the_log_and_cannot_be_taken_out(service: Service) -> None:
    console = Console.of(service, "ann@example.org")
    console.post("/operator/operators", email="bob@example.org", role="viewer", all_lists="yes")
    console.log_in("ann@example.org", "a wrong guess of it")

    actions = [action for (action,) in service.rows("SELECT action FROM audit_events ORDER BY id")]
    assert actions == ["operator.added", "operator.password_set", "login", "operator.added", "login.failed"]
    for statement in ("DELETE FROM audit_events", "UPDATE audit_events SET actor = 'nobody'"):
        with pytest.raises(Exception, match="append-only"):
            service.write(statement)
    assert "operator.added" in console.get("/operator/audit").text


def test_a_token_is_shown_once_and_ends_when_it_is_revoked(service: Service) -> None:
    console = Console.of(service, "ann@example.org")
    page = console.post("/operator/tokens", name="Sync", scopes="exports", all_lists="yes", days="30").text
    text = re.search(r"nlt_[\w-]{43}", page)
    assert text
    assert text[0] not in console.get("/operator/tokens").text
    assert text[0] not in str(service.rows("SELECT * FROM api_tokens"))

    (identifier,) = re.findall(r"/operator/tokens/([0-9a-f-]{36})/revoke", page)
    asked = console.post(f"/operator/tokens/{identifier}/revoke")
    assert "cannot be undone" in asked.text
    assert service.one("SELECT count(*) FROM api_tokens WHERE revoked_at IS NULL") == 1
    console.post(f"/operator/tokens/{identifier}/revoke", confirmed="yes")
    assert service.one("SELECT count(*) FROM api_tokens WHERE revoked_at IS NULL") == 0


def test_the_commands_make_show_and_revoke_tokens(service: Service) -> None:
    made = service.command("tokens", "add", "Sync", "--scope", "exports", "--list", "daily").stdout.strip()
    assert re.fullmatch(r"nlt_[\w-]{43}", made)

    assert "Sync: exports; daily; until" in service.command("tokens", "show").stdout
    assert "is revoked" in service.command("tokens", "revoke", made[:12]).stdout
    assert "revoked" in service.command("tokens", "show").stdout


def test_visitors_have_no_session(on_sqlite: Service) -> None:
    console = Console.of(on_sqlite, "ann@example.org")
    answer = console.get("/")

    assert "Set-Cookie" not in answer.headers
    assert "Cookie" not in answer.headers.get("Vary", "")


def _token(answer: TestResponse) -> str:
    found = re.search(r'name="csrf_token" value="([^"]+)"', answer.text)
    assert found
    return found[1]


@pytest.mark.parametrize("lists", [{}, {"all_lists": "yes", "lists": "daily"}, {"lists": "nowhere"}])
def test_which_lists_are_meant_must_be_clear(service: Service, lists: dict[str, str]) -> None:
    console = Console.of(service, "ann@example.org")

    invited = console.post("/operator/operators", email="bob@example.org", role="editor", **lists)
    made = console.post("/operator/tokens", name="Sync", scopes="exports", days="30", **lists)

    assert (invited.status_code, made.status_code) == (422, 422)
    assert "bob@example.org" in invited.text  # what was typed is not lost
    assert service.one("SELECT count(*) FROM operators") == 1
    assert service.one("SELECT count(*) FROM api_tokens") == 0


@pytest.mark.parametrize("days", ["0", "-1", "3651", "9" * 5000, "²", "soon", ""])
def test_a_token_does_not_live_for_a_time_that_makes_no_sense(on_sqlite: Service, days: str) -> None:
    console = Console.of(on_sqlite, "ann@example.org")

    answer = console.post("/operator/tokens", name="Sync", scopes="exports", all_lists="yes", days=days)

    assert answer.status_code == 422
    assert "1 to 3650 days" in answer.text


def test_a_token_may_live_for_ever(service: Service) -> None:
    console = Console.of(service, "ann@example.org")
    console.post("/operator/tokens", name="One", scopes="exports", all_lists="yes", days="never")
    service.command("tokens", "add", "Two", "--scope", "exports", "--never-expires")

    assert service.one("SELECT count(*) FROM api_tokens WHERE expires_at IS NULL") == 2
    assert "for ever" in service.command("tokens", "show").stdout


def test_the_audit_log_is_read_in_pages_by_list_and_by_what_was_done(service: Service) -> None:
    console = Console.of(service, "ann@example.org")
    for number in range(60):
        service.write(
            "INSERT INTO audit_events (at, actor, action, list_id, subject, details) "
            f"SELECT created_at, 'ann', 'list.edited', id, 'deed {number}.', '{{}}' FROM mailing_lists"
        )

    first = console.get("/operator/audit?list=daily&action=list.edited").text
    (older,) = re.findall(r'rel="next" href="([^"]+)"', first)
    second = console.get(older.replace("&amp;", "&")).text

    assert ("deed 59." in first, "deed 10." in first, "deed 9." in first) == (True, True, False)
    assert ("deed 9." in second, "deed 0." in second, "operator.added" in second) == (True, True, False)
    assert 'rel="next"' not in second
    assert console.get("/operator/audit?list=nowhere").status_code == 404
    assert console.get("/operator/audit?before=x&action=%27").status_code == 200


def test_pages_of_the_console_are_kept_by_nobody_and_framed_nowhere(on_sqlite: Service) -> None:
    console = Console.of(on_sqlite, "ann@example.org")

    for page in ("/operator/login", "/operator/", "/operator/lists/nowhere"):
        headers = console.get(page).headers
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Robots-Tag"] == "noindex, nofollow"
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]

"""A relay that refuses, drops or limits, at any step: no mail is lost, and none pays for what is not its fault."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress

import pytest

from newsletter.domain.retry import is_about_connections
from newsletter.mail import worker
from newsletter.mail.compose import Letter
from newsletter.mail.transport import RelayDown, SmtpTransport
from newsletter.models.outbox import Lane
from newsletter.settings import Relay
from tests.support.outbox import fill
from tests.support.service import Service, eventually
from tests.support.smtp import DROP, STEPS
from tests.support.working import working

_MAILS = 16
_LETTER = Letter("news@news.example", "ann@example.org", "<1@news.example>", b"Subject: x\r\n\r\nx\r\n")


def _make_due(service: Service) -> None:
    service.write("UPDATE outbox SET next_attempt_at = created_at")


def _send(service: Service) -> None:
    """Send what is due, as far as the relay lets it."""
    with suppress(RelayDown):
        service.send_mail()


@pytest.mark.parametrize("answer", ["421 4.3.2 closing", DROP], ids=["421", "drop"])
@pytest.mark.parametrize("step", STEPS)
def test_s5_a_relay_that_ends_every_session_at_a_step_costs_a_few_mails_an_attempt_at_most(
    on_sqlite: Service, step: str, answer: str
) -> None:
    fill(on_sqlite, _MAILS, lane=Lane.INTERACTIVE, domain="d{n}.example")
    on_sqlite.sink.on_step = lambda here, _about: answer if here == step else None
    for _ in range(3):
        _send(on_sqlite)
        _make_due(on_sqlite)

    waiting = set(on_sqlite.statuses())
    assert waiting <= {"queued", "awaiting_retry"}
    in_doubt = (step == "dot" and answer == DROP) or (step == "data" and answer == DROP)
    tried = on_sqlite.one("SELECT count(*) FROM outbox WHERE attempts > 0")
    # What may have left is not sent again at once; all else is the relay's affair.
    assert tried <= (_MAILS if in_doubt else 3 * worker._INTERRUPTED)
    assert tried == 0 or step in ("mail", "rcpt", "data", "dot")

    on_sqlite.sink.on_step = lambda _here, _about: None
    _make_due(on_sqlite)
    on_sqlite.send_mail()
    assert on_sqlite.statuses() == ["sent"] * _MAILS
    assert set(Counter(mail.recipient for mail in on_sqlite.sink.mails).values()) == {1}


def test_greylisted_mails_leave_later_and_once(service: Service) -> None:
    fill(service, 10, lane=Lane.INTERACTIVE)
    met: set[str] = set()

    def greylist(step: str, about: str) -> str | None:
        if step != "rcpt" or about in met:
            return None
        met.add(about)
        return "451 4.7.1 greylisted, come again"

    service.sink.on_step = greylist
    service.send_mail()
    assert service.rows("SELECT DISTINCT status, attempts FROM outbox") == [("awaiting_retry", 1)]
    _make_due(service)
    service.send_mail()

    assert service.statuses() == ["sent"] * 10
    assert len(service.sink.mails) == 10


def test_a_relay_that_takes_few_connections_is_sent_all_over_those(service: Service) -> None:
    service.sink.most = 2
    fill(service, 60)
    service.send_mail()

    assert service.rows("SELECT DISTINCT status, attempts FROM outbox") == [("sent", 1)]
    assert service.sink.most_open <= 2


@pytest.mark.parametrize("step", ["mail", "rcpt", "dot"])
def test_a_relay_that_says_so_within_the_session_is_sent_all_over_fewer(
    on_sqlite: Service, step: str
) -> None:
    sink = on_sqlite.sink
    sink.on_step = lambda here, _about: (
        "432 4.3.2 Concurrent connections limit exceeded" if here == step and sink.open > 3 else None
    )
    fill(on_sqlite, 60)
    on_sqlite.send_mail()
    _make_due(on_sqlite)
    on_sqlite.send_mail()

    assert on_sqlite.statuses() == ["sent"] * 60
    assert Counter(mail.recipient for mail in sink.mails).most_common(1)[0][1] == 1
    assert on_sqlite.one("SELECT count(*) FROM alarms") == 0
    assert on_sqlite.one("SELECT max(attempts) FROM outbox") == 1


@pytest.mark.parametrize(
    ("reply", "is_it"),
    [
        ("432 4.3.2 Concurrent connections limit exceeded", True),
        ("451 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded", True),
        ("421 4.7.0 mx.example Error: too many connections from 192.0.2.1", True),
        ("452 Too many concurrent SMTP connections", True),
        ("450 4.7.1 <ann@example.org>: greylisted", False),
        ("452 4.5.3 too many recipients", False),
        ("554 5.7.1 too many connections", False),
    ],
)
def test_a_limit_of_connections_is_known_by_its_words(reply: str, is_it: bool) -> None:
    assert is_about_connections(reply) is is_it


def test_a_relay_that_does_not_take_our_login_costs_no_mail_an_attempt(
    make_service: Callable[..., Service],
) -> None:
    service = make_service("sqlite")
    url = service.sink.url.replace("smtp://", "smtp://news:secret@")
    service = Service({**service.environ, "NEWSLETTER_SMTP_URL": url}, service.sink)
    fill(service, 10, domain="d{n}.example")
    service.sink.takes_login = False
    for _ in range(3):
        with pytest.raises(RelayDown, match="535"):
            service.send_mail()
    assert service.rows("SELECT DISTINCT status, attempts FROM outbox") == [("queued", 0)]

    service.sink.takes_login = True
    service.send_mail()
    assert service.rows("SELECT DISTINCT status, attempts FROM outbox") == [("sent", 1)]


def test_a_relay_that_comes_back_is_tried_with_one_mail_and_gets_the_rest_then(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "relay_pause", lambda *_: 0.05)
    tried: list[str] = []

    def refuse(step: str, _about: str) -> str | None:
        tried.extend([step] if step == "connect" else [])
        return "421 4.3.2 not now" if step == "connect" and len(tried) < 11 else None

    service.sink.on_step = refuse
    fill(service, 12, domain="d{n}.example")
    with working(service):
        eventually(lambda: len(service.sink.mails) == 12)

    assert service.rows("SELECT DISTINCT status, attempts FROM outbox") == [("sent", 1)]


def test_a_session_in_which_our_own_question_failed_is_not_used_again(on_sqlite: Service) -> None:
    relay = SmtpTransport(Relay("127.0.0.1", on_sqlite.sink.port, "opportunistic"))

    def fail() -> bool:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        relay.send(_LETTER, still_wanted=fail)
    relay.send(_LETTER, still_wanted=lambda: True)
    relay.close()

    assert len(on_sqlite.sink.mails) == 1


def test_what_has_begun_to_leave_is_not_given_up(on_sqlite: Service) -> None:
    relay = SmtpTransport(Relay("127.0.0.1", on_sqlite.sink.port, "opportunistic"))
    given_up: list[bool] = [relay.give_up()]
    on_sqlite.sink.on_data = lambda _mail: given_up.append(relay.give_up())
    relay.send(_LETTER, still_wanted=lambda: True)
    given_up.append(relay.give_up())
    relay.close()

    assert given_up == [False, False, False]
    assert len(on_sqlite.sink.mails) == 1

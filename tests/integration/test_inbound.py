"""Mail that comes back: what it does, and what it cannot do."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from newsletter.database import rfc3339
from newsletter.dead_letters import MOST
from newsletter.mail.inbound import Fate
from newsletter.services.suppress import reasons
from newsletter.services.take_return import Taken
from tests.integration.test_changing_address import NEW, ask, new_path
from tests.support.acting import reading
from tests.support.operators import Console
from tests.support.receiver import receiving
from tests.support.returning import DOMAIN, WITH_DOMAIN, arf, auto_reply, dsn, fields, junk, take, wish, words
from tests.support.service import Service, now, path
from tests.support.smtp import Received
from tests.support.webhooks import add


@pytest.fixture(params=["sqlite", "postgresql"])
def service(request: pytest.FixtureRequest, make_service: Callable[..., Service]) -> Service:
    """A service whose mail comes back."""
    return make_service(request.param, **WITH_DOMAIN)


@pytest.fixture
def on_sqlite(make_service: Callable[..., Service]) -> Service:
    return make_service("sqlite", **WITH_DOMAIN)


def _mailto(mail: Received) -> str:
    """The address to leave by, as a mail program finds it."""
    return str(mail.message["List-Unsubscribe"]).partition("<mailto:")[2].partition("?")[0]


def _dead(service: Service) -> list[Path]:
    return sorted(service.settings.dead_letters_dir.glob("*.eml"))


def test_u1_mail_leaves_from_a_return_path_and_offers_to_leave_by_mail(on_sqlite: Service) -> None:
    mail = on_sqlite.confirmed()

    assert mail.sender.startswith("bounce-")
    assert mail.sender.endswith(f"@{DOMAIN}")
    assert str(mail.message["From"]) == "Daily News <news@news.example>"
    (line,) = [line for line in mail.headers.split(b"\r\n") if line.startswith(b"List-Unsubscribe:")]
    assert line.startswith(b"List-Unsubscribe: <https://news.example/unsubscribe/")
    assert line.endswith(f"@{DOMAIN}?subject=unsubscribe>".encode())
    assert line.count(b"<") == 2
    assert len(line) <= 998
    assert b"List-Unsubscribe-Post: List-Unsubscribe=One-Click" in mail.headers


def test_without_a_domain_mail_is_as_it_was(make_service: Callable[..., Service]) -> None:
    mail = make_service("sqlite").confirmed()

    assert mail.sender == "news@news.example"
    assert b"mailto:" not in mail.headers


def test_b1_b2_a_bounce_ends_the_subscription_of_whom_the_mail_went_to(service: Service) -> None:
    mail = service.confirmed("ann@example.org")
    service.confirmed("bob@example.org")

    # The report names somebody else, and another reader: neither is believed.
    naming_bob = dsn(recipient="bob@example.org", more=fields("bob@example.org", "failed", "5.1.1"))
    assert take(service, mail.sender.upper(), naming_bob) is Taken.SUPPRESSED

    assert service.states() == {"ann@example.org": "bounced", "bob@example.org": "confirmed"}
    assert service.rows("SELECT kind, way FROM consent_events ORDER BY id DESC LIMIT 1") == [
        ("bounce", "mail")
    ]


def test_a_replayed_bounce_does_not_end_what_was_begun_anew(service: Service) -> None:
    mail = service.confirmed()
    take(service, mail.sender, dsn())
    service.write("DELETE FROM suppressions")
    service.age(days=40)
    service.confirmed()

    assert take(service, mail.sender, dsn()) is Taken.REPLAYED
    assert service.states() == {"ann@example.org": "confirmed"}


def test_a_bounce_at_a_new_address_is_not_held_against_the_present_one(service: Service) -> None:
    service.confirmed("ann@example.org")
    bounced: list[Taken | Fate] = []

    def bounce(mail: Received) -> None:
        """The report is quicker than the relay's answer to us."""
        if mail.recipient == "typo@example.org":
            bounced.append(take(service, mail.sender, dsn(status="4.4.7", diagnostic="smtp; 451 4.4.7 x")))
            bounced.append(take(service, mail.sender, dsn()))

    ask(service, "typo@example.org")
    service.sink.on_data = bounce
    service.send_mail()

    assert bounced == [Taken.NOBODY, Taken.SUPPRESSED]
    assert service.states() == {"ann@example.org": "confirmed"}
    assert _suppressed(service, "ann@example.org", "typo@example.org") == {"typo@example.org": "bounce"}


def test_who_complains_about_a_mail_to_an_address_they_never_gave_gets_no_other(service: Service) -> None:
    service.confirmed("ann@example.org")
    ask(service, "bob@example.org")
    (mail,) = service.mail_to("bob@example.org")

    assert take(service, f"feedback@{DOMAIN}", arf(b"\r\n", return_path=mail.sender)) is Taken.SUPPRESSED
    assert service.states() == {"ann@example.org": "confirmed"}
    assert _suppressed(service, "ann@example.org", "bob@example.org") == {"bob@example.org": "complaint"}


def test_such_a_complaint_is_known_by_the_link_that_stops_the_change(service: Service) -> None:
    service.confirmed("ann@example.org")
    ask(service, "bob@example.org")
    (mail,) = service.mail_to("bob@example.org")

    assert take(service, f"feedback@{DOMAIN}", arf(mail.raw)) is Taken.SUPPRESSED
    assert service.states() == {"ann@example.org": "confirmed"}
    assert _suppressed(service, "ann@example.org", "bob@example.org") == {"bob@example.org": "complaint"}


def test_b2_a_complaint_about_a_mail_to_an_earlier_address_ends_nothing_of_the_present_one(
    service: Service,
) -> None:
    first = service.confirmed("ann@example.org")
    ask(service, NEW)
    service.client.post(new_path(service))

    assert take(service, f"feedback@{DOMAIN}", arf(first.raw)) is Taken.SUPPRESSED
    assert service.states() == {NEW: "confirmed"}
    assert _suppressed(service, "ann@example.org", NEW) == {"ann@example.org": "complaint"}


def test_who_complained_at_an_earlier_address_is_heard_at_the_present_one_too(service: Service) -> None:
    first = service.confirmed("ann@example.org")
    ask(service, NEW)
    service.client.post(new_path(service))
    take(service, f"feedback@{DOMAIN}", arf(first.raw))
    of_some_mail = first.raw.replace(b"Message-ID:", b"X-Message-ID:")

    assert take(service, f"feedback@{DOMAIN}", arf(of_some_mail)) is Taken.SUPPRESSED
    assert service.states() == {NEW: "complained"}
    for again in (first.raw, of_some_mail):
        assert take(service, f"feedback@{DOMAIN}", arf(again)) is Taken.REPLAYED


def test_b4_who_complained_and_takes_a_change_back_is_not_mailed_again(service: Service) -> None:
    service.confirmed("ann@example.org")
    ask(service, NEW)
    service.client.post(new_path(service))
    notice = next(mail for mail in service.mail_to("ann@example.org") if "/not-me/" in mail.part("plain"))
    take(service, f"feedback@{DOMAIN}", arf(b"\r\n", return_path=notice.sender))

    assert service.client.post(path(notice.link("not-me"))).status_code == 200

    assert service.states() == {"ann@example.org": "complained"}


def test_a_new_address_that_the_relay_refuses_is_suppressed_alone(service: Service) -> None:
    service.confirmed("ann@example.org")
    ask(service, "typo@example.org")
    service.sink.on_rcpt = lambda address: "550 5.1.1 no such user" if address.startswith("typo") else None
    service.send_mail()

    assert service.states() == {"ann@example.org": "confirmed"}
    assert _suppressed(service, "ann@example.org", "typo@example.org") == {"typo@example.org": "bounce"}


def _suppressed(service: Service, *addresses: str) -> dict[str, str]:
    return reading(service, lambda session: reasons(session, service.settings, set(addresses)))


def test_a_bounced_subscription_is_told_to_webhooks(make_service: Callable[..., Service]) -> None:
    service = make_service("sqlite", NEWSLETTER_WEBHOOKS_TO_PRIVATE="on", **WITH_DOMAIN)
    mail = service.confirmed()
    service.work()
    with receiving() as receiver:
        add(service, receiver.url, ["bounced"])
        take(service, mail.sender, dsn())
        service.work()

    assert receiver.types == ["subscription.bounced"]


def test_b1_a_delay_changes_nothing(on_sqlite: Service) -> None:
    mail = on_sqlite.confirmed()

    assert take(on_sqlite, mail.sender, dsn(action="delayed", status="4.4.1")) is Fate.IGNORED
    assert on_sqlite.one("SELECT count(*) FROM mail_returns") == 0


@pytest.mark.parametrize("feedback", ["abuse", "fraud"])
def test_b4_a_complaint_is_known_by_the_mail_it_encloses(service: Service, feedback: str) -> None:
    mail = service.confirmed()
    service.confirmed("bob@example.org")

    assert take(service, f"feedback@{DOMAIN}", arf(mail.raw, feedback=feedback)) is Taken.SUPPRESSED
    assert service.states() == {"ann@example.org": "complained", "bob@example.org": "confirmed"}


def test_b4_a_complaint_is_known_by_the_return_path_that_the_receiver_noted(on_sqlite: Service) -> None:
    mail = on_sqlite.confirmed()
    bare = b"Subject: Please confirm\r\n\r\nx\r\n"

    assert take(on_sqlite, f"feedback@{DOMAIN}", arf(bare, return_path=mail.sender)) is Taken.SUPPRESSED


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="Microsoft's"),
        pytest.param({"mark": "", "Subject": "Email Abuse Report"}, id="somebody's subject"),
        pytest.param(
            {"mark": "", "Subject": "FW: News", "From": "fbl@mailbox.example"}, id="a feedback loop"
        ),
    ],
)
def test_b4_a_junk_report_without_a_feedback_part_counts_by_what_it_encloses(
    on_sqlite: Service, headers: dict[str, str]
) -> None:
    mail = on_sqlite.confirmed()

    assert take(on_sqlite, f"feedback@{DOMAIN}", junk(mail.raw, **headers)) is Taken.SUPPRESSED
    assert on_sqlite.states() == {"ann@example.org": "complained"}


def test_b2_a_junk_report_that_encloses_no_token_of_ours_does_nothing(on_sqlite: Service) -> None:
    mail = on_sqlite.confirmed()
    named = b"To: ann@example.org\r\nList-Unsubscribe: <%s>\r\n\r\nx\r\n"
    forged = mail.link("unsubscribe")[:-4] + "AAAA"

    for link in (forged, "https://elsewhere.example/unsubscribe/x", f"mailto:unsubscribe-x@{DOMAIN}"):
        assert take(on_sqlite, f"feedback@{DOMAIN}", junk(named % link.encode())) is Fate.DEAD
    assert on_sqlite.states() == {"ann@example.org": "confirmed"}


def test_what_is_not_said_to_be_junk_is_no_complaint(on_sqlite: Service) -> None:
    mail = on_sqlite.confirmed()
    unmarked = {"mark": "", "From": "bob@example.org"}
    filtered = junk(mail.raw, mark="", From="filter@mx.example", Subject="Spam notification")

    for subject in ("Fwd: Please confirm", "Re: spam report", "This is not spam report"):
        assert take(on_sqlite, f"feedback@{DOMAIN}", junk(mail.raw, **unmarked, Subject=subject)) is Fate.DEAD
    # A filter's refusal comes to the return path, and may speak of spam.
    assert take(on_sqlite, mail.sender, filtered) is Fate.DEAD
    assert on_sqlite.states() == {"ann@example.org": "confirmed"}


def test_b4_other_feedback_suppresses_nobody(on_sqlite: Service) -> None:
    mail = on_sqlite.confirmed()

    for feedback in ("not-spam", "virus", "other", "auth-failure", ""):
        assert take(on_sqlite, f"feedback@{DOMAIN}", arf(mail.raw, feedback=feedback)) is Fate.IGNORED
    assert on_sqlite.states() == {"ann@example.org": "confirmed"}


def test_b2_a_complaint_that_only_names_an_address_complains_about_nobody(on_sqlite: Service) -> None:
    on_sqlite.confirmed("bob@example.org")  # whom the report names

    assert take(on_sqlite, f"feedback@{DOMAIN}", arf(b"To: bob@example.org\r\n\r\nx\r\n")) is Fate.DEAD
    assert on_sqlite.states() == {"bob@example.org": "confirmed"}


def test_leaving_by_mail_is_as_good_as_one_click(service: Service) -> None:
    mail = service.confirmed()

    assert take(service, _mailto(mail), wish(), sender="ann@example.org") is Taken.UNSUBSCRIBED
    again = wish(Message_ID="<u2@example.org>")
    assert take(service, _mailto(mail).upper(), again, sender="ann@example.org") is Taken.IGNORED

    assert service.states() == {"ann@example.org": "unsubscribed"}
    assert service.rows("SELECT kind, way FROM consent_events ORDER BY id DESC LIMIT 1") == [
        ("unsubscribe", "mailto")
    ]
    assert service.client.post(path(mail.link("unsubscribe"))).status_code == 200


def test_a_replayed_wish_to_leave_does_not_end_what_was_begun_anew(service: Service) -> None:
    mail = service.confirmed()
    take(service, _mailto(mail), wish(), sender="ann@example.org")
    service.age(days=40)
    service.confirmed()

    assert take(service, _mailto(mail), wish(), sender="ann@example.org") is Taken.REPLAYED
    assert service.states() == {"ann@example.org": "confirmed"}


NO_WISHES = {
    "an automatic answer": (auto_reply(Auto_Submitted="auto-replied"), "ann@example.org"),
    "Exchange's": (auto_reply(X_Auto_Response_Suppress="All"), "ann@example.org"),
    "an older one": (auto_reply(X_Autoreply="yes"), "ann@example.org"),
    "a bulk one": (auto_reply(Precedence="bulk"), "ann@example.org"),
    "by its subject": (auto_reply(Subject="Automatic reply: unsubscribe"), "ann@example.org"),
    "from a mail system, by a name alone": (
        wish(From="Postmaster <x@x.example>", Subject="Undelivered"),
        "x@x.example",
    ),
    "from nobody": (wish(), ""),
    "from a mail system": (wish(From="MAILER-DAEMON@x.example"), "<>"),
    "from a mail system, as Postfix writes it": (wish(), "MAILER-DAEMON"),
    "a null return path in its headers": (wish(Return_Path="<>"), None),
    "a bounce": (dsn(), ""),
}


def test_what_no_person_wrote_is_no_wish_to_leave(on_sqlite: Service) -> None:
    mail = on_sqlite.confirmed()

    became = {
        name: take(on_sqlite, _mailto(mail), raw, sender=sender) for name, (raw, sender) in NO_WISHES.items()
    }

    assert became == dict.fromkeys(NO_WISHES, Fate.IGNORED)
    assert on_sqlite.states() == {"ann@example.org": "confirmed"}


def test_out_of_office_is_no_bounce(on_sqlite: Service) -> None:
    mail = on_sqlite.confirmed()

    assert take(on_sqlite, mail.sender, auto_reply(Auto_Submitted="auto-replied")) is Fate.IGNORED
    assert on_sqlite.states() == {"ann@example.org": "confirmed"}
    assert _dead(on_sqlite) == []


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(wish(X_Apple_Unsubscribe="true", Auto_Submitted="auto-replied"), id="Apple's"),
        pytest.param(
            wish(Subject="x", X_Apple_Unsubscribe="true", Auto_Submitted="auto-replied"), id="with any subject"
        ),
        pytest.param(wish(Auto_Submitted="auto-generated"), id="our subject"),
        pytest.param(wish(Subject="Unsubscribe", Auto_Submitted="auto-replied", Precedence="bulk"), id="marked twice"),
        pytest.param(wish(X_Auto_Response_Suppress="All"), id="from Exchange"),
        pytest.param(wish(From="postmaster@shop.example"), id="of whoever is the postmaster"),
    ],
)  # fmt: skip
def test_a_mail_program_that_leaves_for_its_user_is_obeyed_though_it_calls_that_automatic(
    on_sqlite: Service, raw: bytes
) -> None:
    mail = on_sqlite.confirmed()

    assert take(on_sqlite, _mailto(mail), raw, sender="ann@example.org") is Taken.UNSUBSCRIBED
    assert on_sqlite.states() == {"ann@example.org": "unsubscribed"}


def test_apples_wish_to_leave_is_obeyed_where_bounces_come_and_nowhere_without_a_token(
    service: Service,
) -> None:
    mail = service.confirmed()
    leaving = wish(X_Apple_Unsubscribe="true", Auto_Submitted="auto-replied")

    assert take(service, f"feedback@{DOMAIN}", leaving) is Fate.DEAD
    assert service.states() == {"ann@example.org": "confirmed"}
    assert take(service, mail.sender, leaving, sender="ann@example.org") is Taken.UNSUBSCRIBED
    assert take(service, mail.sender, leaving, sender="ann@example.org") is Taken.REPLAYED
    assert service.states() == {"ann@example.org": "unsubscribed"}
    assert service.counts()["suppressions"] == 0


def test_a_feedback_report_to_opt_out_leaves_and_suppresses_nobody(on_sqlite: Service) -> None:
    mail = on_sqlite.confirmed()

    assert take(on_sqlite, f"feedback@{DOMAIN}", arf(mail.raw, feedback="opt-out")) is Taken.UNSUBSCRIBED
    assert on_sqlite.states() == {"ann@example.org": "unsubscribed"}
    assert on_sqlite.counts()["suppressions"] == 0


@pytest.mark.parametrize("subject", ["Automatic unsubscribe request", "Away from now on", "Vacation", ""])
def test_a_wish_to_leave_is_granted_whatever_its_subject(on_sqlite: Service, subject: str) -> None:
    mail = on_sqlite.confirmed()

    assert (
        take(on_sqlite, _mailto(mail), wish(Subject=subject), sender="ann@example.org") is Taken.UNSUBSCRIBED
    )


def test_a_wish_to_leave_is_granted_whatever_else_the_mail_holds(on_sqlite: Service) -> None:
    mail = on_sqlite.confirmed()
    deep = (
        wish(Content_Type="multipart/mixed; boundary=a") + b"--a\r\nContent-Type: multipart/mixed\r\n" * 3000
    )

    assert take(on_sqlite, _mailto(mail), deep, sender="ann@example.org") is Taken.UNSUBSCRIBED


def test_b6_hostile_mail_is_laid_aside_and_the_next_is_read(on_sqlite: Service) -> None:
    mail = on_sqlite.confirmed()
    deep = b"".join(b"Content-Type: multipart/mixed; boundary=%d\n\n--%d\n" % (n, n) for n in range(2000))

    assert take(on_sqlite, mail.sender, deep) is Fate.DEAD
    (letter,) = _dead(on_sqlite)
    assert letter.stat().st_mode & 0o777 == 0o600
    assert letter.parent.stat().st_mode & 0o777 == 0o700
    text = letter.read_bytes()
    assert text.startswith(
        f"X-Dead-Letter: more than 50 parts in parts; recipient={mail.sender}\r\n".encode()
    )
    assert len(text) < 66_000

    assert take(on_sqlite, mail.sender, dsn()) is Taken.SUPPRESSED


def test_b2_a_forged_address_does_nothing_and_is_laid_aside(on_sqlite: Service) -> None:
    mail = on_sqlite.confirmed()
    local, _, domain = mail.sender.partition("@")
    forged = f"{local[:-3]}{'aaa' if local[-3:] != 'aaa' else 'bbb'}@{domain}"

    assert take(on_sqlite, forged, dsn()) is Fate.DEAD
    assert (
        take(on_sqlite, mail.sender.replace("bounce-", "unsubscribe-"), wish(), sender="a@b.c") is Fate.DEAD
    )
    assert on_sqlite.states() == {"ann@example.org": "confirmed"}
    assert b"forged" in _dead(on_sqlite)[0].read_bytes()


@pytest.mark.parametrize(
    "recipient", [None, "", f"postmaster@{DOMAIN}", "bounce-x@elsewhere.example", "\x00\n"]
)
def test_mail_to_no_address_of_ours_is_laid_aside(on_sqlite: Service, recipient: str | None) -> None:
    assert take(on_sqlite, recipient, wish(), sender="ann@example.org") is Fate.DEAD


def test_mail_of_somebody_who_was_erased_is_taken_and_changes_nothing(service: Service) -> None:
    mail = service.confirmed()
    service.write("DELETE FROM subscribers")

    assert take(service, mail.sender, dsn()) is Taken.NOBODY
    assert take(service, _mailto(mail), wish(), sender="ann@example.org") is Taken.NOBODY
    assert take(service, f"feedback@{DOMAIN}", arf(mail.raw)) is Taken.NOBODY
    assert service.counts()["suppressions"] == 0


def test_dead_letters_are_bounded_in_number_and_age(on_sqlite: Service) -> None:
    folder = on_sqlite.settings.dead_letters_dir
    folder.mkdir()
    for number in range(MOST + 5):
        (folder / f"2999010{1 + number % 9}T000000.{number:06}-x.eml").touch()
    (folder / "20200101T000000.000000-x.eml").touch()

    take(on_sqlite, None, wish())
    assert len(_dead(on_sqlite)) == MOST
    assert _dead(on_sqlite)[0].name > "2999"

    (folder / "20200101T000000.000000-x.eml").touch()
    for letter in _dead(on_sqlite)[-10:]:
        letter.unlink()
    on_sqlite.send_mail()
    assert _dead(on_sqlite)[0].name > "2999"


def test_a_dead_letter_that_another_is_writing_is_left_alone(on_sqlite: Service) -> None:
    folder = on_sqlite.settings.dead_letters_dir
    folder.mkdir()
    fresh = folder / f".{now():%Y%m%dT%H%M%S}.000000-x.eml"
    left_behind = folder / ".20200101T000000.000000-x.eml"
    for draft in (fresh, left_behind):
        draft.touch()

    take(on_sqlite, None, wish())

    assert fresh.exists()
    assert not left_behind.exists()


def test_a_folder_for_dead_letters_that_cannot_be_made_stops_nothing(on_sqlite: Service) -> None:
    on_sqlite.settings.dead_letters_dir.write_text("a file is in its place")
    mail = on_sqlite.confirmed()

    assert take(on_sqlite, None, wish()) is Fate.DEAD
    assert take(on_sqlite, mail.sender, dsn()) is Taken.SUPPRESSED


def test_b3_a_relay_that_says_no_such_user_bounces_at_once(service: Service) -> None:
    service.confirmed("bob@example.org")
    service.sink.on_rcpt = lambda _address: "550 5.1.1 no such user"
    service.sign_up("ann@example.org")
    service.send_mail()

    assert service.states() == {"ann@example.org": "bounced", "bob@example.org": "confirmed"}
    assert service.statuses() == ["sent", "failed"]
    assert service.rows("SELECT kind, way FROM consent_events ORDER BY id DESC LIMIT 1") == [
        ("bounce", "smtp")
    ]


def test_b3_a_report_in_own_words_does_what_one_by_the_standard_does(service: Service) -> None:
    ann, bob = service.confirmed("ann@example.org"), service.confirmed("bob@example.org")
    cid = service.confirmed("cid@example.org")
    gone = "Sorry, it could not be delivered.\n<ann@example.org>: 550 no such user\n\n--- Below this line is a copy.\n"
    ours = (
        "Sorry, it could not be delivered.\n<bob@example.org>: 553 5.1.3 http://www.spamhaus.org/query/bl?x\n"
    )
    late = "Warning: message delayed. Delivery attempts will continue.\n<cid@example.org>: 550 no such user\n"

    assert take(service, ann.sender, words(gone)) is Taken.SUPPRESSED
    assert take(service, bob.sender, words(ours)) is Taken.OUR_FAULT
    assert take(service, cid.sender, words(late, subject="Warning: message delayed")) is Fate.IGNORED

    assert service.states() == {
        "ann@example.org": "bounced",
        "bob@example.org": "confirmed",
        "cid@example.org": "confirmed",
    }
    assert service.one("SELECT number FROM alarms") == 1


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("5.1.3", "smtp; 553 https://www.blocklist.example/query/bl?ip=192.0.2.1"),
        ("5.1.1", "smtp; 501 HELO host unknown"),
        ("5.1.1", "smtp; 550 Invalid sender domain: domain not found"),
        ("5.1.2", "smtp; 550 cannot find your reverse hostname, host not found"),
        ("5.1.1", "smtp; 550 5.1.1 Ihr Server steht auf einer Sperrliste"),
    ],
)
def test_b3_a_report_that_speaks_of_us_suppresses_nobody_and_raises_the_alarm(
    on_sqlite: Service, status: str, said: str
) -> None:
    mail = on_sqlite.confirmed()

    assert take(on_sqlite, mail.sender, dsn(status=status, diagnostic=said)) is Taken.OUR_FAULT
    assert on_sqlite.states() == {"ann@example.org": "confirmed"}
    assert on_sqlite.one("SELECT number FROM alarms") == 1


@pytest.mark.parametrize(
    "answer",
    ["550 5.4.1 Recipient address rejected: Access denied", "550 5.1.0 Address rejected, no such user"],
)
def test_b3_what_a_provider_answers_for_an_unknown_user_suppresses_by_reply_and_by_report(
    on_sqlite: Service, answer: str
) -> None:
    mail = on_sqlite.confirmed("ann@example.org")
    on_sqlite.sink.on_rcpt = lambda address: answer if address.startswith("bob") else None
    on_sqlite.sign_up("bob@example.org")
    on_sqlite.send_mail()

    assert take(on_sqlite, mail.sender, dsn(status="5.0.0", diagnostic=f"smtp; {answer}")) is Taken.SUPPRESSED
    assert on_sqlite.states() == {"ann@example.org": "bounced", "bob@example.org": "bounced"}


@pytest.mark.parametrize(
    ("door", "answer"),
    [
        ("on_rcpt", "550 5.7.1 your address is blocked"),
        ("on_rcpt", "550 5.1.1 HELO host unknown"),
        ("on_data", "553 5.1.3 https://www.blocklist.example/query/bl?ip=192.0.2.1"),
        ("on_data", "554 5.7.26 unauthenticated"),
        ("on_mail", "550 5.1.1 sender unknown: mailbox full"),
    ],
)
def test_b3_a_relay_that_refuses_us_raises_an_alarm_and_suppresses_nobody(
    service: Service, door: str, answer: str
) -> None:
    setattr(service.sink, door, lambda _about: answer)
    service.sign_up("ann@example.org")
    service.send_mail()

    assert service.states() == {"ann@example.org": "pending"}
    assert service.statuses() == ["awaiting_retry"]
    assert service.counts()["suppressions"] == 0
    assert service.one("SELECT number FROM alarms") == 1


def test_b3_while_we_are_refused_a_run_is_stopped_and_single_visitors_are_served(service: Service) -> None:
    service.sink.on_data = lambda mail: "550 5.7.1 refused" if mail.recipient.startswith("x") else None
    for name in ("xa", "xb", "xc"):
        service.sign_up(f"{name}@example.org")
    service.send_mail()
    assert service.one("SELECT number FROM alarms") == 3

    service.sign_up("ann@example.org")
    service.sign_up("bob@example.org")
    # As an import puts them down, whose confirmations are a run.
    service.write(
        "UPDATE outbox SET lane = 3, idempotency_key = 'import:1' WHERE subscription_id = "
        "(SELECT s.id FROM subscriptions s JOIN subscribers p ON p.id = s.subscriber_id WHERE p.address = :who)",
        who="bob@example.org",
    )
    service.send_mail()
    assert (len(service.sink.to("ann@example.org")), service.sink.to("bob@example.org")) == (1, [])

    page = Console.of(service, "owner@example.org").get("/operator/lists/daily/outbox").text
    assert "Receivers refuse us as a sender" in page
    assert "Confirmations of imports and reminders wait" in page

    service.sink.on_data = lambda _mail: None
    hour_ago = now() - timedelta(hours=1, minutes=1)
    service.write(
        "UPDATE alarms SET last_at = :then", then=hour_ago if service.on_postgresql else rfc3339(hour_ago)
    )
    service.age(hours=2)
    assert len(service.mail_to("bob@example.org")) == 1

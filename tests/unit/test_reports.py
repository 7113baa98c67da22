"""Reading bounces and complaints: real ones, and those that are made to hurt."""

from __future__ import annotations

import json
import quopri
import time
from base64 import b64encode
from contextlib import suppress
from typing import Any

import pytest

from newsletter.domain.bounce_policy import Verdict
from newsletter.domain.bounce_texts import Reason, reason_of
from newsletter.mail.bounded import LARGEST, Unreadable
from newsletter.mail.reports import ReportKind, read_report
from tests.support.returning import CORPUS, arf, auto_reply, dsn, fields

LABELS = CORPUS / "labels.json"
KINDS = {
    "dsn": {ReportKind.DELIVERY},
    "arf": {ReportKind.FEEDBACK},
    "other": set(ReportKind) - {ReportKind.FEEDBACK},
}
ABOUT_US = {
    "authfailure",
    "badreputation",
    "blocked",
    "norelaying",
    "notcompliantrfc",
    "policyviolation",
    "rejected",
}
ABOUT_US |= {"requireptr", "securityerror", "spamdetected", "virusdetected"}
# What is labelled so because another tool would not say more; there is no such status in the mail.
NOT_IN_THE_MAIL = "5.0.9"


def _labels() -> dict[str, Any]:
    labels: dict[str, Any] = json.loads(LABELS.read_text()) if LABELS.exists() else {}
    return labels


@pytest.mark.skipif(
    not LABELS.exists(), reason=f"no labelled bounces at {CORPUS} (or where BOUNCE_CORPUS says)"
)
def test_real_bounces_are_read_as_they_are_labelled() -> None:
    wrong = {name: fault for name, label in _labels().items() if (fault := _fault(name, label))}

    assert wrong == {}
    assert len(_labels()) > 100


def _fault(name: str, label: dict[str, Any]) -> str | None:
    report = read_report((CORPUS / name).read_bytes())
    if report.kind not in KINDS[label["kind"]]:
        return f"read as {report.kind}"
    expected = label["recipients"][0]
    first = report.failures[0] if report.failures else None
    verdict = first.rule.verdict if first else Verdict.IGNORE
    suppresses = verdict is Verdict.SUPPRESS_NOW
    # What a filter is said to have done where the text says that there is no such user: the text counts.
    if first and expected["reason"] == "filtered" and reason_of(first.diagnostic) is Reason.USER_UNKNOWN:
        return None
    if suppresses != expected["hard"]:
        return f"{verdict}, but hard is {expected['hard']}"
    if expected["reason"] in ABOUT_US and verdict is Verdict.IGNORE:
        return "a refusal that nobody is told of"
    if label["kind"] == "other":
        return None
    if label["kind"] == "dsn" and report.failures and NOT_IN_THE_MAIL not in expected["status"]:
        status = report.failures[0].status
        return None if status == expected["status"] else f"{status}, not {expected['status']}"
    return None


@pytest.mark.parametrize("action", ["delayed", "delivered", "relayed", "expanded", "Delayed", "deliverable"])
def test_b1_only_what_failed_is_a_failure(action: str) -> None:
    assert read_report(dsn(action=action)).failure is None


@pytest.mark.parametrize("action", ["failed", "Failed", "FAILED (permanently)", "error"])
def test_b1_failed_is_a_failure(action: str) -> None:
    failure = read_report(dsn(action=action)).failure

    assert failure is not None
    assert (failure.status, failure.rule.verdict) == ("5.1.1", Verdict.SUPPRESS_NOW)


def test_where_an_address_led_to_several_the_mildest_counts() -> None:
    failure = read_report(dsn(more=fields("b@example.org", "failed", "4.2.2"))).failure
    arrived = read_report(dsn(more=fields("b@example.org", "delivered", "2.0.0"))).failure

    assert failure is not None
    assert failure.status == "4.2.2"
    assert arrived is None


def test_a19_an_internationalised_report_is_read() -> None:
    raw = dsn(recipient="\N{LATIN SMALL LETTER A WITH DIAERESIS}nn@example.org").replace(
        b"message/delivery-status", b"message/global-delivery-status"
    )

    failure = read_report(raw).failure

    assert failure is not None
    assert (failure.status, failure.rule.verdict) == ("5.1.1", Verdict.SUPPRESS_NOW)


@pytest.mark.parametrize("coding", ["base64", "quoted-printable"])
def test_a19_an_internationalised_report_is_read_that_went_through_seven_bits(coding: str) -> None:
    plain = dsn(recipient="änn@example.org").replace(b"message/delivery", b"message/global-delivery")
    head, fields_, tail = _around(
        plain, b"message/global-delivery-status\r\n\r\n", b"--b/mx\r\nContent-Type: text"
    )
    coded = b64encode(fields_) if coding == "base64" else quopri.encodestring(fields_)
    named = b"Content-Transfer-Encoding: " + coding.encode() + b"\r\n\r\n"

    failure = read_report(head[:-2] + named + coded + b"\r\n" + tail).failure

    assert failure is not None
    assert (failure.status, failure.rule.verdict) == ("5.1.1", Verdict.SUPPRESS_NOW)


def _around(raw: bytes, before: bytes, after: bytes) -> tuple[bytes, bytes, bytes]:
    head, _, rest = raw.partition(before)
    middle, _, tail = rest.partition(after)
    return head + before, middle, after + tail


def test_a_failure_without_a_status_is_one() -> None:
    raw = dsn(diagnostic="smtp; sorry").replace(b"Status: 5.1.1\r\n", b"")

    failure = read_report(raw).failure

    assert failure is not None
    assert (failure.status, failure.rule.verdict) == ("5.0.0", Verdict.COUNT)


def test_where_a_report_gives_no_reason_its_text_may() -> None:
    said = dsn(status="5.1.1", diagnostic="smtp; 550 rejected").replace(
        b"This is the mail system at host mx.example.org.", b"Your server's address is on a block list."
    )

    failure = read_report(said).failure

    assert failure is not None
    assert failure.rule.verdict is Verdict.OUR_FAULT


def test_what_apples_mail_program_sends_for_its_user_is_a_wish_to_leave() -> None:
    raw = auto_reply(Subject="unsubscribe", Auto_Submitted="auto-replied", X_Apple_Unsubscribe="true")

    assert (read_report(raw).kind, read_report(raw).feedback) == (ReportKind.FEEDBACK, "opt-out")


MAIL = (
    b"X-HmXmrOriginalRecipient: ann@example.org\r\nList-Unsubscribe: <https://x.example/y>\r\n\r\nHello\r\n"
)


@pytest.mark.parametrize(
    ("inner", "headers", "kind"),
    [
        pytest.param(MAIL, {}, ReportKind.FEEDBACK, id="Microsoft's mark in the mail"),
        pytest.param(MAIL[43:], {"Subject": "complaint about message from 192.0.2.1"}, ReportKind.FEEDBACK, id="its subject"),
        pytest.param(MAIL[43:], {"Subject": "Email Abuse Report"}, ReportKind.JUNK, id="somebody's subject"),
        pytest.param(MAIL[43:], {"From": "fbl@mailbox.example", "Subject": "FW: News"}, ReportKind.JUNK, id="a feedback loop's sender"),
        pytest.param(MAIL[43:], {"Subject": "Re: Email Abuse Report"}, ReportKind.OTHER, id="an answer to one"),
        pytest.param(MAIL[43:], {"Subject": "Spam report: not spam"}, ReportKind.OTHER, id="the contrary"),
        pytest.param(MAIL[43:], {}, ReportKind.OTHER, id="a friend's mail"),
        pytest.param(b"Subject: x\r\n\r\nx\r\n", {"Subject": "Email Abuse Report"}, ReportKind.OTHER, id="about a mail without a link"),
    ],
)  # fmt: skip
def test_junk_reports_without_a_feedback_part_are_known(
    inner: bytes, headers: dict[str, str], kind: ReportKind
) -> None:
    assert read_report(_enclosing(inner, **headers)).kind is kind


@pytest.mark.parametrize("coding", ["base64", "8bit"])
@pytest.mark.parametrize("kind", ["message/rfc822", "application/octet-stream; name=mail.eml"])
def test_the_mail_that_a_report_is_about_is_found_however_it_is_attached(kind: str, coding: str) -> None:
    body = b64encode(MAIL) if coding == "base64" else MAIL
    head = f"Content-Type: {kind}\r\nContent-Transfer-Encoding: {coding}\r\n\r\n".encode()
    raw = auto_reply(Content_Type="multipart/mixed; boundary=b") + b"--b\r\n" + head + body + b"\r\n--b--\r\n"

    assert read_report(raw).original == (("List-Unsubscribe", "<https://x.example/y>"),)


@pytest.mark.parametrize("feedback", ["abuse", "fraud", "not-spam", "virus", "other"])
def test_a_complaint_is_read_with_its_type(feedback: str) -> None:
    report = read_report(arf(b"Subject: x\r\n\r\nx\r\n", feedback=feedback, return_path="a@b"))

    assert (report.kind, report.feedback) == (ReportKind.FEEDBACK, feedback)
    assert report.original == (("Return-Path", "<a@b>"),)


@pytest.mark.parametrize(
    "header",
    [
        {"Auto_Submitted": "auto-replied"},
        {"Auto_Submitted": "auto-notified; owner-email=x@y"},
        {"X_Autoreply": "yes"},
        {"X_Autorespond": "1"},
        {"Precedence": "auto_reply"},
        {"Precedence": "junk"},
        {"X_Auto_Response_Suppress": "All"},
        {"Subject": "Out of Office: on holiday"},
        {"Subject": "Automatic reply: Please confirm"},
        {"Subject": "=?utf-8?b?QXV0b21hdGlzY2hlIEFudHdvcnQ6IEJpdHRlIGJlc3TDpHRpZ2Vu?="},
        {"Subject": "Réponse automatique : veuillez confirmer"},
        {"Subject": "自動応答: ご確認ください"},
    ],
    ids=str,
)
def test_answers_of_machines_are_known(header: dict[str, str]) -> None:
    assert read_report(auto_reply(**header)).kind is ReportKind.AUTO_REPLY


def _enclosing(inner: bytes, **headers: str) -> bytes:
    """Somebody's mail that encloses another."""
    head = auto_reply(Content_Type='multipart/mixed; boundary="out"', **headers)
    text = b"--out\r\nContent-Type: text/plain\r\n\r\nLook at this\r\n"
    return head + text + b"--out\r\nContent-Type: message/rfc822\r\n\r\n" + inner + b"\r\n--out--\r\n"


IN_WORDS = b"From: MAILER-DAEMON@qmail.example\r\n\r\nHi. This is the qmail-send program at x.\r\n\r\n<ann@example.org>:\r\n550 5.1.1 no such user\r\n"


@pytest.mark.parametrize(
    ("headers", "kind"),
    [
        pytest.param({}, ReportKind.OTHER, id="a friend's mail"),
        pytest.param({"Auto_Submitted": "auto-replied"}, ReportKind.AUTO_REPLY, id="an automatic answer"),
    ],
)
@pytest.mark.parametrize(
    "inner",
    [
        pytest.param(dsn(), id="a bounce"),
        pytest.param(IN_WORDS, id="a bounce in words"),
        pytest.param(arf(b"Subject: x\r\n\r\nx\r\n"), id="a complaint"),
    ],
)
def test_a_report_in_an_enclosed_mail_is_none_about_ours(
    headers: dict[str, str], kind: ReportKind, inner: bytes
) -> None:
    report = read_report(_enclosing(inner, **headers))

    assert (report.kind, report.failures) == (kind, ())


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\x00\xff" * 1000, id="noise"),
        pytest.param(b"Subject: x", id="a header alone"),
        pytest.param(
            b"Content-Type: multipart/report; boundary=never\r\n\r\nx\r\n", id="unterminated boundary"
        ),
        pytest.param(b"Content-Type: multipart/mixed\r\n\r\n--\r\n", id="no boundary"),
        pytest.param(b"Content-Type: text/plain; charset=no-such\r\n\r\n\xff\xfe\r\n", id="no such charset"),
        pytest.param(b'Content-Type: text/plain; charset="utf-16"\r\n\r\n\xff\r\n', id="wrong charset"),
        pytest.param(b"Subject: =?utf-8?b?////?=\r\nFrom: =?x?q?=00?=\r\n\r\n", id="broken encoded words"),
        pytest.param(b"Content-Transfer-Encoding: base64\r\n\r\n!!!!\r\n", id="broken base64"),
        pytest.param(b"A" * 200_000 + b": x\r\n\r\n", id="a name without end"),
        pytest.param(b"Received: x\r\n" * 20_000 + b"\r\n", id="20,000 headers"),
        pytest.param(b"Content-Type: message/delivery-status\r\n\r\nAction: failed\r\n", id="a report alone"),
        pytest.param(dsn()[:-200], id="cut short"),
        pytest.param(dsn(status="\x00", diagnostic="\xff;" * 1000), id="noise in fields"),
    ],
)
def test_b6_odd_mail_is_read_or_refused_and_nothing_else_happens(raw: bytes) -> None:
    try:
        report = read_report(raw)
    except Unreadable:
        return
    assert report.kind in ReportKind


def _nested(depth: int) -> bytes:
    """Multiparts in multiparts."""
    opened = "".join(
        f"Content-Type: multipart/mixed; boundary=b{number}\n\n--b{number}\n" for number in range(depth)
    )
    return (opened + "Content-Type: text/plain\n\nx\n" * 3).encode()


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(_nested(2000), id="MIME 2,000 deep"),
        pytest.param(b"Content-Type: message/rfc822\r\n\r\n" * 2000, id="mails in mails, 2,000 deep"),
        pytest.param(b"Content-Type:\r\n message/rfc822\r\n\r\n" * 2000, id="the same, folded"),
        pytest.param(b"x" * (LARGEST + 1), id="too large"),
    ],
)
def test_b6_mail_that_is_made_to_hurt_is_refused_at_once(raw: bytes) -> None:
    with pytest.raises(Unreadable):
        read_report(raw)


def _report(kind: str, *parts: bytes) -> bytes:
    head = f"Content-Type: multipart/report; report-type={kind}; boundary=x\r\n\r\n".encode()
    return head + b"".join(b"--x\r\n" + part + b"\r\n" for part in parts)


_MB = 1024 * 1024
_QUOTE = b'Content-Type: multipart/mixed; x="'
_FIELDS = b"Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; x\r\n\r\n"
_LONG_FIELD = b"Action: failed\r\nDiagnostic-Code: smtp; " + b"user a " * 7000 + b"\r\n\r\n"
_ARF = b"Content-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\n"
_COPY = b"Content-Type: text/rfc822-headers\r\n"
_MACHINE = b"From: MAILER-DAEMON\r\nSubject: failed\r\n"


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(_QUOTE + b";" * 4 * _MB, id="parameters in an open quote"),
        pytest.param(_QUOTE + b"\r\n ;;;;;;;;;;;;;;;;;;" * 200_000, id="the same, folded"),
        pytest.param(_QUOTE + b";" * 60_000, id="the same, short"),
        pytest.param(_report("x", _QUOTE + b";" * 4 * _MB), id="the same, in a part"),
        pytest.param(
            _report(
                "feedback-report",
                _ARF,
                _COPY + b"Content-Transfer-Encoding: base64\r\n\r\n" + b64encode(_QUOTE + b";" * 3 * _MB),
            ),
            id="the same, encoded",
        ),
        pytest.param(_QUOTE + b'\\"' * 2 * _MB + b'"\r\n', id="a value that is all quotes"),
        pytest.param(_nested(24) + b"ab\n" * 1_500_000, id="24 deep, many lines"),
        pytest.param(_nested(24) + (b"ab" * 24 + b"\n") * 95_000, id="24 deep, long lines"),
        pytest.param(_report("x", b"\n") + b"--x\n\n" * 900_000, id="parts"),
        pytest.param(_report("x", b"\n") + b"--x\n\n" * 45_000, id="45,000 parts"),
        pytest.param(_report("delivery-status", _FIELDS + b"Action: failed\r\n\r\n" * 250_000), id="recipients"),
        pytest.param(_report("delivery-status", _FIELDS + _LONG_FIELD * 100), id="100 recipients, much text"),
        pytest.param(
            _report("delivery-status", *[_FIELDS.replace(b"/", b"/global-") + b"Action: failed\r\n\r\n" * 200] * 90),
            id="recipients in many parts",
        ),
        pytest.param(b"a:\n" * 1_500_000, id="fields"),
        pytest.param(_report("feedback-report", _ARF, _COPY + b"\r\nList-Unsubscribe: " + b"<" * 4 * _MB), id="links"),
        pytest.param(_MACHINE + b"\r\n" + b"\n" * 250_000, id="empty lines in free text"),
        pytest.param(_MACHINE + b"\r\n" + b"<a@b.c>:\n" * 28_000, id="recipients in free text"),
        pytest.param(_report("x", b"Content-Type: text/plain\r\n\r\n" + b"-" * 4 * _MB), id="a ruled line"),
    ],
)  # fmt: skip
def test_b6_the_largest_mail_that_is_made_to_hurt_is_soon_read(raw: bytes) -> None:
    assert len(raw) <= LARGEST
    began = time.thread_time()
    with suppress(Unreadable):
        _ = read_report(raw).failure
    # A third of a second at most where this was written; without the bounds, minutes.
    assert time.thread_time() - began < 20


def test_a_bounce_from_nobody_is_read_like_any_other() -> None:
    with_sender = b"Subject: failure notice\r\n" + IN_WORDS
    without = with_sender.replace(b"From: MAILER-DAEMON@qmail.example\r\n", b"")

    assert read_report(without) == read_report(with_sender)
    assert read_report(without).kind is ReportKind.BOUNCE


def test_a_report_about_a_hundred_recipients_is_read_and_one_about_more_is_not() -> None:
    more = fields("b@example.org", "failed", "5.1.1")

    assert len(read_report(dsn(more=more * 99)).failures) == 100
    with pytest.raises(Unreadable):
        read_report(dsn(more=more * 100))

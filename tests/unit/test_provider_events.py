"""What providers tell, read into one form: of the events that they document, and of what else may come."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from newsletter.domain.bounce_policy import Verdict, judge
from newsletter.domain.provider_events import echo, mailgun, postmark, sendgrid, ses, sns
from newsletter.domain.provider_events.report import Forged, Report, status_in
from newsletter.domain.returns import ReturnKind
from tests.support.providers import (
    MAILGUN_KEY,
    TOPIC,
    certificate,
    mailgun_signature,
    sns_message,
)

MAIL = UUID("0193a0c8-1b2c-7def-8123-456789abcdef")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
Read = list[tuple[ReturnKind, str | None]]
BOUNCE, COMPLAINT, LEAVE = ReturnKind.BOUNCE, ReturnKind.COMPLAINT, ReturnKind.UNSUBSCRIBE


def _kinds(reports: list[Report]) -> Read:
    assert all(report.mail_id == MAIL and report.address == "ann@example.org" for report in reports)
    return [(report.kind, report.status) for report in reports]


# Amazon


def _ses(event: dict[str, Any]) -> list[Report]:
    mail = {"headers": [{"name": "Message-ID", "value": f"<{MAIL}@news.example>"}], "messageId": "0102-x"}
    return ses.read_reports(sns.Message("id", "Notification", json.dumps({"mail": mail} | event), ""))


def _ses_bounce(kind: str, part: str = "General", **recipient: str) -> dict[str, Any]:
    recipients = [{"emailAddress": "ann@example.org"} | recipient]
    bounce = {"bounceType": kind, "bounceSubType": part, "bouncedRecipients": recipients, "feedbackId": "f"}
    return {"notificationType": "Bounce", "bounce": bounce}


def _ses_complaint(**more: Any) -> dict[str, Any]:
    return {
        "eventType": "Complaint",
        "complaint": {"complainedRecipients": [{"emailAddress": "ann@example.org"}]} | more,
    }


SES: dict[str, tuple[dict[str, Any], Read]] = {
    "a mailbox that is not there": (_ses_bounce("Permanent", status="5.1.1"), [(BOUNCE, "5.1.1")]),
    "no status, but a diagnostic": (
        _ses_bounce("Permanent", diagnosticCode="smtp; 550 5.7.1 no"),
        [(BOUNCE, "5.7.1")],
    ),
    "for good, without a reason": (_ses_bounce("Permanent"), [(BOUNCE, "5.0.0")]),
    "no mailbox, as Amazon knows": (_ses_bounce("Permanent", "NoEmail"), [(BOUNCE, "5.1.1")]),
    "bounced before": (_ses_bounce("Permanent", "OnAccountSuppressionList"), [(BOUNCE, "5.1.1")]),
    "a full mailbox": (_ses_bounce("Transient", "MailboxFull", status="4.2.2"), [(BOUNCE, "4.2.2")]),
    "an automatic reply": (_ses_bounce("Transient"), []),
    "nobody knows": (_ses_bounce("Undetermined", "Undetermined"), []),
    "spam": (_ses_complaint(complaintFeedbackType="abuse"), [(COMPLAINT, None)]),
    "fraud": (_ses_complaint(complaintFeedbackType="fraud"), [(COMPLAINT, None)]),
    "spam, by a provider that sends no report": (_ses_complaint(), [(COMPLAINT, None)]),
    "not spam": (_ses_complaint(complaintFeedbackType="not-spam"), []),
    "a virus": (_ses_complaint(complaintFeedbackType="virus"), []),
    "a delivery": ({"eventType": "Delivery", "delivery": {}}, []),
    "nothing": ({}, []),
}  # fmt: skip


@pytest.mark.parametrize(("event", "read"), SES.values(), ids=SES.keys())
def test_what_amazon_tells(event: dict[str, Any], read: Read) -> None:
    assert _kinds(_ses(event)) == read


def test_one_bounce_that_amazon_tells_in_both_of_its_ways_is_one() -> None:
    notified = _ses_bounce("Permanent")
    published = {
        ("eventType" if name == "notificationType" else name): value for name, value in notified.items()
    }

    assert _ses(notified) == _ses(published)


def test_a_mail_is_known_by_the_common_headers_too_and_never_by_amazon_s_own_id() -> None:
    common = {"mail": {"commonHeaders": {"messageId": f"<{MAIL}@news.example>"}}}
    bare = {"mail": {"messageId": f"<{MAIL}@news.example>"}}

    assert _ses(_ses_bounce("Permanent") | common)[0].mail_id == MAIL
    assert _ses(_ses_bounce("Permanent") | bare)[0].mail_id is None


def test_every_field_that_amazon_documents_as_signed_is_covered() -> None:
    cases: tuple[tuple[str, dict[str, Any], str], ...] = (
        ("1", {}, "Message MessageId Timestamp TopicArn Type"),
        ("2", {"Subject": "s"}, "Message MessageId Subject Timestamp TopicArn Type"),
        ("2", {"Type": "UnsubscribeConfirmation", "Token": "t", "SubscribeURL": "u"},
         "Message MessageId SubscribeURL Timestamp Token TopicArn Type"),
    )  # fmt: skip
    for version, more, names in cases:
        message = sns_message("a\nb", version=version, **more)
        text = sns.read_message(
            json.dumps(message).encode(),
            topic_arn=TOPIC,
            now=datetime.now(UTC),
            certificate_at=lambda _: certificate(),
        ).text
        assert text == "a\nb"
        for name in names.split():
            altered = json.dumps(message | {name: message[name] + "x"}).encode()
            with pytest.raises(Forged):
                sns.read_message(
                    altered,
                    topic_arn=TOPIC,
                    now=datetime.now(UTC),
                    certificate_at=lambda _: certificate(),
                )


@pytest.mark.parametrize(
    ("topic", "host"),
    [
        ("arn:aws:sns:us-east-1:123456789012:x", "sns.us-east-1.amazonaws.com"),
        ("arn:aws-us-gov:sns:us-gov-west-1:123456789012:x", "sns.us-gov-west-1.amazonaws.com"),
        ("arn:aws-cn:sns:cn-north-1:123456789012:x", "sns.cn-north-1.amazonaws.com.cn"),
    ],
    ids=["Virginia", "GovCloud", "China"],
)
def test_each_region_has_one_host(topic: str, host: str) -> None:
    assert sns.is_certificate_url(f"https://{host}/SimpleNotificationService-ab01.pem", topic)
    assert not sns.is_certificate_url(f"https://{host}.cn/SimpleNotificationService-ab01.pem", topic)


# Postmark


def _postmark(**event: Any) -> list[Report]:
    base = {"RecordType": "Bounce", "ID": 42, "Email": "ann@example.org", "Metadata": {echo.NAME: str(MAIL)}}
    return postmark.read_reports(json.dumps(base | event).encode())


_LEFT = {
    "RecordType": "SubscriptionChange",
    "SuppressSending": True,
    "SuppressionReason": "ManualSuppression",
}
POSTMARK: dict[str, tuple[dict[str, Any], Read]] = {
    "a mailbox that is not there": ({"Type": "HardBounce"}, [(BOUNCE, "5.1.1")]),
    "a better reason": ({"Type": "HardBounce", "Details": "smtp;554 5.7.1 spam"}, [(BOUNCE, "5.7.1")]),
    "soft": ({"Type": "SoftBounce"}, [(BOUNCE, "4.0.0")]),
    "blocked": ({"Type": "Blocked"}, [(BOUNCE, "5.7.1")]),
    "an automatic reply": ({"Type": "AutoResponder"}, []),
    "switched off by the publisher": ({"Type": "ManuallyDeactivated"}, []),
    "spam": ({"RecordType": "SpamComplaint", "Type": "SpamComplaint"}, [(COMPLAINT, None)]),
    "left": (_LEFT | {"Origin": "Recipient", "Recipient": "ann@example.org"}, [(LEAVE, None)]),
    "taken off by the publisher": (_LEFT | {"Origin": "Customer"}, []),
    "taken off after a bounce": (_LEFT | {"Origin": "Recipient", "SuppressionReason": "HardBounce"}, []),
    "let in again": (_LEFT | {"Origin": "Recipient", "SuppressSending": False}, []),
    "opened": ({"RecordType": "Open"}, []),
}  # fmt: skip


@pytest.mark.parametrize(("event", "read"), POSTMARK.values(), ids=POSTMARK.keys())
def test_what_postmark_tells(event: dict[str, Any], read: Read) -> None:
    assert _kinds(_postmark(**event)) == read


# Mailgun


def _mailgun(**event: Any) -> list[Report]:
    base = {"recipient": "ann@example.org", "message": {"headers": {"message-id": f"{MAIL}@news.example"}}}
    body = json.dumps({"signature": mailgun_signature(), "event-data": base | event}).encode()
    return list(mailgun.read_event(body, signing_key=MAILGUN_KEY, now=datetime.now(UTC)).reports)


def _failed(reason: str = "bounce", severity: str = "permanent", **status: Any) -> dict[str, Any]:
    return {"event": "failed", "severity": severity, "reason": reason, "delivery-status": status}


MAILGUN: dict[str, tuple[dict[str, Any], Read]] = {
    "a mailbox that is not there": (_failed(code=550, message="5.1.1 no such user"), [(BOUNCE, "5.1.1")]),
    "the enhanced code": (_failed(code=550, **{"enhanced-code": "5.7.1"}), [(BOUNCE, "5.7.1")]),
    "no reason": (_failed(code=550), [(BOUNCE, "5.0.0")]),
    "given up after hours": (_failed("old", code=421, message="try later"), [(BOUNCE, "4.0.0")]),
    "tried again later": (_failed("generic", "temporary", code=421), []),
    "bounced before": (_failed("suppress-bounce", code=605), [(BOUNCE, "5.1.1")]),
    "complained before": (_failed("suppress-complaint", code=607), [(COMPLAINT, None)]),
    "left before": (_failed("suppress-unsubscribe", code=606), [(LEAVE, None)]),
    "spam": ({"event": "complained"}, [(COMPLAINT, None)]),
    "left": ({"event": "unsubscribed"}, [(LEAVE, None)]),
    "delivered": ({"event": "delivered"}, []),
    "our header rather than a Message-ID": (
        {"event": "complained", "message": {}, "user-variables": {echo.NAME: str(MAIL)}},
        [(COMPLAINT, None)],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("event", "read"), MAILGUN.values(), ids=MAILGUN.keys())
def test_what_mailgun_tells(event: dict[str, Any], read: Read) -> None:
    assert _kinds(_mailgun(**event)) == read


def test_the_signature_of_the_account_above_a_subaccount_counts_as_well() -> None:
    own, parent = mailgun_signature(key="k" * 32), mailgun_signature()
    signature = parent | {"signature": own["signature"], "parent-signature": parent["signature"]}
    body = json.dumps({"signature": signature, "event-data": {}}).encode()

    assert mailgun.read_event(body, signing_key=MAILGUN_KEY, now=datetime.now(UTC)).token == parent["token"]


# SendGrid


def _sendgrid(**event: Any) -> list[Report]:
    base = {"email": "ann@example.org", "sg_event_id": "x", echo.NAME: str(MAIL)}
    return sendgrid.read_reports(json.dumps([base | event]).encode())


SENDGRID: dict[str, tuple[dict[str, Any], Read]] = {
    "a mailbox that is not there": ({"event": "bounce", "status": "5.1.1"}, [(BOUNCE, "5.1.1")]),
    "a reason that says more": (
        {"event": "bounce", "status": "5.0.0", "reason": "550 5.2.2 over quota"},
        [(BOUNCE, "5.2.2")],
    ),
    "a bad address, by SendGrid's reading": (
        {"event": "bounce", "status": "5.0.0", "bounce_classification": "Invalid Address"},
        [(BOUNCE, "5.1.1")],
    ),
    "our reputation, by SendGrid's reading": (
        {"event": "bounce", "status": "5.0.0", "reason": "550 no", "bounce_classification": "Reputation"},
        [(BOUNCE, "5.7.1")],
    ),
    "for now": ({"event": "bounce", "type": "blocked", "status": "4.0.0"}, [(BOUNCE, "4.0.0")]),
    "bounced before": ({"event": "dropped", "reason": "Bounced Address"}, [(BOUNCE, "5.1.1")]),
    "complained before": ({"event": "dropped", "reason": "Spam Reporting Address"}, [(COMPLAINT, None)]),
    "left before": ({"event": "dropped", "reason": "Unsubscribed Address"}, [(LEAVE, None)]),
    "dropped for the contents": ({"event": "dropped", "reason": "Spam Content"}, []),
    "spam": ({"event": "spamreport"}, [(COMPLAINT, None)]),
    "left": ({"event": "unsubscribe"}, [(LEAVE, None)]),
    "left a group": ({"event": "group_unsubscribe"}, [(LEAVE, None)]),
    "tried again later": ({"event": "deferred", "reason": "450 4.2.1"}, []),
    "delivered": ({"event": "delivered"}, []),
}  # fmt: skip


@pytest.mark.parametrize(("event", "read"), SENDGRID.values(), ids=SENDGRID.keys())
def test_what_sendgrid_tells(event: dict[str, Any], read: Read) -> None:
    assert _kinds(_sendgrid(**event)) == read


def test_the_signature_that_sendgrid_has_published_is_verified() -> None:
    # From the tests of SendGrid's own libraries.
    key = sendgrid.read_key(
        "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEEDr2LjtURuePQzplybdC+u4CwrqDqBaWjcMMsTbhdbcwHBcepxo7yAQGhHPTnlvFYPAZFceEu/1FwCM/QmGUhA=="
    )
    signature = (
        "MEUCIQCtIHJeH93Y+qpYeWrySphQgpNGNr/U+UyUlBkU6n7RAwIgJTz2C+8a8xonZGi6BpSzoQsbVRamr2nlxFDWYNH2j/0="
    )
    body = b'{"category":"example_payload","event":"test_event","message_id":"message_id"}'
    now = datetime.fromtimestamp(1588788367 + 60, UTC)

    sendgrid.check_signature(key, body, signature=signature, timestamp="1588788367", now=now)
    with pytest.raises(Forged):
        sendgrid.check_signature(key, body + b" ", signature=signature, timestamp="1588788367", now=now)
    with pytest.raises(Forged):
        sendgrid.check_signature(key, body, signature=signature, timestamp="1588788368", now=now)


# What is common to all


@pytest.mark.parametrize(
    ("texts", "otherwise", "status"),
    [
        (("5.1.1",), None, "5.1.1"),
        (("", "550-5.1.1 The account does not exist."), None, "5.1.1"),
        (("5.0.0", "550 5.2.2 full"), None, "5.2.2"),
        (("5.0.0",), "5.1.1", "5.1.1"),
        (("4.0.0",), "5.1.1", "4.0.0"),
        (("host 5.1.1.7 said 550",), None, None),
        (("version 15.1.1",), None, None),
        (("9.9.9 5.1.1234",), "5.0.0", "5.0.0"),
        ((), "4.0.0", "4.0.0"),
    ],
)
def test_a_status_is_found_where_it_is_written(
    texts: tuple[str, ...], otherwise: str | None, status: str | None
) -> None:
    assert status_in(*texts, otherwise=otherwise) == status


def test_a_mail_is_named_by_its_id_alone_or_by_a_whole_message_id() -> None:
    assert echo.mail_of(str(MAIL)) == MAIL
    assert echo.mail_of_message_id(f" <{MAIL}@news.example> ") == MAIL
    for odd in (f"{MAIL} ", f"{{{MAIL}}}", MAIL.hex, str(MAIL).upper(), "", f"{MAIL}\n"):
        assert echo.mail_of(odd) is None
    for odd in (str(MAIL), f"<{MAIL}@>", f"<x{MAIL}@a>", f"<{MAIL}@a@b>", f"{MAIL}@a b"):
        assert echo.mail_of_message_id(odd) is None


def test_what_a_provider_holds_for_a_bad_address_suppresses_and_what_it_tries_again_does_not() -> None:
    suppressed = "Amazon SES has suppressed sending to this address because it has a recent history of bouncing as an invalid address."
    verdicts = {
        Verdict.SUPPRESS_NOW: [
            *_ses(_ses_bounce("Permanent", "Suppressed", diagnosticCode=suppressed, status="5.1.1")),
            *_mailgun(**_failed("suppress-bounce", message="Not delivering to previously bounced address")),
            *_sendgrid(event="dropped", reason="Bounced Address"),
            *_postmark(Type="HardBounce", Details="smtp;550 no such user"),
        ],
        Verdict.COUNT: [*_mailgun(**_failed("old", code=421)), *_postmark(Type="SoftBounce")],
    }

    for verdict, reports in verdicts.items():
        assert {judge(report.status, report.diagnostic).verdict for report in reports} == {verdict}

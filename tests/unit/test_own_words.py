"""Reports in a mail system's own words: found by who writes, and read by what is said."""

from __future__ import annotations

import json
from base64 import b64encode

import pytest

from newsletter.domain.bounce_policy import Verdict
from newsletter.mail.reports import ReportKind, read_report
from tests.support.returning import auto_reply, dsn, words

COPY = "\n\nReceived: from x\nSubject: Spam policy blocked, user unknown\n\nHello\n"


OF_UNKNOWN_USERS = {
    "qmail": "Hi. This is the qmail-send program at mx.example.\nI'm afraid I wasn't able to deliver your message to the following addresses.\nThis is a permanent error; I've given up.\n\n<ann@example.org>:\n192.0.2.25 does not like recipient.\nRemote host said: 550 5.1.1 <ann@example.org>: User unknown\nGiving up on 192.0.2.25.\n\n--- Below this line is a copy of the message.\n",
    "Exim": "This message was created automatically by mail delivery software.\nA message that you sent could not be delivered to one or more of its recipients. This is a permanent error.\n\n  ann@example.org\n    SMTP error from remote mail server after RCPT TO:<ann@example.org>:\n    host mx.example [192.0.2.2]: 550 unknown user\n\n------ This is a copy of the message, including all the headers. ------\n",
    "DragonFly": "This is the DragonFly Mail Agent v0.13 at df.example.\n\nThere was an error delivering your mail to <ann@example.org>.\n\nmx.example [192.0.2.25] did not like our RCPT TO:\n550 5.1.1 <ann@example.org>: Recipient address rejected: User unknown\n\nMessage headers follow.\n",
    "OpenSMTPD": "    Hi!\n\n    This is the MAILER-DAEMON, please DO NOT REPLY to this email.\n\n    An error has occurred while attempting to deliver a message for\n    the following list of recipients:\n\nann@example.org: 550 Invalid recipient\n\n    Below is a copy of the original message:\n",
    "Amazon WorkMail": "An error occurred while trying to deliver the mail to the following recipients:\nann@example.org\n\n\n----\nTechnical report:\nReporting-MTA: dsn; smtp-out.example\n\nAction: failed\nFinal-Recipient: rfc822; ann@example.org\nDiagnostic-Code: smtp; 550 5.1.1 user unknown\nStatus: 5.1.1\n",
    "Exchange 5.5": "Your message\n\n  To:      ann@example.org\n  Subject: Spam policy\n  Sent:    Thu, 29 Apr 2010 23:00:00 -0400\n\ndid not reach the following recipient(s):\n\nann@example.org on Thu, 29 Apr 2010 00:00:00 -0000\n    The recipient name is not recognized\n    MSEXCH:IMS:NNN:SITE:HOST 0 (000C05A6) Unknown Recipient\n",
    "Exchange 2003": "Your message did not reach some or all of the intended recipients.\n\n      Subject: Daily News\n      Sent: 4/29/2010 11:34 PM\n\nThe following recipient(s) could not be reached:\n\n      ann@example.org on 4/29/2010 11:34 PM\n            The e-mail account does not exist at the organization this message was sent to.\n            <mx.example #5.1.1>\n",
    "Domino": "Your message\n\n  Subject: Daily News\n\nwas not delivered to:\n\n  ann@example.org\n\nbecause:\n\n  User ann (ann@example.org) not listed in Domino Directory\n",
    "Sendmail": "The original message was received at Thu, 29 Apr 2010 23:34:45 +0900\n\n   ----- The following addresses had permanent fatal errors -----\n<ann@example.org>\n\n   ----- Transcript of session follows -----\n... while talking to mx.example.:\n>>> RCPT To:<ann@example.org>\n<<< 550 No such user here\n550 <ann@example.org>... User unknown\n",
    "Yahoo": "Sorry, we were unable to deliver your message to the following address.\n\n<ann@example.org>:\nRemote host said:\n550 5.1.1 unknown or illegal alias: ann@example.org\n [RCPT_TO]\n\n--- Below this line is a copy of the message.\n",
    "IMail": "Unknown user: ann@example.org\n\nRCPT TO generated following response:\n550 <ann@example.org>: no such user here\n\nOriginal message follows.\n",
    "GMX": "This message was created automatically by mail delivery software.\nA message that you sent could not be delivered to one or more\nof its recipients. This is a permanent error. The following address failed:\n\n<ann@example.org>:\nSMTP error from remote server after RCPT command:\nhost mx.example:\n5.1.1 <ann@example.org>... User is unknown\n\n--- The header of the original message is following. ---\n",
    "Zoho": "This message was created automatically by mail delivery software.\n A message that you sent could not be delivered to one or more of its recipients. This is a permanent error.\n\nann@example.org Invalid Address, ERROR_CODE :550, ERROR_CODE :550 5.1.1 <ann@example.org>... User Unknown\n",
    "MDaemon": "The attached message had PERMANENT fatal delivery errors!\n\nYOUR MESSAGE WAS NOT DELIVERED!\n\n--- Session Transcript ---\n <-- 220 mx.example ESMTP ready\n --> EHLO relay.example\n <-- 250-mx.example Hello relay.example, pleased to meet you\n <-- 250 SIZE 0\n --> MAIL From:<bounce@back.news.example>\n <-- 250 Sender OK\n --> RCPT To:<ann@example.org>\n <-- 550 <ann@example.org>, Recipient unknown\n",
    "InterScan": "****** Message from InterScan ******\n\nSent <<< RCPT TO:<ann@example.org>\nReceived >>> 550 5.1.1 <ann@example.org>... User unknown\n\nUnable to deliver message to <ann@example.org>.\n",
    "GroupWise": "The message that you sent was undeliverable to the following:\n\tann (Unknown user)\n",
    "the domain is none": "Sorry, we were unable to deliver your message to the following address.\n\n<ann@nothing.example>:\nNo mx record found for domain=nothing.example\n",
    "a filter that scans": "Unable to deliver message to <ann@example.org>: no such user\n\nThis message has been scanned for viruses.\n\n--- Attachment is a copy of the message. ---\nIt may be spam.\n",
    "Mail.ru": "Это письмо создано автоматически сервером, отвечать на него не нужно.\n\nК сожалению, Ваше письмо не может быть доставлено одному или нескольким получателям:\n\n  ann@example.ru\n    пользователь не найден\n",
}  # fmt: skip


@pytest.mark.parametrize("text", OF_UNKNOWN_USERS.values(), ids=OF_UNKNOWN_USERS)
def test_an_unknown_user_is_found_in_whoevers_words(text: str) -> None:
    report = read_report(words(text + COPY))

    assert report.kind is ReportKind.BOUNCE
    assert report.failure is not None
    assert report.failure.rule.verdict is Verdict.SUPPRESS_NOW


OTHERS = {
    "a full mailbox": ("Could not be delivered to: <ann@example.org>\nAs their mailbox is full.\n", Verdict.COUNT),
    "refused at our name": ("A message that you sent could not be delivered. This is a permanent error.\n\n  ann@example.org\n    SMTP error from remote mail server after EHLO relay.example:\n    550 unknown host\n", Verdict.OUR_FAULT),
    "our address is listed": ("Unable to deliver your message.\n<ann@example.org>:\nRemote host said: 553 5.1.3 http://www.spamhaus.org/query/bl?ip=192.0.2.1\n", Verdict.OUR_FAULT),
    "two recipients, one in good order but away": ("----- Transcript of session follows -----\n421 mx.example... Deferred: Connection reset by peer\n550 <bob@example.org>... User unknown\n", Verdict.COUNT),
    "no reason": ("Delivery failed 20 attempts: ann@example.org\n", Verdict.COUNT),
    "too old": ("There was an error delivering your mail to <ann@example.org>.\n\nCould not deliver for the last 432000 seconds. Giving up.\n", Verdict.COUNT),
}  # fmt: skip


@pytest.mark.parametrize(("text", "verdict"), OTHERS.values(), ids=OTHERS)
def test_what_is_milder_counts_in_own_words_too(text: str, verdict: Verdict) -> None:
    failure = read_report(words(text + COPY)).failure

    assert failure is not None
    assert failure.rule.verdict is verdict


@pytest.mark.parametrize(
    ("subject", "text"),
    [
        ("Warning: message delayed 24 hours", "A message that you sent has not yet been delivered to ann@example.org.\nuser unknown, perhaps.\nEventually the software will give up, and the message will be returned to you.\n"),
        ("Delivery Status Notification (Delay)", "THIS IS A WARNING MESSAGE ONLY.\nYOU DO NOT NEED TO RESEND YOUR MESSAGE.\n550 unknown user\n"),
        ("Delivery status notification: delayed", "ann@example.org: 550 unknown user\n"),
        ("Zustellung verzögert", "Ihre Nachricht konnte noch nicht zugestellt werden. Benutzer unbekannt.\n"),
    ],
)  # fmt: skip
def test_b1_while_a_system_goes_on_trying_nothing_has_failed(subject: str, text: str) -> None:
    report = read_report(words(text, subject=subject))

    assert (report.kind, report.failure) == (ReportKind.BOUNCE, None)


@pytest.mark.parametrize(
    "more",
    [
        "Content-Type: text/plain; charset=iso-2022-jp\n",
        "Content-Type: text/plain; charset=iso-2022-jp\nContent-Transfer-Encoding: base64\n",
    ],
)
def test_a_report_is_read_in_its_character_set(more: str) -> None:
    text = "宛先のメールアドレスが存在しません。\n".encode("iso-2022-jp")
    raw = words("", more=more) + (b64encode(text) if "base64" in more else text)

    failure = read_report(raw).failure

    assert failure is not None
    assert failure.rule.verdict is Verdict.SUPPRESS_NOW


def test_a_report_in_html_alone_is_read_without_its_tags() -> None:
    page = (
        "<html><head><style>.spam{}</style></head><body><p>Delivery has failed:</p><b>no such</b> user</body>"
    )

    failure = read_report(words(page, more="Content-Type: text/html\n")).failure

    assert failure is not None
    assert (failure.diagnostic, failure.rule.verdict) == (
        "Delivery has failed: no such user",
        Verdict.SUPPRESS_NOW,
    )


def test_what_the_subject_of_our_mail_is_made_of_says_nothing() -> None:
    quoting = (
        "Your message\n\n  Subject: Mailbox full, spam and block lists\n\nwas not delivered: no such user\n"
    )

    failure = read_report(words(quoting)).failure

    assert failure is not None
    assert failure.rule.verdict is Verdict.SUPPRESS_NOW


def test_a_mail_from_nobody_that_says_so_is_a_report_whatever_its_name() -> None:
    text = "Your mail could not be delivered to: <ann@example.org>\nAs there is no such user.\n"
    named = {"sender": "no-reply@mailbox.example", "subject": "Mail"}

    from_nobody = read_report(words(text, **named, more="Return-Path: <>\n"))
    from_somebody = read_report(words(text, **named, more="Return-Path: <no-reply@mailbox.example>\n"))

    assert (from_nobody.kind, from_somebody.kind) == (ReportKind.BOUNCE, ReportKind.OTHER)


@pytest.mark.parametrize(
    "text",
    [
        "I am away until Monday. For urgent mail write to bob@example.org, ann@example.org is not known there.",
        "Please note that user ann does not exist any more, she is no longer with us.",
    ],
)
def test_what_people_write_of_addresses_is_no_report(text: str) -> None:
    assert read_report(auto_reply() + text.encode()).kind is ReportKind.OTHER


def _of_amazon(kind: str) -> bytes:
    bounce = {
        "bounceType": kind,
        "bounceSubType": "General",
        "bouncedRecipients": [
            {
                "emailAddress": "ann@example.org",
                "status": "5.1.1",
                "diagnosticCode": "smtp; 550 5.1.1 unknown",
            }
        ],
    }
    headers = [{"name": f"X-Header-{number}", "value": "spam " * 20} for number in range(100)]
    event = {"notificationType": "Bounce", "bounce": bounce, "mail": {"headers": headers}}
    text = json.dumps(event) + "\n--\nIf you wish to stop receiving notifications, visit the link below.\n"
    return words(text, sender="AWS Notifications <no-reply@sns.example>", subject="AWS Notification Message")


def test_a_report_without_what_the_standard_wants_is_read_by_its_words() -> None:
    lacking = dsn(status="5.0.0", diagnostic="smtp; 550 no such user").replace(b"Action: failed\r\n", b"")
    late = lacking.replace(b"This is the mail system", b"This is only a warning of the mail system")
    unmade = b"From: x@mx.example\r\nContent-Type: multipart/report; report-type=delivery-status\r\n\r\n550 no such user\r\n"

    for raw, verdict in ((lacking, Verdict.SUPPRESS_NOW), (late, None), (unmade, Verdict.SUPPRESS_NOW)):
        report = read_report(raw)
        assert report.kind is ReportKind.DELIVERY
        assert (report.failure.rule.verdict if report.failure else None) is verdict


def test_operators_read_first_what_the_receiver_replied() -> None:
    failure = read_report(words(OF_UNKNOWN_USERS["qmail"])).failure

    assert failure is not None
    assert failure.diagnostic.startswith("550 5.1.1 <ann@example.org>: User unknown")


def test_a_notification_of_amazon_that_comes_by_mail_is_read() -> None:
    failure = read_report(_of_amazon("Permanent")).failure

    assert failure is not None
    assert (failure.status, failure.rule.verdict) == ("5.1.1", Verdict.SUPPRESS_NOW)

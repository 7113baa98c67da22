"""Mails that come back, as mail systems write them, and where the labelled ones are."""

from __future__ import annotations

import os
from pathlib import Path

from newsletter.domain.returns import ReturnKind
from newsletter.mail.inbound import Envelope, Fate, Inbound
from newsletter.services.take_return import Taken
from tests.support.service import Service

DOMAIN = "back.news.example"
WITH_DOMAIN = {"NEWSLETTER_INBOUND_DOMAIN": DOMAIN}
# Real bounces with labels, which do not belong to the project.
CORPUS = Path(os.environ.get("BOUNCE_CORPUS", Path(__file__).parents[3] / "shared/corpora/bounces"))

__all__ = [
    "CORPUS",
    "DOMAIN",
    "WITH_DOMAIN",
    "ReturnKind",
    "arf",
    "auto_reply",
    "dsn",
    "inbound",
    "junk",
    "take",
    "wish",
    "words",
]


def inbound(service: Service) -> Inbound:
    return Inbound(service.app, service.settings, service.links)


def take(service: Service, recipient: str | None, raw: bytes, *, sender: str | None = "") -> Taken | Fate:
    """What becomes of a mail that was handed over."""
    return inbound(service).take(Envelope(recipient, sender, raw))


def dsn(
    *,
    status: str = "5.1.1",
    diagnostic: str = "smtp; 550 5.1.1 no such user",
    action: str = "failed",
    recipient: str = "ann@example.org",
    more: str = "",
) -> bytes:
    """A delivery report as Postfix writes it. `more` are further recipients' fields."""
    return _wire(
        f"""\
From: MAILER-DAEMON@mx.example.org (Mail Delivery System)
To: whoever@news.example
Subject: Undelivered Mail Returned to Sender
Auto-Submitted: auto-replied
Message-Id: <1@mx.example.org>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b/mx"

--b/mx
Content-Type: text/plain; charset=us-ascii

This is the mail system at host mx.example.org.

--b/mx
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.org

Final-Recipient: rfc822; {recipient}
Action: {action}
Status: {status}
Diagnostic-Code: {diagnostic}
{more}
--b/mx
Content-Type: text/rfc822-headers

Return-Path: <news@news.example>
Subject: Please confirm

--b/mx--
"""
    )


def fields(recipient: str, action: str, status: str) -> str:
    """Another recipient of a delivery report."""
    return f"\nFinal-Recipient: rfc822; {recipient}\nAction: {action}\nStatus: {status}\n"


def arf(original: bytes, *, feedback: str = "abuse", return_path: str | None = None) -> bytes:
    """A complaint about a mail, as RFC 5965 has it; `return_path` as the receiver notes it on delivery."""
    noted = f"Return-Path: <{return_path}>\r\n".encode() if return_path else b""
    head, tail = _wire(
        f"""\
From: <abusedesk@mailbox.example>
To: <feedback@{DOMAIN}>
Subject: FW: Please confirm
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="part"

--part
Content-Type: text/plain

This is an email abuse report.

--part
Content-Type: message/feedback-report

Feedback-Type: {feedback}
User-Agent: SomeGenerator/1.0
Version: 1
Original-Rcpt-To: <bob@example.org>

--part
Content-Type: message/rfc822

ORIGINAL
--part--
"""
    ).split(b"ORIGINAL\r\n")
    return head + noted + original + b"\r\n" + tail


def junk(
    original: bytes, *, mark: str = "X-HmXmrOriginalRecipient: ann@example.org\r\n", **headers: str
) -> bytes:
    """A mail as Microsoft passes it on: enclosed, and nothing else that says what it is about."""
    named = {"From": "staff@mailbox.example", "Subject": "complaint about message from 192.0.2.1"} | headers
    head = wish(Content_Type='multipart/mixed; boundary="b"', **named)
    part = b"--b\r\nContent-Type: message/rfc822\r\n\r\n" + mark.encode()
    return head + part + original + b"\r\n--b--\r\n"


def words(
    text: str, *, sender: str = "MAILER-DAEMON@mx.example", subject: str = "failure notice", more: str = ""
) -> bytes:
    """A bounce in a mail system's own words."""
    return _wire(f"From: {sender}\nTo: whoever@news.example\nSubject: {subject}\n{more}\n{text}")


def wish(**headers: str) -> bytes:
    """What a mail program sends to a mailto of List-Unsubscribe."""
    lines = {"From": "Ann <ann@example.org>", "Subject": "unsubscribe", "Message-ID": "<u1@example.org>"}
    named = lines | {name.replace("_", "-"): value for name, value in headers.items()}
    return _wire("".join(f"{name}: {value}\n" for name, value in named.items()) + "\n\n")


def auto_reply(**headers: str) -> bytes:
    """An out-of-office answer."""
    return wish(**{"Subject": "Re: Please confirm"} | headers)


def _wire(text: str) -> bytes:
    return text.encode().replace(b"\n", b"\r\n")

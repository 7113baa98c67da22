"""Reads what a mail system wrote: delivery reports (RFC 3464) and feedback reports (RFC 5965) with the
standard library, all other bounces with flufl.bounce.

It says what a mail reports, and nothing of whom it is about: that is known by the address it came to
(checklist B2). It takes any bytes; those that are made to break readers raise `Unreadable`, soon.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_string
from email.message import Message
from email.utils import getaddresses
from enum import StrEnum
from itertools import islice

from flufl.bounce import all_failures

from newsletter.domain.bounce_policy import Rule, Says, Verdict, judge, mildest, precise, said
from newsletter.mail.bounded import Unreadable, count_lines, head_of, parse

_LARGEST_FREE_TEXT = 256 * 1024  # bytes of a mail that flufl.bounce looks through
_MOST_FREE_LINES = 10_000
_MOST_RECIPIENTS = 100  # in one report; each of our mails went to one
_MOST_ORIGINAL = 20  # fields of the mail that a complaint is about
_LONGEST_TEXT = 4000  # characters that are read of a text


class ReportKind(StrEnum):
    """What a mail is."""

    DELIVERY = "delivery"  # RFC 3464
    FEEDBACK = "feedback"  # RFC 5965
    BOUNCE = "bounce"  # in a vendor's own words
    AUTO_REPLY = "auto_reply"  # out of office, and whatever else machines answer
    OTHER = "other"


@dataclass(frozen=True)
class Failure:
    """A recipient to whom the mail was not delivered, and will not be."""

    status: str
    diagnostic: str

    @property
    def rule(self) -> Rule:
        """What the policy makes of it."""
        return judge(self.status, self.diagnostic)


@dataclass(frozen=True)
class Report:
    """What a mail reports. Of a bounce, `failures` hold those recipients for whom the sender has given up;
    `arrived` tells that some other recipient got it. Of a complaint, `feedback` is its type. `original` are
    headers of the mail that it is about."""

    kind: ReportKind
    failures: tuple[Failure, ...] = ()
    arrived: bool = False
    feedback: str | None = None
    original: tuple[tuple[str, str], ...] = ()

    @property
    def failure(self) -> Failure | None:
        """What it means for the one address that our mail went to. Where that led to several, the mildest
        counts, and nothing where the mail arrived for some."""
        if self.arrived or not self.failures:
            return None
        rule = mildest([failure.rule for failure in self.failures])
        return next(failure for failure in self.failures if failure.rule is rule)


def read_report(raw: bytes) -> Report:
    """What this mail reports. Raises `Unreadable`."""
    small = len(raw) <= _LARGEST_FREE_TEXT and count_lines(raw) <= _MOST_FREE_LINES
    try:
        return _read(parse(raw), small=small)
    except Unreadable:
        raise
    except Exception as error:
        # Readers of mail raise whatever comes to their mind on mail that is made to hurt them (checklist B6).
        raise Unreadable(f"cannot be read: {type(error).__name__}") from error


def _read(mail: Message, *, small: bool) -> Report:
    parts = list(_own_parts(mail))
    kinds = {part.get_content_type() for part in parts}
    if "message/feedback-report" in kinds:
        return Report(
            ReportKind.FEEDBACK,
            feedback=_feedback_type(parts),
            original=tuple(islice(_original(parts), _MOST_ORIGINAL)),
        )
    if (found := _deliveries(parts)) is not None:
        return found
    if (broken := _broken_delivery(mail, parts)) is not None:
        return broken
    if "message/disposition-notification" in kinds or is_auto_reply(mail):
        return Report(ReportKind.AUTO_REPLY)
    if not small:
        return Report(ReportKind.OTHER)
    return _in_own_words(mail, parts)


def _own_parts(mail: Message) -> Iterator[Message]:
    """The parts of a mail, without those of a mail that it encloses: a report in there is about another."""
    yield mail
    if mail.get_content_maintype() != "multipart":
        return
    payload = mail.get_payload()
    for part in payload if isinstance(payload, list) else []:
        if isinstance(part, Message):
            yield from _own_parts(part)


# Delivery reports


def _deliveries(parts: list[Message]) -> Report | None:
    """A report by RFC 3464; None where its fields are missing."""
    text = _first_text(parts)
    failing: list[Message] = []
    arrived, number = False, 0
    for part in parts:
        if not part.get_content_type().endswith("delivery-status"):
            continue
        for block in _blocks(part):
            action = _field(block, "action").partition(" ")[0].rstrip(".;").lower()
            if not action:
                continue
            number += 1
            if number > _MOST_RECIPIENTS:
                raise Unreadable(f"a report about more than {_MOST_RECIPIENTS} recipients")
            arrived |= action in ("delivered", "relayed", "expanded", "deliverable")
            if action == "failed":
                failing.append(block)
    failures = tuple(_failure(block, text, alone=len(failing) == 1) for block in failing)
    return Report(ReportKind.DELIVERY, failures, arrived) if number else None


def _broken_delivery(mail: Message, parts: list[Message]) -> Report | None:
    """A report whose fields are not where they belong. What stands in it as text is taken for no more than a
    failure that counts, or for the reason that it names."""
    if str(mail.get_param("report-type", "")).lower() != "delivery-status":
        return None
    payload = mail.get_payload()
    text = payload if isinstance(payload, str) else _first_text(parts)
    if not _GIVEN_UP.search(f"{mail.get('subject', '')} {text[:_LONGEST_TEXT]}"):
        return None
    found = _DIAGNOSTIC.search(text[:_LONGEST_TEXT])
    return Report(ReportKind.DELIVERY, (_in_words(found[1] if found else ""),))


_GIVEN_UP = re.compile(r"fail|fatal|undeliver|returned", re.IGNORECASE)
_DIAGNOSTIC = re.compile(r"^diagnostic-code:\s*smtp;\s*(.+)$", re.IGNORECASE | re.MULTILINE)


def _in_words(text: str) -> Failure:
    """A failure that is told in nobody's format: words alone are not enough to suppress somebody at once."""
    status = precise(None, text) or "5.0.0"
    if judge(status, text).verdict is Verdict.SUPPRESS_NOW and not status.startswith("5.1."):
        text = ""
    return Failure(status, text)


def _failure(block: Message, text: str, *, alone: bool) -> Failure:
    """One recipient's failure. Where the report gives no reason, the text for people may; it may also tell
    of a milder one, where it is about nobody else."""
    kind, _, diagnostic = _field(block, "diagnostic-code").partition(";")
    if kind[:1].isdigit():  # some leave out the type and begin with the reply
        diagnostic = kind
    given = _field(block, "status")
    status = precise(given, diagnostic)
    comment = given.partition("(")[2]
    if not diagnostic or (alone and said(text) in (Says.FULL, Says.FILTERED)):
        comment = f"{comment} {text}"
    return Failure(status, f"{diagnostic} {comment}".strip()[:_LONGEST_TEXT])


def _blocks(part: Message) -> Iterator[Message]:
    """The groups of fields in a report. The standard library makes a message of each, save where the report
    is internationalised (RFC 6533): of that it reads the first group, and the others stay in its body."""
    payload = part.get_payload()
    for block in payload if isinstance(payload, list) else []:
        if not isinstance(block, Message):
            continue
        yield block
        rest = block.get_payload()
        if part.get_content_type() == "message/global-delivery-status" and isinstance(rest, str):
            for group in re.split(r"\r?\n[ \t]*\r?\n", rest[:_LONGEST_TEXT]):
                yield message_from_string(group.strip())


def _field(block: Message, name: str) -> str:
    return " ".join(str(block.get(name, "")).split())


# Feedback reports


def _feedback_type(parts: list[Message]) -> str | None:
    for part in parts:
        if part.get_content_type() == "message/feedback-report":
            for block in _blocks(part):
                return _field(block, "feedback-type").lower() or None
            payload = part.get_payload(decode=True)
            fields = head_of(payload if isinstance(payload, bytes) else b"")
            return _field(fields, "feedback-type").lower() or None
    return None


def _original(parts: list[Message]) -> Iterator[tuple[str, str]]:
    """Headers of the mail that a report is about, by which we know our own."""
    for part in parts:
        if part.get_content_type() in _ENCLOSED:
            for block in _blocks(part):
                yield from _headers(block)
        elif part.get_content_type() in ("text/rfc822-headers", "message/rfc822-headers"):
            payload = part.get_payload(decode=True)
            yield from _headers(head_of(payload if isinstance(payload, bytes) else b""))


def _headers(mail: Message) -> Iterator[tuple[str, str]]:
    for name in ("Return-Path", "List-Unsubscribe", "Message-ID"):
        for value in mail.get_all(name, []):
            yield name, str(value)


_ENCLOSED = ("message/rfc822", "message/global")


# Everything else


def _in_own_words(mail: Message, parts: list[Message]) -> Report:
    for part in parts:
        if part.get_content_type() in _ENCLOSED:
            part.set_payload([])
    if not getaddresses([str(mail.get("from", ""))]):
        del mail["from"]
        mail["From"] = "unknown@invalid"  # flufl.bounce stumbles over a mail from nobody
    temporary, permanent = all_failures(mail)
    if not permanent and not temporary:
        by_machine = str(mail.get("precedence", "")).strip().lower() in ("bulk", "junk", "list")
        return Report(ReportKind.AUTO_REPLY if by_machine else ReportKind.OTHER)
    if not permanent:
        return Report(ReportKind.BOUNCE)  # a delay: the sender goes on trying
    return Report(ReportKind.BOUNCE, (_in_words(_first_text(parts)),))


def _first_text(parts: list[Message]) -> str:
    """The text for people, up to the mail that it quotes."""
    for part in parts:
        if part.get_content_type() == "text/plain":
            payload = part.get_payload(decode=True)
            text = (
                payload[:_LARGEST_FREE_TEXT].decode("utf-8", "replace") if isinstance(payload, bytes) else ""
            )
            own = re.split(_QUOTED, text, maxsplit=1)[0]
            return " ".join(own.split())[:_LONGEST_TEXT]
    return ""


_QUOTED = re.compile(
    r"^-+ ?(?:this is a copy|below this line|original message|unsent message|message header|the following is)"
    r"|^(?:received|return-path|message-id): ",
    re.IGNORECASE | re.MULTILINE,
)


def is_auto_reply(mail: Message, *, by_subject: bool = True) -> bool:
    """Whether a machine answers in its owner's place (RFC 3834, and what came before it). A subject only
    hints at it: where people and their mail programs write too, it is not to count."""
    if "x-failed-recipients" in mail or _POSTMASTER.search(str(mail.get("from", ""))):
        return False
    submitted = str(mail.get("auto-submitted", "no")).strip().lower()
    return (
        not submitted.startswith(("no", "auto-generated"))
        or any(
            name in mail for name in ("x-autoreply", "x-autorespond", "x-autoresponder", "x-auto-reply-from")
        )
        or str(mail.get("precedence", "")).strip().lower() == "auto_reply"
        or (by_subject and bool(_AWAY.match(str(mail.get("subject", "")))))
    )


_POSTMASTER = re.compile(r"\b(?:mailer[-_]?daemon|postmaster|mail delivery (?:sub)?system)\b", re.IGNORECASE)
_AWAY = re.compile(
    r"\s*(?:auto(?:matic|mated)?[ :-]|out of (?:the )?office|away from|vacation|abwesen)", re.IGNORECASE
)

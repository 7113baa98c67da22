"""Reads what readers press in their mail programs, as providers pass it on: feedback reports (RFC 5965), junk
reports without the part that makes them one, and a mail program's own wish to leave."""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.message import Message
from itertools import islice

from newsletter.mail.bounded import head_of
from newsletter.mail.mime import enclosed_heads, field, groups, subject_of

ABUSE = "abuse"
OPT_OUT = "opt-out"  # of the drafts before RFC 5965, and what Apple's mail program says by a header
_FEEDBACK = "message/feedback-report"
_MOST_ORIGINAL = 20  # fields of the mail that a complaint is about

Fields = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Feedback:
    """The type of a report, and those headers of the mail that it is about by which we know our own."""

    type: str | None
    original: Fields = ()


def read_feedback(mail: Message, parts: list[Message]) -> Feedback | None:
    """What a reader's provider or mail program reports; None where it is no such report."""
    if any(part.get_content_type() == _FEEDBACK for part in parts):
        return Feedback(_type(parts), _original(parts))
    if wants_out(mail):
        return Feedback(OPT_OUT)
    heads = list(islice(enclosed_heads(parts), 2))
    says_so = _MICROSOFT.match(subject_of(mail)) or any(name in head for head in heads for name in _MARKS)
    is_other = mail.get_content_type() == "multipart/report"  # about a mail that may have been marked before
    return Feedback(ABUSE, _original(parts)) if heads and says_so and not is_other else None


def read_junk(mail: Message, parts: list[Message]) -> Feedback | None:
    """What is passed on as junk with nothing but a subject or a sender that says so. Filters that refuse mail
    write the like: where bounces come, it is not to be believed."""
    subject = subject_of(mail)
    if mail.get_content_type() == "multipart/report" or _ANSWERED.match(subject) or _NO_JUNK.search(subject):
        return None
    if not (_SUBJECT.search(subject) or _REPORTER.search(field(mail, "from"))):
        return None
    original = _original(parts)
    return Feedback(ABUSE, original) if original else None


def wants_out(mail: Message) -> bool:
    """Whether Apple's mail program asks in its user's place to be taken off; it marks that as automatic."""
    return field(mail, "x-apple-unsubscribe").lower() == "true"


def _type(parts: list[Message]) -> str | None:
    for part in parts:
        if part.get_content_type() == _FEEDBACK:
            for block in groups(part):
                return field(block, "feedback-type").lower() or None
            payload = part.get_payload(decode=True)
            fields = head_of(payload if isinstance(payload, bytes) else b"")
            return field(fields, "feedback-type").lower() or None
    return None


def _original(parts: list[Message]) -> Fields:
    named = (
        (name, str(value))
        for head in enclosed_heads(parts)
        for name in ("Return-Path", "List-Unsubscribe", "Message-ID")
        for value in head.get_all(name, [])
    )
    return tuple(islice(named, _MOST_ORIGINAL))


# What a provider adds to the mail that it passes on.
_MARKS = ("x-hmxmroriginalrecipient",)
_MICROSOFT = re.compile(r"\s*complaint about message from\b", re.IGNORECASE)
_SUBJECT = re.compile(
    r"complaint about|(?:abuse|spam|junk|feedback|fbl|complaint)(?: e?-?mail)?"
    r" (?:report|complaint|notification|feedback)"
    r"|(?:report|complaint)(?:ed)? (?:of|as|about|for) (?:abuse|spam|junk)|\[(?:spam|junk|abuse|arf|fbl)\]",
    re.IGNORECASE,
)
_NO_JUNK = re.compile(r"\b(?:not|no|non|isn't)[- ]?(?:spam|junk|abuse)", re.IGNORECASE)
_ANSWERED = re.compile(r"\s*(?:re|aw|sv|antw)\s*:", re.IGNORECASE)
_REPORTER = re.compile(
    r"(?<![\w.+-])(?:abuse|complaints?|fbl|feedback(?:-?loop)?|arf|spam-?reports?|junk-?mail|jmrp|scomp)"
    r"(?:[-_+.][\w.-]{1,40})?@",
    re.IGNORECASE,
)

"""Reads what a mail system wrote: delivery reports (RFC 3464) and feedback reports (RFC 5965) with the
standard library, all other bounces by what they say in their own words.

It says what a mail reports, and nothing of whom it is about: that is known by the address it came to
(checklist B2). It takes any bytes; those that are made to break readers raise `Unreadable`, soon.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.message import Message
from enum import StrEnum
from functools import cached_property

from newsletter.domain.bounce_policy import Rule, judge, mildest, precise
from newsletter.domain.bounce_texts import Reason, reason_of
from newsletter.mail.auto_replies import is_auto_reply
from newsletter.mail.bounded import Unreadable, count_lines, parse
from newsletter.mail.feedback import Fields, read_feedback, read_junk
from newsletter.mail.mime import field, groups, own_parts
from newsletter.mail.own_words import is_by_standard, own_text, read_words

_LARGEST_FREE_TEXT = 256 * 1024  # bytes of a mail whose words are read
_MOST_FREE_LINES = 10_000
_MOST_RECIPIENTS = 100  # in one report; each of our mails went to one
_LONGEST_TEXT = 4000  # characters of a diagnostic
_SHORTEST_TEXT = 400  # of each, where there are many


class ReportKind(StrEnum):
    """What a mail is."""

    DELIVERY = "delivery"  # RFC 3464
    FEEDBACK = "feedback"  # RFC 5965, and Microsoft's like of it
    JUNK = "junk"  # a mail that is passed on as junk, in whoever's form: believed where no other mail comes
    BOUNCE = "bounce"  # in a vendor's own words
    AUTO_REPLY = "auto_reply"  # out of office, and whatever else machines answer
    OTHER = "other"


@dataclass(frozen=True)
class Failure:
    """A recipient to whom the mail was not delivered, and will not be."""

    status: str
    diagnostic: str

    @cached_property
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
    original: Fields = ()

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
    parts = list(own_parts(mail))
    kinds = {part.get_content_type() for part in parts}
    if (feedback := read_feedback(mail, parts)) is not None:
        return Report(ReportKind.FEEDBACK, feedback=feedback.type, original=feedback.original)
    if (found := _deliveries(parts)) is not None:
        return found
    if "message/disposition-notification" in kinds or (is_auto_reply(mail) and not is_by_standard(mail)):
        return Report(ReportKind.AUTO_REPLY)
    words = read_words(mail, parts) if small else None
    if words is None and (junk := read_junk(mail, parts)) is not None:
        return Report(ReportKind.JUNK, feedback=junk.type, original=junk.original)
    if words is None:
        by_machine = field(mail, "precedence").lower() in ("bulk", "junk", "list")
        return Report(ReportKind.AUTO_REPLY if by_machine else ReportKind.OTHER)
    kind = ReportKind.DELIVERY if is_by_standard(mail) else ReportKind.BOUNCE
    return Report(kind, (_in_words(words.text),) if words.is_final else ())


def _deliveries(parts: list[Message]) -> Report | None:
    """A report by RFC 3464; None where its fields are missing."""
    text = own_text(parts)
    failing: list[Message] = []
    arrived, number = False, 0
    for part in parts:
        if not part.get_content_type().endswith("delivery-status"):
            continue
        for block in groups(part):
            action = field(block, "action").partition(" ")[0].rstrip(".;").lower()
            if not action:
                continue
            number += 1
            if number > _MOST_RECIPIENTS:
                raise Unreadable(f"a report about more than {_MOST_RECIPIENTS} recipients")
            arrived |= action in ("delivered", "relayed", "expanded", "deliverable")
            if action in _FAILED:
                failing.append(block)
    longest = max(_LONGEST_TEXT // max(len(failing), 1), _SHORTEST_TEXT)
    failures = tuple(_failure(block, text, longest, alone=len(failing) == 1) for block in failing)
    return Report(ReportKind.DELIVERY, failures, arrived) if number else None


_FAILED = ("failed", "failure", "error")  # RFC 3464 §2.3.3; OpenSMTPD's own word


def _in_words(text: str) -> Failure:
    """A failure that is told in nobody's format. What the receiver replied goes before what is told of it:
    operators read the beginning."""
    status = precise(None, text)
    if reply := _REPLY.search(text):
        text = f"{text[reply.start() :]} {text[: reply.start()]}".strip()
    return Failure(status if status[:1] in ("4", "5") else "5.0.0", text)


_REPLY = re.compile(r"\b[45][0-5]\d[ -]")


def _failure(block: Message, text: str, longest: int, *, alone: bool) -> Failure:
    """One recipient's failure. Where the report gives no reason, the text for people may; it may also tell
    of a milder one, where it is about nobody else."""
    whole = field(block, "diagnostic-code")
    # Some leave out the type and begin with the reply.
    diagnostic = whole if whole[:1].isdigit() else whole.partition(";")[2]
    given = field(block, "status")
    status = precise(given, diagnostic) or "5.0.0"
    comment = given.partition("(")[2]
    silent = not diagnostic or (alone and reason_of(f"{diagnostic} {comment}") is Reason.NOT_SAID)
    if silent or (alone and reason_of(text) in (Reason.MAILBOX_FULL, Reason.FILTERED)):
        comment = f"{comment} {text}"
    return Failure(status, f"{diagnostic} {comment}".strip()[:longest])

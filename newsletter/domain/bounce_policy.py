"""What a bounce means for the address: one table, read from the top, the first rule that fits decides (B3).

A rule looks at the status (RFC 3463) and at the reason that the other side gives in words
(newsletter.domain.bounce_texts). What it says goes first where the two disagree: many systems answer 5.1.1
for a mailbox that is full, and 5.0.0 for one that never was.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from newsletter.domain.bounce_texts import LONGEST, Reason, reason_of


class Verdict(StrEnum):
    """What to do, the mildest first."""

    IGNORE = "ignore"
    OUR_FAULT = "our_fault"  # raise an alarm, suppress nobody
    COUNT = "count"  # suppress after a while of these
    SUPPRESS_NOW = "suppress_now"


@dataclass(frozen=True)
class Rule:
    """For statuses that begin so (`*` is any), where one of these reasons is given (none: any)."""

    status: str
    reasons: frozenset[Reason]
    verdict: Verdict
    why: str


def _rule(status: str, reasons: Iterable[Reason], verdict: Verdict, why: str) -> Rule:
    return Rule(status, frozenset(reasons), verdict, why)


ANYTHING: tuple[Reason, ...] = ()
_OURS = (Reason.SENDER_REFUSED, Reason.CONTENT_REFUSED)
_CLOSED = (Reason.FILTERED, Reason.DISABLED)
_DENIED = (Reason.RECIPIENT_DENIED,)
_GONE = (Reason.USER_UNKNOWN, Reason.DOMAIN_UNKNOWN, Reason.MOVED)

POLICY: tuple[Rule, ...] = (
    _rule("2.*", ANYTHING, Verdict.IGNORE, "it arrived"),
    _rule("4.7.*", ANYTHING, Verdict.OUR_FAULT, "the receiver mistrusts us: for now"),
    _rule("4.*", _OURS, Verdict.OUR_FAULT, "the receiver mistrusts us: for now"),
    _rule("4.*", ANYTHING, Verdict.COUNT, "it did not arrive in time"),
    _rule("5.*", (Reason.MAILBOX_FULL,), Verdict.COUNT, "the mailbox is full"),
    _rule("5.2.2", ANYTHING, Verdict.COUNT, "the mailbox is full"),
    _rule("5.*", (Reason.RATE_LIMITED,), Verdict.COUNT, "the receiver is busy"),
    _rule("5.7.*", _GONE, Verdict.COUNT, "a policy, in the words for no such mailbox: Yandex has these"),
    _rule("5.7.*", ANYTHING, Verdict.OUR_FAULT, "the receiver refuses the sender or the contents"),
    _rule("5.1.7", ANYTHING, Verdict.OUR_FAULT, "the sender's address is wrong"),
    _rule("5.1.8", ANYTHING, Verdict.OUR_FAULT, "the sender's address is wrong"),
    _rule("5.6.*", ANYTHING, Verdict.OUR_FAULT, "the contents are refused"),
    _rule("5.3.4", ANYTHING, Verdict.OUR_FAULT, "the mail is too large"),
    _rule("5.2.3", ANYTHING, Verdict.OUR_FAULT, "the mail is too large"),
    _rule("5.*", _OURS, Verdict.OUR_FAULT, "the receiver refuses the sender or the contents"),
    _rule("5.*", _CLOSED, Verdict.COUNT, "the mailbox is there, and may take mail again"),
    _rule("5.*", (Reason.UNREACHABLE,), Verdict.COUNT, "it did not arrive in time"),
    _rule("5.4.1", _DENIED, Verdict.SUPPRESS_NOW, "there is no such mailbox, as Exchange Online says it"),
    _rule("5.2.0", ANYTHING, Verdict.COUNT, "the mailbox is there, and may take mail again"),
    _rule("5.1.0", ANYTHING, Verdict.SUPPRESS_NOW, "there is no such mailbox"),
    _rule("5.1.1", ANYTHING, Verdict.SUPPRESS_NOW, "there is no such mailbox"),
    _rule("5.1.2", ANYTHING, Verdict.SUPPRESS_NOW, "there is no such domain"),
    _rule("5.1.3", ANYTHING, Verdict.SUPPRESS_NOW, "this is no address"),
    _rule("5.1.6", ANYTHING, Verdict.SUPPRESS_NOW, "the mailbox has moved"),
    _rule("5.1.10", ANYTHING, Verdict.SUPPRESS_NOW, "the domain takes no mail (RFC 7505)"),
    _rule("5.*", _GONE, Verdict.SUPPRESS_NOW, "there is no such mailbox or domain"),
    _rule("5.*", (Reason.REFUSED,), Verdict.OUR_FAULT, "the receiver refuses the mail, and does not say why"),
    _rule("5.*", ANYTHING, Verdict.COUNT, "refused, for a reason that may pass"),
    _rule("*", ANYTHING, Verdict.IGNORE, "it says nothing that can be relied on"),
)


def judge(status: str | None, diagnostic: str | None) -> Rule:
    """The rule for a bounce. Without a status, one that is written in the diagnostic counts."""
    status = precise(status, diagnostic)
    reason = reason_of(diagnostic)
    return next(
        rule for rule in POLICY if _fits(rule.status, status) and (not rule.reasons or reason in rule.reasons)
    )


def _fits(pattern: str, status: str) -> bool:
    return status.startswith(pattern[:-1]) if pattern.endswith("*") else status == pattern


_STATUS = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?![\d.]*\d)")
_REPLIED = re.compile(r"\b[45][0-5]\d[- ]'?([45]\.\d{1,3}\.\d{1,3})(?![\d.]*\d)")
_REPLY = re.compile(r"(?<![\d.-])([45])[0-5]\d(?![\d.]*\d)")


def precise(status: str | None, diagnostic: str | None) -> str:
    """The most precise status there is. What the receiving server itself replied goes first; `5.0.0` is none
    where the diagnostic holds a better one of its class. An SMTP reply alone tells the class. Empty where
    nothing tells anything."""
    text = (diagnostic or "")[:LONGEST]
    if replied := _REPLIED.search(text):
        return ".".join(str(int(part)) for part in replied[1].split("."))
    given = _STATUS.search(status or "")
    stated = ".".join(str(int(part)) for part in given.groups()) if given else ""
    if stated and not stated.endswith(".0.0"):
        return stated
    for match in _STATUS.finditer(text):
        found = ".".join(str(int(part)) for part in match.groups())
        if not found.endswith(".0.0") and found[0] == (stated or found)[0]:
            return found
    if stated:
        return stated
    reply = _REPLY.search(text)
    return f"{reply[1]}.0.0" if reply else ""


def mildest(rules: Sequence[Rule]) -> Rule:
    """Of several for one mail, the one that does the least."""
    order = list(Verdict)
    return min(rules, key=lambda rule: order.index(rule.verdict))


# How many mails must have bounced, over how long, before what only counts suppresses (B3).
ENOUGH = 5
LONG_ENOUGH = timedelta(days=14)
# What was longer ago does not count any more.
MEMORY = timedelta(days=180)


def is_enough(bounces: Sequence[datetime]) -> bool:
    """Whether these counted bounces, one of each mail, show an address that takes no mail."""
    return len(bounces) >= ENOUGH and max(bounces) - min(bounces) >= LONG_ENOUGH

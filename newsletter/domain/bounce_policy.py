"""What a bounce means for the address: one table, read from the top, the first rule that fits decides (B3).

A rule looks at the status (RFC 3463) and at what the other side says. What it says goes first where the two
disagree: many systems answer 5.1.1 for a mailbox that is full, and 5.0.0 for one that never was.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, StrEnum


class Verdict(StrEnum):
    """What to do, the mildest first."""

    IGNORE = "ignore"
    OUR_FAULT = "our_fault"  # raise an alarm, suppress nobody
    COUNT = "count"  # suppress after a while of these
    SUPPRESS_NOW = "suppress_now"


class Says(Enum):
    """What a diagnostic says, as far as it matters; each with the words it is known by."""

    FULL = r"""
        quota | mailbox\s(?:is\s|size\s)?(?:full|limit) | (?:mailbox|user)\S*\s(?:is\s)?over | over\s?quota
        | (?:storage|disk|space)\s(?:is\s)?(?:full|exceeded|limit)
        | insufficient\s(?:system\s)?(?:storage|disk)
        | out\sof\s(?:disk|storage)\s?space | too\smany\smessages\s(?:on|in)\s(?:this|the)\smailbox
        | account\sis\sfull | not\senough\s(?:disk|storage)\sspace
        | exceed(?:ed|s)\s(?:the\s)?(?:storage|mailbox|disk)
    """
    TOO_FAST = r"""
        too\s(?:many\s(?:connections|recipients)|fast|frequent|much\smail) | rate\s?limit | throttl
        | try\sagain\slater | try\slater | receiving\smail\sat\sa\srate | frequency\slimited
        | (?:connection|sending|frequency|relay)\s(?:rate|limit)
        | temporar(?:y|ily)\s(?:deferred|rejected|limit|unavailable|failure|error) | greylist
    """
    OURS = r"""
        \bspf\b | \bdkim\b | \bdmarc\b | unauthenticated | authenticat(?:ed|ion) | sender\spolicy
        | spam | junk | unsolicited | \bbulk\b | virus | malware | suspicious | phish
        | black\W?list | block\W?list | blocked | blacklisted
        | \b(?:dns)?[rd]bl\b | reputation | spamhaus | listed\sin
        | relay(?:ing)?\s(?:access\s)?(?:is\s)?(?:not|denied|prohibited) | unable\sto\srelay | cannot\srelay
        | \bpolicy\b | reverse\sdns | \bptr\b | rdns | not\scompliant | non-compliant | rfc\s?[25]\d\d\d
        | content\s(?:rejected|refused) | (?:message|content|body)\s(?:was\s)?(?:rejected|denied|refused)
        | sender\S*\s(?:address\s)?(?:is\s)?(?:rejected|denied|refused|not\sallowed|unknown|verif)
        | access\sdenied | not\sauthori[sz]ed | \bbanned\b | too\s(?:large|big) | size\slimit | message\ssize
    """
    # Whether there is such a mailbox is known before the contents: said after them, it is a filter that
    # speaks. `550 : User unknown` is how KDDI's filter does.
    FILTERED = r"""
        after\send\sof\sdata | in\sreply\sto\s(?:end\sof\s)?data\b | 550\s:\suser\sunknown
        | recipient\spreferences
    """
    ASLEEP = r"""
        disabled | inactive | suspend(?:ed)? | deactivated | expired\saccount | closed\saccount | locked
        | not\s(?:currently\s)?(?:active|accepting)
    """
    NO_USER = r"""
        (?:user|recipient|mailbox|address|account|addressee|alias)\S*\s(?:\S+\s){0,4}?(?:unknown|not\sfound)
        | (?:user|recipient|mailbox|address|account|addressee|member)\S*\s(?:\S+\s){0,5}?
          (?:does|do|did)(?:\snot|n.t)\sexist
        | unknown\s(?:or\sillegal\s)?(?:user|recipient|address|alias|account|mailbox|local)
        | no\ssuch\s(?:user|recipient|mailbox|address|account|person|addressee|alias|local)
        | (?:no|not\sa)\s(?:valid\s)?(?:mailbox|recipient|account)\s(?:here|by|with|found|exists)
        | (?:user|recipient|mailbox|address|account)\S*\s(?:\S+\s){0,3}?
          no\slonger\s(?:available|exists|valid|with)
        | invalid\s(?:final\s)?(?:recipient|mailbox|user|address)
        | user\sdoesn.t\shave\sa | not\sa\svalid\smailbox
        | doesn.t\shave\sa\s\S+\saccount
        | (?:isn.t|is\snot)\s(?:a\s)?(?:known|listed)\s(?:user|in) | not\slisted\sin
        | mailbox\sunavailable | ^542\s
        | recipnotfound | can.t\sfind\sa\s(?:mailbox|user)
        | does\snot\shave\sa\smailbox | not\sour\scustomer
    """
    NO_HOST = r"""
        host\s(?:\S+\s)?(?:unknown|not\sfound) | unknown\s(?:mail\s)?(?:host|domain)
        | no\ssuch\s(?:domain|host)
        | domain\s(?:\S+\s){0,3}?(?:not\sfound|does\snot\sexist|doesn.t\sexist|unknown|nonexistent)
        | domain\sis\snot\sreachable | (?<![\w.-])nullmx\b(?![.-]\w) | null\smx
        | does\snot\saccept\s(?:e?mail|messages)\s\(nullmx | couldn.t\sfind\sany\shost
    """
    NOTHING = r"(?!)"  # none of these


_READ = {says: re.compile(says.value, re.VERBOSE | re.IGNORECASE) for says in Says}
_LONGEST = 2000  # characters of a diagnostic that are looked at


def said(diagnostic: str | None) -> Says:
    """What a diagnostic says. A full mailbox or a sender's fault outweighs an unknown user: some write all
    three into one sentence, and nobody is to lose a reader over a guess."""
    text = _without_names((diagnostic or "")[:_LONGEST])
    return next((says for says in Says if _READ[says].search(text)), Says.NOTHING)


def _without_names(text: str) -> str:
    """A text on one line without addresses, hosts and links in it: they are made of anybody's words."""
    words = text.split()
    return " ".join(
        "…" if _NAME.search(word) or (_HOST.match(word) and _BEFORE_HOST.search(before)) else word
        for before, word in zip(["", *words], words, strict=False)
    )


_NAME = re.compile(r"@|://|^\W*(?:www\.|name=)", re.IGNORECASE)
_HOST = re.compile(r"\W*[a-z0-9-]+(?:\.[a-z0-9-]+)+", re.IGNORECASE)
_BEFORE_HOST = re.compile(r"^\W*(?:host|domain|server|for|from|by|at)\W*$", re.IGNORECASE)


@dataclass(frozen=True)
class Rule:
    """For statuses that begin so (`*` is any), where the diagnostic says one of these (none: whatever)."""

    status: str
    says: frozenset[Says]
    verdict: Verdict
    why: str


def _rule(status: str, says: Iterable[Says], verdict: Verdict, why: str) -> Rule:
    return Rule(status, frozenset(says), verdict, why)


ANYTHING: tuple[Says, ...] = ()
_GONE = (Says.NO_USER, Says.NO_HOST)

POLICY: tuple[Rule, ...] = (
    _rule("2.*", ANYTHING, Verdict.IGNORE, "it arrived"),
    _rule("4.7.*", ANYTHING, Verdict.OUR_FAULT, "the receiver mistrusts us: for now"),
    _rule("4.*", (Says.OURS,), Verdict.OUR_FAULT, "the receiver mistrusts us: for now"),
    _rule("4.*", ANYTHING, Verdict.COUNT, "it did not arrive in time"),
    _rule("5.*", (Says.FULL,), Verdict.COUNT, "the mailbox is full"),
    _rule("5.2.2", ANYTHING, Verdict.COUNT, "the mailbox is full"),
    _rule("5.*", (Says.TOO_FAST,), Verdict.COUNT, "the receiver is busy"),
    _rule("5.7.*", ANYTHING, Verdict.OUR_FAULT, "the receiver refuses the sender or the contents"),
    _rule("5.1.7", ANYTHING, Verdict.OUR_FAULT, "the sender's address is wrong"),
    _rule("5.1.8", ANYTHING, Verdict.OUR_FAULT, "the sender's address is wrong"),
    _rule("5.6.*", ANYTHING, Verdict.OUR_FAULT, "the contents are refused"),
    _rule("5.3.4", ANYTHING, Verdict.OUR_FAULT, "the mail is too large"),
    _rule("5.2.3", ANYTHING, Verdict.OUR_FAULT, "the mail is too large"),
    _rule("5.4.1", ANYTHING, Verdict.COUNT, "the recipient is refused: Microsoft's word for an unknown one"),
    _rule("5.*", (Says.OURS,), Verdict.OUR_FAULT, "the receiver refuses the sender or the contents"),
    _rule(
        "5.*", (Says.FILTERED, Says.ASLEEP), Verdict.COUNT, "the mailbox is there, and may take mail again"
    ),
    _rule("5.2.0", ANYTHING, Verdict.COUNT, "the mailbox is there, and may take mail again"),
    _rule("5.1.1", ANYTHING, Verdict.SUPPRESS_NOW, "there is no such mailbox"),
    _rule("5.1.2", ANYTHING, Verdict.SUPPRESS_NOW, "there is no such domain"),
    _rule("5.1.3", ANYTHING, Verdict.SUPPRESS_NOW, "this is no address"),
    _rule("5.1.6", ANYTHING, Verdict.SUPPRESS_NOW, "the mailbox has moved"),
    _rule("5.1.10", ANYTHING, Verdict.SUPPRESS_NOW, "the domain takes no mail (RFC 7505)"),
    _rule("5.*", _GONE, Verdict.SUPPRESS_NOW, "there is no such mailbox or domain"),
    _rule("5.*", ANYTHING, Verdict.COUNT, "refused, for a reason that may pass"),
    _rule("*", ANYTHING, Verdict.IGNORE, "it says nothing that can be relied on"),
)


def judge(status: str | None, diagnostic: str | None) -> Rule:
    """The rule for a bounce. Without a status, one that is written in the diagnostic counts."""
    status = precise(status, diagnostic)
    says = said(diagnostic)
    return next(
        rule for rule in POLICY if _fits(rule.status, status) and (not rule.says or says in rule.says)
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
    text = (diagnostic or "")[:_LONGEST]
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

"""What a refusal says, known by its words. The table is bounce_texts.toml beside this file.

A milder reason outweighs a graver one in the same text: some write all into one sentence, and nobody is to
lose a reader over a guess. What a reason leads to is told in newsletter.domain.bounce_policy.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import Path


class Reason(Enum):
    """Why a mail was refused, the mildest first: what stands above outweighs what stands below."""

    MAILBOX_FULL = "the mailbox is full"
    RATE_LIMITED = "the receiver is busy, or takes no more for now"
    SENDER_REFUSED = "it is about us: address, host, name, reputation, or what proves us"
    CONTENT_REFUSED = "it is about the mail, or a policy"
    FILTERED = "the recipient, or who runs the mailbox, chose what to take"
    DISABLED = "the mailbox is there, and closed for now"
    UNREACHABLE = "no connection, or no answer in time"
    RECIPIENT_DENIED = "the recipient is refused, and nobody says why"
    MOVED = "the mailbox has moved"
    USER_UNKNOWN = "there is no such mailbox"
    DOMAIN_UNKNOWN = "there is no such domain, or it takes no mail"
    REFUSED = "refused, in words that are no reason"
    NOT_SAID = "nothing that is known"


LONGEST = 4000  # characters of a text that are looked at
_FILE = Path(__file__).with_suffix(".toml")


def reason_of(text: str | None) -> Reason:
    """What a refusal says; of several reasons the mildest. Addresses, hosts and links in it say nothing,
    whatever words they are made of, save a link that is itself about the sender."""
    text = (text or "")[:LONGEST]
    even, table = plain(text), _table()
    for reason, known in table.reasons.items():
        if known.search(even) or (reason is Reason.SENDER_REFUSED and table.about_us.search(text)):
            return reason
    return Reason.SENDER_REFUSED if table.naming_us.search(text) else Reason.NOT_SAID


def plain(text: str) -> str:
    """A text in one line of small letters, without punctuation, names and links."""
    words = unicodedata.normalize("NFKC", text[:LONGEST]).casefold().replace("'", "’").split()
    named = " ".join(
        "…" if _NAME.search(word) or (_HOST.match(word) and _BEFORE_HOST.search(before)) else word
        for before, word in zip(["", *words], words, strict=False)
    )
    return " ".join(_PUNCTUATION.sub(" ", _ENDS.sub("", named)).split())


# An address, a link, or a name that is marked as one.
_NAME = re.compile(r"@|://|^\W*(?:www\.|name=)")
_HOST = re.compile(r"\W*[a-z0-9-]+(?:\.[a-z0-9-]+)+")
_BEFORE_HOST = re.compile(r"^\W*(?:host|domain|server|for|from|by|at)\W*$")
_ENDS = re.compile(r"(?<=\w)[:.]+(?=\s|$)")
_PUNCTUATION = re.compile(r"[,;\"<>()\[\]{}!?|*_=]+")


def _either(rows: Iterable[str]) -> str:
    return f"(?:{'|'.join(rows)})"


def _link(rows: Iterable[str]) -> re.Pattern[str]:
    return re.compile(rf"https?://\S{{0,200}}?{_either(rows)}", re.IGNORECASE)


@dataclass(frozen=True)
class _Table:
    """What each reason is known by, the mildest first, and links that are about us or name us."""

    reasons: dict[Reason, re.Pattern[str]]
    about_us: re.Pattern[str]
    naming_us: re.Pattern[str]


@cache
def _table() -> _Table:
    """Read when it is needed: most processes never see a bounce."""
    table = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    names = {f"{{{name}}}": _either(words) for name, words in table.pop("words").items()}
    about_us, naming_us = _link(table.pop("links")), _link(table.pop("links_that_name_us"))

    def pattern(row: str) -> str:
        row = row.replace(" ~ ", r" (?:\S+ ){0,5}?")
        return re.sub(r"\{[a-z_]+\}", lambda name: names[name[0]], row)

    known = {Reason[name.upper()]: re.compile(_either(map(pattern, rows))) for name, rows in table.items()}
    in_order = {reason: known[reason] for reason in Reason if reason in known}
    return _Table(in_order, about_us, naming_us)

"""A mail as it lies on the wire: its header fields byte for byte, and its parts.

Header fields are read by hand, because a parser that mends what it reads hides what is to be found.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from email import policy
from email.message import Message
from email.parser import BytesParser
from functools import cached_property
from html.parser import HTMLParser

from newsletter.conformance.rules import CannotCheck

_URI = re.compile(r"https?://[^\s<>\"]+")


@dataclass(frozen=True)
class Field:
    """A header field: its name, and its value with all folds as they stand."""

    name: str
    raw: bytes

    @property
    def text(self) -> str:
        """The value on one line."""
        return re.sub(r"\r?\n(?=[ \t])", "", self.raw.decode("utf-8", "replace")).strip()


def tags_of(value: str) -> dict[str, str]:
    """A tag list (RFC 6376 §3.2); white space within a value is of no meaning in the tags that are read."""
    pairs = (tag.partition("=") for tag in value.split(";"))
    return {name.strip(): re.sub(r"\s", "", text) for name, _, text in pairs}


@dataclass(frozen=True)
class Signature:
    """A DKIM signature: its tags, and its fault; None where it passes. Whether it does is `unknown` where its
    key could not be had. `bits` are those of its key, where that was read."""

    tags: dict[str, str]
    fault: str | None = None
    unknown: bool = False
    bits: int | None = None

    @property
    def covered(self) -> list[str]:
        """The header fields that it covers, in lower case, as often as it names them."""
        return self.tags.get("h", "").lower().split(":")


@dataclass(frozen=True)
class Expected:
    """What the operator's settings say about every mail."""

    base_url: str
    on_loopback: bool


@dataclass(frozen=True)
class Mail:
    """One mail. `recipient` is the envelope's, where it is known; one that has `arrived` has gone through
    relays, which may fold, sign and add. Its signatures are `checked` where they were verified anew."""

    raw: bytes
    expected: Expected
    recipient: str | None = None
    arrived: bool = False
    checked: tuple[Signature, ...] | None = None

    def verified(self, signatures: tuple[Signature, ...]) -> Mail:
        """The same mail, with what became of its signatures."""
        return replace(self, checked=signatures)

    @classmethod
    def saved(cls, content: bytes, expected: Expected) -> Mail:
        """A mail from a file that a mail program saved: its line ends may be its own, and a mailbox's
        separator may stand before it. Raises `CannotCheck` where it holds no mail."""
        if content.startswith(b"From "):
            content = content.partition(b"\n")[2]
        if b"\r\n" not in content:
            content = content.replace(b"\n", b"\r\n")
        mail = cls(content, expected, arrived=True)
        if not mail.named("From"):
            raise CannotCheck("the file holds no mail: save the whole source, with its headers")
        try:
            _ = mail.message
        except RecursionError as error:
            raise CannotCheck("the mail is nested too deeply to be one of this service") from error
        return mail

    @cached_property
    def head(self) -> bytes:
        return self.raw.partition(b"\r\n\r\n")[0]

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        found = []
        for line in re.split(rb"\r\n(?![ \t])", self.head):
            name, colon, value = line.partition(b":")
            if colon:
                found.append(Field(name.decode("latin-1").strip(), value))
        return tuple(found)

    def named(self, name: str) -> list[Field]:
        """The fields of a name, in their order."""
        return [field for field in self.fields if field.name.lower() == name.lower()]

    def text_of(self, name: str) -> str:
        """The value of the first field of a name; empty where there is none."""
        return next((field.text for field in self.named(name)), "")

    @cached_property
    def message(self) -> Message:
        return BytesParser(policy=policy.compat32).parsebytes(self.raw)

    def part(self, subtype: str) -> str | None:
        """The text of its `plain` or `html` part."""
        for part in self.message.walk():
            if part.get_content_type() == f"text/{subtype}" and not part.is_multipart():
                payload = part.get_payload(decode=True)
                assert isinstance(payload, bytes)
                return payload.decode("utf-8", "replace")
        return None

    def links(self, subtype: str) -> list[str]:
        """The web addresses that a part leads to."""
        text = self.part(subtype) or ""
        return _URI.findall(text) if subtype == "plain" else hrefs(text)

    def door(self, door: str) -> str | None:
        """The first link of the text part that leads to a door such as `confirm`."""
        wanted = f"{self.expected.base_url}/{door}/"
        return next((link for link in self.links("plain") if link.startswith(wanted)), None)

    @cached_property
    def unsubscribe_url(self) -> str | None:
        """The web address in List-Unsubscribe, however that is written."""
        field = re.sub(r"\s", "", self.text_of("List-Unsubscribe"))
        found = re.search(r"<(https?://[^<>]+)>", field)
        return found[1] if found else None

    @property
    def from_domain(self) -> str:
        found = re.search(r"@([^\s<>@]+?)>?\s*$", self.text_of("From"))
        return found[1].lower() if found else ""


class _Hrefs(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.found += [value for name, value in attrs if name == "href" and value]


def hrefs(html: str) -> list[str]:
    """Where the links of a page lead."""
    parser = _Hrefs()
    parser.feed(html)
    return parser.found

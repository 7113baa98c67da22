"""What the readers of returned mail need of its parts: which are its own, their fields, and their text."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterator
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.message import Message
from html import unescape
from quopri import decodestring

from newsletter.mail.bounded import head_of

ENCLOSED = ("message/rfc822", "message/global")
_HEADERS = ("text/rfc822-headers", "message/rfc822-headers", "message/global-headers")
_LONGEST_TEXT = 64 * 1024  # characters of one part
_LONGEST_SUBJECT = 2000  # characters
_MOST_FIELDS = 16 * 1024  # characters of a part's fields that Python left in a body


def own_parts(mail: Message) -> Iterator[Message]:
    """The parts of a mail, without those of a mail that it encloses: a report in there is about another."""
    yield mail
    if mail.get_content_maintype() != "multipart":
        return
    payload = mail.get_payload()
    for part in payload if isinstance(payload, list) else []:
        if isinstance(part, Message):
            yield from own_parts(part)


def groups(part: Message) -> Iterator[Message]:
    """The groups of fields in a report. The standard library makes a message of each, save where the report
    is internationalised (RFC 6533): of that it reads the first group, and the others stay in its body. It
    never decodes such a part, though an internationalised one goes in base64 where 7 bits are the most."""
    if (decoded := _decoded(part)) is not None:
        for group in _BETWEEN.split(decoded.strip()):
            yield head_of(group)
        return
    payload = part.get_payload()
    for block in payload if isinstance(payload, list) else []:
        if not isinstance(block, Message):
            continue
        yield block
        rest = block.get_payload()
        if part.get_content_type() == "message/global-delivery-status" and isinstance(rest, str):
            for group in _BETWEEN.split(rest[:_MOST_FIELDS].encode("utf-8", "surrogateescape")):
                yield head_of(group.strip())


def enclosed_heads(parts: list[Message]) -> Iterator[Message]:
    """The headers of the mails that a mail encloses, whole or in part, however they are attached."""
    for part in parts:
        kind = part.get_content_type()
        if kind in ENCLOSED:
            decoded = _decoded(part)
            yield from [head_of(decoded)] if decoded is not None else groups(part)
        elif kind in _HEADERS or _names_a_mail(part):
            payload = part.get_payload(decode=True)
            yield head_of(payload if isinstance(payload, bytes) else _decoded(part) or b"")


def field(block: Message, name: str) -> str:
    """A field on one line; empty where there is none. Its letters may be UTF-8 as they are (RFC 6532)."""
    raw = next((value for key, value in block.raw_items() if key.lower() == name), "")
    return " ".join(str(raw).encode("utf-8", "surrogateescape").decode("utf-8", "replace").split())


def subject_of(mail: Message) -> str:
    """The subject as people see it, on one line."""
    subject = field(mail, "subject")[:_LONGEST_SUBJECT]
    try:
        return " ".join(str(make_header(decode_header(subject))).split())
    except (HeaderParseError, LookupError, ValueError):
        return subject


def text_of(part: Message) -> str:
    """The text of a part, by its own character set as far as that is known; of HTML, what is read of it."""
    payload = part.get_payload(decode=True)
    if not isinstance(payload, bytes):
        return ""
    payload = payload[:_LONGEST_TEXT]
    charset = part.get_content_charset("utf-8")
    try:
        text = payload.decode(charset if charset != "us-ascii" else "utf-8", "replace")
    except (LookupError, ValueError):
        text = payload.decode("utf-8", "replace")
    if part.get_content_type() != "text/html":
        return text
    return unescape(_TAGS.sub(" ", _BREAKS.sub("\n", _UNSEEN.sub(" ", text))))


def _decoded(part: Message) -> bytes | None:
    """What an encoded part holds that the standard library takes for plain; None where it is plain."""
    coding = field(part, "content-transfer-encoding").lower()
    payload = part.get_payload()
    if coding not in ("base64", "quoted-printable") or not isinstance(payload, list):
        return None
    raw = b"\n\n".join(block.as_bytes().strip() for block in payload if isinstance(block, Message))
    return b64decode(raw) if coding == "base64" else decodestring(raw)


def _names_a_mail(part: Message) -> bool:
    name = part.get_filename()
    return name is not None and name.lower().endswith(".eml") and not part.is_multipart()


_BETWEEN = re.compile(rb"\r?\n[ \t]*\r?\n")
_UNSEEN = re.compile(r"<(?:style|script|head)\b[^>]{0,500}>[^<]{0,20000}", re.IGNORECASE)
_BREAKS = re.compile(r"<(?:br|/?p|/?div|/?tr|/?li|/?h\d)\b[^>]{0,500}>", re.IGNORECASE)
_TAGS = re.compile(r"<[^<>]{0,1000}>")

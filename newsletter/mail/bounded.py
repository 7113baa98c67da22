"""Parses mail within bounds, so that no mail is dear to read (checklist B6).

The standard library takes time by the square for parameters without end, and much of it for every line, part
and level of MIME. What goes beyond what mail systems write is refused where it is met: fields before anything
looks into them, parts before the next one is made.
"""

from __future__ import annotations

import re
from email import message_from_bytes
from email.message import Message
from email.parser import BytesHeaderParser
from email.policy import Compat32

LARGEST = 5 * 1024 * 1024  # bytes of a mail; a report with our mail in it is a hundredth of that
_LONGEST_HEAD = 64 * 1024  # bytes
_LONGEST_FIELD = 64 * 1024  # characters
_MOST_PARAMETERS = 100  # of one field
_MOST_LINES = 100_000
_MOST_LEVELS = 50  # what opens one; a multipart counts twice
_MOST_PARTS = 250  # the groups of a report's fields among them


class Unreadable(Exception):
    """Not a mail that anybody wrote in good faith, or far too much of one. The message says why."""


def parse(raw: bytes) -> Message:
    """A mail with its parts. Raises `Unreadable`."""
    if len(raw) > LARGEST:
        raise Unreadable(f"larger than {LARGEST // 1024 // 1024} MB")
    if count_lines(raw) > _MOST_LINES:
        raise Unreadable(f"more than {_MOST_LINES:,} lines")
    # Each level makes every line below it dearer to read: what is nested too deep is not read at all.
    if sum(1 for _ in _LEVEL.finditer(raw)) > _MOST_LEVELS:
        raise Unreadable(f"more than {_MOST_LEVELS} parts in parts")
    made = 0

    def make(policy: _Bounded = _BOUNDED) -> Message:
        nonlocal made
        made += 1
        if made > _MOST_PARTS:
            raise Unreadable(f"more than {_MOST_PARTS} parts")
        return Message(policy=policy)

    return message_from_bytes(raw, make, policy=_BOUNDED)


def head_of(raw: bytes) -> Message:
    """A mail's headers alone. Its parameters are not bounded: of fields with some, read only what comes
    before them."""
    head = _END_OF_HEAD.split(raw[:_LONGEST_HEAD], maxsplit=1)[0]
    return BytesHeaderParser().parsebytes(head + b"\r\n\r\n")


def count_lines(raw: bytes) -> int:
    """Lines as a parser of mail counts them, whichever way they end."""
    return raw.count(b"\n") + raw.count(b"\r") - raw.count(b"\r\n")


class _Bounded(Compat32):
    def header_source_parse(self, sourcelines: list[str]) -> tuple[str, str]:
        name, value = super().header_source_parse(sourcelines)
        if len(value) > _LONGEST_FIELD:
            raise Unreadable(f"a field of more than {_LONGEST_FIELD // 1024} KB")
        if name.lower().startswith("content-") and value.count(";") > _MOST_PARAMETERS:
            raise Unreadable(f"a field with more than {_MOST_PARAMETERS} parameters")
        return name, value


_BOUNDED = _Bounded()
_LEVEL = re.compile(rb"boundary[\s*0-9]*=|:\s*message/|multipart/", re.IGNORECASE)
_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")

"""What a list may send beside confirmations: one reminder, and a welcome. Both are off unless its owner sets
them."""

from __future__ import annotations

import re
import unicodedata

MOST_HOURS = 30 * 24
LONGEST_WELCOME = 5000  # characters
_SPAN = re.compile(r"([1-9][0-9]{0,3})\s*(h|hours?|d|days?)")
_BARRED = frozenset({"Cc", "Cs", "Zl", "Zp"})


class ExtraMailError(ValueError):
    """A reminder or a welcome cannot be sent so. The message says why, in one line."""


def parse_hours(typed: str) -> int | None:
    """The hours of a span such as `2d` or `36h`; None for `off` or an empty text. Raises `ExtraMailError`."""
    span = typed.strip().lower()
    if span in ("", "off"):
        return None
    match = _SPAN.fullmatch(span)
    if match is None:
        raise ExtraMailError(f"a reminder comes after a time such as 2d or 36h, or is off; not {typed!r}")
    return check_hours(int(match[1]) * (24 if match[2].startswith("d") else 1))


def check_hours(hours: int) -> int:
    """The hours, where a reminder may come after them. Raises `ExtraMailError`."""
    if not 1 <= hours <= MOST_HOURS:
        raise ExtraMailError(f"a reminder comes after 1 hour to {MOST_HOURS // 24} days")
    return hours


def shown_hours(hours: int) -> str:
    """As it is typed: `2d`, `36h`."""
    return f"{hours // 24}d" if hours % 24 == 0 else f"{hours}h"


def check_welcome(typed: str) -> str | None:
    """The text of a welcome as it is kept; None for an empty one. Raises `ExtraMailError`."""
    lines = [line.rstrip() for line in typed.replace("\r\n", "\n").replace("\t", " ").split("\n")]
    text = "\n".join(lines).strip("\n")
    if len(text) > LONGEST_WELCOME:
        raise ExtraMailError(f"a welcome has at most {LONGEST_WELCOME} characters")
    if any(unicodedata.category(character) in _BARRED for line in lines for character in line):
        raise ExtraMailError("a welcome is plain text, without control characters")
    return text if text.strip() else None

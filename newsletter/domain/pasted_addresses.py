"""What people paste around an address, taken off before it is checked: blanks and invisible characters at its
ends, punctuation, quotes, brackets, a name, `mailto:`. What stands inside is left for `parse_address`."""

from __future__ import annotations

import re
from urllib.parse import unquote


def _characters(ranges: str) -> str:
    """All characters of the ranges of a regular expression's class."""
    ends = re.findall(r"(.)(?:-(.))?", ranges, re.DOTALL)
    return "".join(chr(code) for first, last in ends for code in range(ord(first), ord(last or first) + 1))


# Unicode's White_Space; and its Default_Ignorable_Code_Point, with two more that show nothing: the braille
# blank and the marks of annotations. Both as the class of a regular expression.
WHITE_CLASS = "\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
INVISIBLE_CLASS = (
    "\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
WHITE, INVISIBLE = _characters(WHITE_CLASS), _characters(INVISIBLE_CLASS)
_QUOTES = '"«»‹›„“”‟‚‘’‛「」『』'
_BRACKETS = "<>()[]〈〉《》【】〔〕"
# What no address begins with, and what none ends with.
_BEFORE = WHITE + INVISIBLE + _QUOTES + _BRACKETS + ",;:、"
_AFTER = _BEFORE + ".!?'`*{}。｡"
# May begin a local part, so it is taken off in pairs only.
_PAIRS = "'`*"
# A full-width letter is the same letter, wherever an address is typed (RFC 8265 §3.3.1); so are small forms.
_WIDTHS = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0xFE52: ord("."), 0xFE6B: ord("@")}
_CUT_OFF = re.compile(r"\.\s*\.|[…‥]")
_LINK = re.compile(r"mailto:(?://)?([^?#]*)", re.IGNORECASE)
_BRACKETED = re.compile(r"([^<>()\[\]]*)[<(\[]([^<>()\[\]]*)[>)\]]([^<>()\[\]]*)")
_BETWEEN = re.compile(rf"[{re.escape(WHITE + _QUOTES + _BRACKETS)},;:|]+")
_LONGEST = 8192  # characters; what is longer was never an address with something around it
_LAYERS = 6  # a name, brackets, a link, its quotes, …


def unwrap(typed: str) -> str:
    """The address in what somebody typed or pasted, if there is one; else whatever is left."""
    if typed.isascii() and typed[:1].isalnum() and typed[-1:].isalnum() and ":" not in typed:
        return typed
    if len(typed) > _LONGEST:
        return typed.strip()
    text = typed if typed.isascii() else typed.translate(_WIDTHS)
    for _ in range(_LAYERS):
        before, text = text, _without_a_layer(text.strip(WHITE + INVISIBLE))
        if text == before:
            break
    return text


def addresses_in(text: str) -> set[str]:
    """What looks like an address in a text, to compare."""
    parts = (part.rstrip(".").casefold() for part in _BETWEEN.split(text))
    return {part.removeprefix("mailto:") for part in parts if 0 < part.find("@") < len(part) - 1}


def _without_a_layer(text: str) -> str:
    link = _LINK.match(text)
    if link:
        return unquote(link[1])
    bracketed = _BRACKETED.fullmatch(text)
    if bracketed:
        text = _named(text, *bracketed.groups())
    if len(text) > 1 and text[0] == text[-1] and text[0] in _PAIRS:
        return text[1:-1]
    bare = text.rstrip(_AFTER)
    if _CUT_OFF.search(text, len(bare)):
        bare = text  # a longer address, shown short: its end is not known
    return bare.lstrip(_BEFORE)


def _named(text: str, before: str, inside: str, after: str) -> str:
    """The address beside its owner's name, where one of them is in brackets: `Ann <ann@example.org>`. Where
    both are addresses, they must be the same."""
    within, around = addresses_in(inside), addresses_in(f"{before} {after}")
    if len(within | around) > 1:
        return text
    if within or ("@" in inside and not around):
        return inside
    one_side = before.strip(WHITE) or after
    return one_side if around and "" in (before.strip(WHITE), after.strip(WHITE + ".,;")) else text

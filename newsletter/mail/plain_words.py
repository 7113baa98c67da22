"""A publisher's plain text in a mail: wrapped for the text part; escaped, in paragraphs and with its web
addresses made links for the HTML part. It holds no markup, and can bring none in."""

from __future__ import annotations

import re
from textwrap import fill

from markupsafe import Markup, escape

_WIDTH = 68
# Web addresses only. What closes a sentence or a bracket around one is not part of it.
_URL = re.compile(r"https?://[^\s<>\"'`{}|\\^]+")
_AFTER = ".,;:!?…»”’*_"
_BRACKETS = {")": "(", "]": "["}
_PARAGRAPH = Markup('<p dir="auto" style="margin:0 0 16px;">{}</p>')
_LINK = Markup('<a class="link" href="{0}" dir="ltr" style="color:#a83412;word-break:break-word;">{0}</a>')


def wrapped(text: str) -> str:
    """The text in lines that are easy to read; its own line breaks stay, and links are never broken."""
    return "\n".join(
        fill(line, _WIDTH, break_long_words=False, break_on_hyphens=False) for line in text.split("\n")
    )


def marked_up(text: str) -> Markup:
    """The text as HTML."""
    paragraphs = (part.strip("\n") for part in re.split(r"\n{2,}", text))
    return Markup("\n").join(
        _PARAGRAPH.format(Markup("<br>\n").join(map(_linked, paragraph.split("\n"))))
        for paragraph in paragraphs
        if paragraph.strip()
    )


def _linked(line: str) -> Markup:
    """One line, escaped, with its web addresses as links."""
    pieces: list[Markup] = []
    end = 0
    for match in _URL.finditer(line):
        url = _without_what_follows(match[0])
        pieces += [escape(line[end : match.start()]), _LINK.format(url)]
        end = match.start() + len(url)
    return Markup("").join([*pieces, escape(line[end:])])


def _without_what_follows(url: str) -> str:
    while url[-1] in _AFTER or (url[-1] in _BRACKETS and url.count(url[-1]) > url.count(_BRACKETS[url[-1]])):
        url = url[:-1]
    return url

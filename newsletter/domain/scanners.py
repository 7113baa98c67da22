"""Who looks at links of our mails without pressing a button, and what that would have done if looking acted.

Mail systems fetch links to see where they lead: with HEAD, ahead of the reader, by programs that say who
they are or send less than a browser does, or within seconds of the mail. This is the one place that tells
them from people. It judges nobody: looks are counted, and the pages are the same for all.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class Door(StrEnum):
    """Which link was looked at."""

    CONFIRM = "confirm"
    UNSUBSCRIBE = "unsubscribe"
    OWN_PAGE = "own_page"  # has many buttons, so no look at it would have done any one thing
    NEW_ADDRESS = "new_address"
    STOP_CHANGE = "stop_change"
    NOT_ME = "not_me"


class Kind(StrEnum):
    """How it was looked at."""

    HEAD = "head"
    OPTIONS = "options"
    PREFETCH = "prefetch"  # a browser or a mail program, ahead of its reader
    SCANNER = "scanner"  # a program that says that it is no browser
    NO_HINTS = "no_hints"  # without what every browser sends along
    BROWSER = "browser"  # what it sends is what browsers send


class Delay(StrEnum):
    """How long after the mail was sent: up to so long."""

    SECONDS = "5s"
    MINUTE = "1m"
    MINUTES = "10m"
    HOUR = "1h"
    DAY = "1d"
    LATER = "later"
    UNKNOWN = "unknown"


class Effect(StrEnum):
    """Whether pressing the button at that moment would have changed something."""

    ACTS = "acts"
    NOTHING = "nothing"


@dataclass(frozen=True)
class Look:
    """One safe request for the page of a link."""

    door: Door
    kind: Kind
    delay: Delay
    effect: Effect

    @property
    def is_machine(self) -> bool:
        """Whether no person did it. Nobody reads a mail and follows its link within seconds of its sending,
        whatever their browser says of itself."""
        return self.kind is not Kind.BROWSER or self.delay is Delay.SECONDS

    @property
    def would_be_false(self) -> bool:
        """Whether it would have been a false confirmation, unsubscribing or change, if looking acted."""
        return self.is_machine and self.effect is Effect.ACTS


_UP_TO = (
    (timedelta(seconds=5), Delay.SECONDS),
    (timedelta(minutes=1), Delay.MINUTE),
    (timedelta(minutes=10), Delay.MINUTES),
    (timedelta(hours=1), Delay.HOUR),
    (timedelta(days=1), Delay.DAY),
)
# Sec-Purpose is the standard (Fetch, «Sec-Purpose»); the others are what came before it.
_PURPOSES = ("Sec-Purpose", "Purpose", "X-Purpose", "X-Moz")
_AHEAD = re.compile(r"prefetch|prerender|preview", re.IGNORECASE)
_PROGRAM = re.compile(
    r"bot\b|crawl|spider|scan|preview|proxy|headless|phantomjs|facebookexternalhit"
    r"|barracuda|mimecast|proofpoint|fireeye|symantec|trend ?micro|sophos|ironport|forcepoint|zscaler"
    r"|curl|wget|python|go-http-client|java/|okhttp|httpclient|libwww|lwp|axios|node-fetch|undici|ruby|winhttp",
    re.IGNORECASE,
)


def kind_of(method: str, header: Callable[[str], str | None]) -> Kind:
    """What kind of look a safe request is. `header` gives what it sends under a name."""
    if method == "HEAD":
        return Kind.HEAD
    if method == "OPTIONS":
        return Kind.OPTIONS
    if any(_AHEAD.search(header(name) or "") for name in _PURPOSES):
        return Kind.PREFETCH
    agent = header("User-Agent")
    if not agent or _PROGRAM.search(agent):
        return Kind.SCANNER
    # Over plain http, browsers send no Sec-Fetch headers; a language they always do.
    if not header("Sec-Fetch-Mode") and not header("Accept-Language"):
        return Kind.NO_HINTS
    return Kind.BROWSER


def delay_of(since_sent: timedelta | None) -> Delay:
    """The stretch that a delay falls into; None where it is not known when the mail was sent."""
    if since_sent is None:
        return Delay.UNKNOWN
    return next((delay for limit, delay in _UP_TO if since_sent <= limit), Delay.LATER)

"""Notices a slip in a well-known mail provider's name, to offer the right one: never to refuse."""

from __future__ import annotations

from functools import lru_cache

# Where most of the world's personal mail lives.
PROVIDERS = (
    "gmail.com", "googlemail.com", "yahoo.com", "yahoo.co.uk", "yahoo.co.in", "yahoo.de", "yahoo.fr",
    "hotmail.com", "hotmail.co.uk", "hotmail.de", "hotmail.fr", "outlook.com", "outlook.de", "outlook.fr",
    "live.com", "msn.com", "icloud.com", "me.com", "mac.com", "aol.com", "proton.me", "protonmail.com",
    "gmx.de", "gmx.net", "gmx.at", "gmx.ch", "gmx.com", "web.de", "t-online.de", "freenet.de", "mail.com",
    "orange.fr", "wanadoo.fr", "free.fr", "laposte.net", "sfr.fr", "libero.it", "uol.com.br", "bol.com.br",
    "terra.com.br", "rediffmail.com", "yandex.ru", "yandex.com", "mail.ru", "comcast.net", "verizon.net",
    "btinternet.com", "zoho.com", "fastmail.com",
)  # fmt: skip
# Real domains that are one letter away from one of the above.
REAL_NEIGHBOURS = frozenset(
    {
        "ymail.com",
        "email.com",
        "gmx.co",
        "gmx.us",
        "me.de",
        "mac.de",
        "aon.at",
        "free.de",
        "mail.de",
        "live.de",
        "msn.de",
        "love.com",
        "sfr.net",
        "web.com",
        "gmx.fr",
        "mail.co",
        "main.com",
        "gail.com",
        "me.co",
        "ml.com",
    }
)
_SHORTEST = 6  # below that, one letter makes another real name too easily


def suggest(address: str) -> str | None:
    """The address with its provider's name spelt right, where it is one slip away from a known one.

    A slip is one letter too many, too few, wrong, or two neighbours swapped.
    """
    local, _, domain = address.rpartition("@")
    meant = _meant(domain)
    return f"{local}@{meant}" if meant else None


@lru_cache(maxsize=4096)
def _meant(domain: str) -> str | None:
    if domain in PROVIDERS or domain in REAL_NEIGHBOURS or len(domain) < _SHORTEST:
        return None
    return next((provider for provider in PROVIDERS if _one_slip_apart(domain, provider)), None)


def _one_slip_apart(left: str, right: str) -> bool:
    if abs(len(left) - len(right)) > 1:
        return False
    start = 0
    while start < min(len(left), len(right)) and left[start] == right[start]:
        start += 1
    a, b = left[start:], right[start:]
    return (
        a[1:] == b[1:]  # another letter
        or a[1:] == b  # one too many
        or a == b[1:]  # one too few
        or (a[:2] == b[:2][::-1] and a[2:] == b[2:])  # two swapped
    )

"""The text by which a subscriber is found: the databases fold letters outside ASCII differently, or not at
all."""

from __future__ import annotations

import unicodedata


def folded(text: str) -> str:
    """Without the differences that nobody means when they search: case and composition."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def search_text(address: str, name: str | None) -> str:
    """What is searched of a subscriber: the address at its start, then the name."""
    return folded(f"{address} {name}" if name else address)

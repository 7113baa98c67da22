"""What a spreadsheet would run as a formula, and the apostrophe that keeps it from that (checklist A11)."""

from __future__ import annotations

STARTS = "=+-@\t\n\r＝＋－＠"


def defused(text: str) -> str:
    """A text that no spreadsheet runs. One that looks defused gets another apostrophe, so that `bare` gives
    back what there was."""
    return f"'{text}" if _is_one(text) else text


def bare(text: str) -> str:
    """What `defused` was given."""
    return text[1:] if text.startswith("'") and _is_one(text) else text


def _is_one(text: str) -> bool:
    begins = text.lstrip("'")[:1]
    return begins != "" and begins in STARTS

"""Traces of an address beside its subscriber's own rows: in answers that are kept for callers who repeat
themselves, and in the refused rows of imports. They go with the person."""

from __future__ import annotations

from string import ascii_lowercase, ascii_uppercase

from sqlalchemy import ColumnElement, delete, func, or_, update
from sqlalchemy.orm import Session

from newsletter.database import canonical_json, table_of
from newsletter.models import IdempotencyKey, ImportRefusal


def remove(session: Session, address: str) -> None:
    """Remove what names the address, whatever its case. Each is a walk through a table: erasing is rare."""
    session.execute(delete(_ANSWERS).where(_names(_ANSWERS.c.body, address)))
    session.execute(
        update(_REFUSALS)
        .where(or_(_names(_REFUSALS.c.text, address), _names(_REFUSALS.c.reason, address)))
        .values(text="", reason="erased")
    )


def _names(column: ColumnElement[str], address: str) -> ColumnElement[bool]:
    """Whether a text holds the address, as it is or as JSON writes it."""
    # Some databases fold the case of ASCII alone.
    cases = {address, address.lower(), address.upper()}
    spellings = {write(case) for case in cases for write in (str, _json, _ascii_json)}
    return or_(
        *(
            func.lower(column).contains(spelling, autoescape=True)
            for spelling in sorted({spelling.translate(_ASCII_LOWER) for spelling in spellings})
        )
    )


def _json(text: str) -> str:
    """As JSON writes it."""
    return canonical_json(text)[1:-1]


def _ascii_json(text: str) -> str:
    """As JSON writes it in ASCII."""
    return "".join(
        character if character.isascii() else "".join(f"\\u{unit:04x}" for unit in _units(character))
        for character in text
    )


def _units(character: str) -> list[int]:
    pairs = character.encode("utf-16-be")
    return [pairs[place] << 8 | pairs[place + 1] for place in range(0, len(pairs), 2)]


_ASCII_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)
_ANSWERS, _REFUSALS = table_of(IdempotencyKey), table_of(ImportRefusal)

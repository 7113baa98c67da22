"""Traces of an address beside its subscriber's own rows: in answers that are kept for callers who repeat
themselves, in files that wait to be imported, in rows that imports refused, in what relays answered, in mail
that came back, in changes of address that others asked for, in statements of consent. They go with the
person."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import datetime
from itertools import chain
from string import ascii_lowercase, ascii_uppercase
from typing import Literal
from unicodedata import normalize
from uuid import UUID

from sqlalchemy import ColumnElement, delete, exists, func, or_, select, update
from sqlalchemy.orm import Session

from newsletter.database import canonical_json, table_of
from newsletter.dead_letters import DeadLetters
from newsletter.domain.addresses import spellings_of_domain
from newsletter.models import (
    AddressChange,
    ConsentEvent,
    IdempotencyKey,
    Import,
    ImportRefusal,
    ImportState,
    OutboxMessage,
    Wording,
)
from newsletter.services.importing import files, imports
from newsletter.settings import Settings

FILE_REMOVED = "somebody in this file was erased meanwhile, so it was removed: bring it again without them"


def remove(session: Session, settings: Settings, now: datetime, address: str, identity: str) -> None:
    """Remove what names the address, whatever its case. Each is a walk through a table: erasing is rare.
    What is not undone with the transaction is no loss: mail that came back and could not be read."""
    DeadLetters(settings.dead_letters_dir).remove(_encoded(address))
    session.execute(
        delete(_CHANGES).where(or_(_CHANGES.c.new_identity == identity, _CHANGES.c.old_identity == identity))
    )
    session.execute(update(_OUTBOX).where(_names(_OUTBOX.c.last_error, address)).values(last_error="erased"))
    for import_id in session.scalars(select(_IMPORTS.c.id).where(_IMPORTS.c.state.in_(_WAITING))).all():
        if _is_in_file(session, import_id, address):
            imports.end(session, now, import_id, ImportState.CANCELLED, error=FILE_REMOVED)
    session.execute(
        delete(_ANSWERS).where(or_(_names(_ANSWERS.c.body, address), _names(_ANSWERS.c.key, address)))
    )
    # What was stated of their consent alone; what others agreed to as well is evidence of theirs.
    agreed = exists().where(_EVENTS.c.wording == _WORDINGS.c.digest)
    session.execute(delete(_WORDINGS).where(_names(_WORDINGS.c.text, address), ~agreed))
    session.execute(
        update(_REFUSALS)
        .where(or_(*(_names(_REFUSALS.c[name], address) for name in ("text", "reason", "record"))))
        .values(text="", reason="erased", record=None)
    )


def _names(column: ColumnElement[str], address: str) -> ColumnElement[bool]:
    """Whether a text holds the address, as it is or as JSON writes it."""
    return or_(
        *(func.lower(column).contains(spelling, autoescape=True) for spelling in sorted(_spellings(address)))
    )


def _spellings(address: str) -> set[str]:
    """The address as it may be written, with its ASCII letters in lower case."""
    local, _, domain = address.rpartition("@")
    cases = {
        f"{one}@{other}"
        for one in _looks(local)
        for name in spellings_of_domain(domain)
        for other in _looks(name)
    }
    # As people paste it, and imports take it.
    cases |= {case.replace("@", at) for case in cases for at in ("%40", "\N{FULLWIDTH COMMERCIAL AT}")}
    cases |= {case.translate(_FULL_WIDTH) for case in (address, address.lower(), address.upper())}
    written = {write(case) for case in cases for write in (str, _json, _ascii_json)}
    return {spelling.translate(_ASCII_LOWER) for spelling in written}


def _looks(text: str) -> set[str]:
    """A text composed and decomposed, and in each case: some databases fold that of ASCII alone."""
    return {
        look
        for form in _FORMS
        for one in (normalize(form, text),)
        for look in (one, one.lower(), one.upper())
    }


def _encoded(address: str) -> set[bytes]:
    found = set()
    for spelling in _spellings(address):
        for encoding in ("utf-8", "cp1252", "utf-16-le", "utf-16-be"):
            with suppress(UnicodeEncodeError):
                found.add(spelling.encode(encoding))
    return found


def _is_in_file(session: Session, import_id: UUID, address: str) -> bool:
    """Whether a file that waits to be imported names the address."""
    needles = _encoded(address)
    overlap = max(map(len, needles)) + 2 * _CONTEXT
    text = b""
    for part in chain([_EDGE], files.stored(session, import_id), [_EDGE]):
        text = text[-overlap:] + part.lower()
        if any(_stands_alone(needle, text) for needle in needles):
            return True
    return False


def _stands_alone(needle: bytes, text: bytes) -> bool:
    """Whether a text holds an address that is no part of a longer one, as far from its ends as that takes to
    tell."""
    last = len(text) - _CONTEXT
    place = text.find(needle, _CONTEXT, last)
    while place >= 0:
        end = place + len(needle)
        around = (text[place - _CONTEXT : place], text[end : end + _CONTEXT])
        before, after = (part.replace(b"\0", b"") for part in around)  # UTF-16 has one beside each letter
        if not (_BEGINS_BEFORE.search(before) or _GOES_ON.match(after)):
            return True
        place = text.find(needle, place + 1, last)
    return False


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


_CONTEXT = 12  # bytes
_EDGE = b"\n" * _CONTEXT  # what is around a file
# But what follows a backslash is a sign that JSON writes so: `\n`, `\u003c`.
_BEGINS_BEFORE = re.compile(rb"(?<!\\)(?<!\\u[0-9a-f]{3})[a-z0-9._%+-]\Z")
_GOES_ON = re.compile(rb"[a-z0-9-]|\.[a-z0-9]")
_FORMS: tuple[Literal["NFC"], Literal["NFD"]] = ("NFC", "NFD")
_FULL_WIDTH = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}
_ASCII_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)
# Files that nobody has started yet. One that is started is stored within minutes, and its file goes then.
_WAITING = (ImportState.UPLOADED.value, ImportState.CHECKING.value, ImportState.CHECKED.value)
_ANSWERS, _REFUSALS = table_of(IdempotencyKey), table_of(ImportRefusal)
_IMPORTS = table_of(Import)
_EVENTS, _WORDINGS = table_of(ConsentEvent), table_of(Wording)
_CHANGES, _OUTBOX = table_of(AddressChange), table_of(OutboxMessage)

"""The arithmetic of the ledger: what an event commits to, and how one page is chained to the page before.

A commitment hides its event behind a random salt: without the salt, nobody can find out by guessing what the
event said. Pages are chained over commitments alone, so the chain stays whole when an event and its salt are
erased. Links are made with a key: whoever can write to the database alone cannot make one."""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from json import JSONEncoder
from typing import NamedTuple
from uuid import UUID

SALT_BYTES = 16
START = bytes(32)  # what the first page of a list is chained to
_PURPOSE = b"newsletter.ledger.v1"
_LINE = struct.Struct(">q16s32s")
_PLACES = struct.Struct(">16sqq")
_json = JSONEncoder(separators=(",", ":")).encode


class Line(NamedTuple):
    """One event's line on a page: its number, whose subscription it is about, and what it commits to."""

    seq: int
    subscription: bytes
    commitment: bytes


@dataclass(frozen=True)
class Page:
    """Lines as they are stored. `entries` counts those of its list up to its last one, number `seq`."""

    list_id: UUID
    entries: int
    seq: int
    lines: bytes


@dataclass(frozen=True)
class Head:
    """How far the pages of a list go."""

    list_id: UUID
    entries: int
    seq: int
    link: bytes


def commitment(salt: bytes, content: Sequence[str | int | None]) -> bytes:
    """What stands for an event's content, of which each value counts, and its place."""
    return hashlib.sha256(salt + _json(content).encode()).digest()


def pack(seq: int, subscription: bytes, committed: bytes) -> bytes:
    """A line as a page keeps it."""
    return _LINE.pack(seq, subscription, committed)


def unpack(lines: bytes) -> list[Line]:
    """The lines of a page. Raises `ValueError` where these are none."""
    try:
        found = [Line(*line) for line in _LINE.iter_unpack(lines)]
    except (struct.error, TypeError) as error:  # SQLite keeps anything in any column
        raise ValueError("no lines of a page") from error
    if not found:
        raise ValueError("a page without lines")
    return found


class Chain:
    """Makes links with the last of `keys`, and checks them with all of them and with `retired` ones (D2)."""

    def __init__(self, keys: Sequence[str], retired: Sequence[str] = ()) -> None:
        own = [hmac.digest(key.encode(), _PURPOSE, "sha256") for key in (*retired, *keys)]
        self._signs = own[-1]
        # The key that checked one page checks the next one as a rule: it stands first.
        self._checks = own[::-1]

    def link(self, previous: bytes, page: Page) -> bytes:
        """What chains a page to the one before, whose own link is `previous`."""
        return hmac.digest(self._signs, _bound(previous, page), "sha256")

    def is_linked(self, previous: bytes, page: Page, link: bytes) -> bool:
        """Whether that is its link. Raises `ValueError` or `TypeError` where these cannot be a page's."""
        return self._was_made(_bound(previous, page), link)

    def seal(self, head: Head) -> bytes:
        """What shows that a list's pages went so far."""
        return hmac.digest(self._signs, _end(head), "sha256")

    def is_sealed(self, head: Head, seal: bytes) -> bool:
        """Whether that is its seal. Raises as `is_linked` does."""
        return self._was_made(_end(head), seal)

    def _was_made(self, message: bytes, digest: bytes) -> bool:
        for place, key in enumerate(self._checks):
            if hmac.compare_digest(hmac.digest(key, message, "sha256"), digest):
                if place:
                    self._checks.insert(0, self._checks.pop(place))
                return True
        return False


def _bound(previous: bytes, page: Page) -> bytes:
    return b"".join((b"page", previous, _place(page), page.lines))


def _end(head: Head) -> bytes:
    return b"".join((b"head", _place(head), head.link))


def _place(end: Page | Head) -> bytes:
    try:
        return _PLACES.pack(end.list_id.bytes, end.entries, end.seq)
    except struct.error as error:
        raise ValueError("no place of a page") from error

"""What somebody wants exported: whose, which, how written. A request that makes no sense cannot be made."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any
from uuid import UUID

from newsletter.domain.addresses import AddressError, parse_address
from newsletter.domain.lifecycle import State
from newsletter.services.access import Actor
from newsletter.services.exports.columns import ALL, ARCHIVE, DEFAULT, PRESETS, Column

DEFAULT_COLUMNS = tuple(column.name for column in DEFAULT)


class ExportError(Exception):
    """An export cannot be made as asked. The message says why, in one line."""


class Format(StrEnum):
    """How an export is written."""

    CSV = "csv"  # RFC 4180, with a header line
    JSONL = "jsonl"  # one JSON object a line
    SQLITE = "sqlite"  # a database in a file, with the tables `subscribers` and `manifest`
    ARCHIVE = "archive"  # JSONL with all that is known, the history of consent included: nothing is lost
    # What other tools take (checklist O10).
    LISTMONK = "listmonk"
    GHOST = "ghost"
    MAILCHIMP = "mailchimp"
    BUTTONDOWN = "buttondown"
    KIT = "kit"

    @property
    def is_preset(self) -> bool:
        return self.value in PRESETS

    @property
    def is_csv(self) -> bool:
        return self is Format.CSV or self.is_preset

    @property
    def extension(self) -> str:
        if self.is_csv:
            return "csv"
        return {Format.SQLITE: "sqlite3"}.get(self, "jsonl")

    @property
    def media_type(self) -> str:
        if self.is_csv:
            return "text/csv; charset=utf-8"
        return {Format.SQLITE: "application/vnd.sqlite3"}.get(self, "application/jsonl")

    @property
    def cut_short(self) -> bytes:
        """What is written after the last whole row of an export that fails: nobody reads it as a row. A
        compressed file and a database lack their end anyway."""
        if self is Format.SQLITE:
            return b""
        return b'"This export was cut short' if self.is_csv else b'{"This export was cut short'


@dataclass(frozen=True, kw_only=True)
class ExportRequest:
    """The subscriptions of one list, or of `lists`, or of all where neither is given; those that every filter
    lets through. Days are in UTC, and both are included. Raises `ExportError`."""

    list_id: UUID | None = None
    lists: frozenset[UUID] | None = None
    format: Format = Format.CSV
    states: tuple[State, ...] = (State.CONFIRMED,)
    joined_from: date | None = None
    joined_until: date | None = None
    source: str | None = None
    domain: str | None = None
    attribute: tuple[str, str] | None = None
    with_paused: bool = False  # who is confirmed, and wants no mail until a day
    columns: tuple[str, ...] = ()  # none: the format's own
    safe: bool = False  # cells that a spreadsheet would run as formulas are defused (A11)
    gzip: bool = False

    def __post_init__(self) -> None:
        self._check_columns()
        if not self.states:
            raise ExportError("an export needs at least one state, such as confirmed")
        if self.safe and not self.format.is_csv:
            raise ExportError(
                f"formulas are defused in files for spreadsheets only, and {self.format} is none of them"
            )
        if self.joined_from and self.joined_until and self.joined_from > self.joined_until:
            raise ExportError("the first day must not be after the last one")
        if any("\0" in text for text in (self.source or "", *(self.attribute or ()))):
            raise ExportError("a filter holds no NUL characters")
        if self.attribute is not None and not self.attribute[0]:
            raise ExportError("an attribute is given as key=value, such as city=Paris")
        if self.domain is not None:
            object.__setattr__(self, "domain", _ascii_domain(self.domain))

    @property
    def holds_paused(self) -> bool:
        """Whether those are in it who paused: not in what may be mailed, but an archive holds everything."""
        return self.with_paused or self.format is Format.ARCHIVE

    @property
    def written(self) -> tuple[Column, ...]:
        """The columns, in their order."""
        if self.format.is_preset:
            return PRESETS[self.format.value]
        if self.format is Format.ARCHIVE:
            return ARCHIVE
        return tuple(ALL[name] for name in self.columns) or DEFAULT

    @property
    def headings(self) -> list[str]:
        """What the columns are called in the file."""
        beside = ["suppressed", "consent"] if self.format is Format.ARCHIVE else []
        return [column.name for column in self.written] + beside

    @property
    def filters(self) -> dict[str, Any]:
        """What lets through, and how it is written, to be kept with the export."""
        chosen: dict[str, Any] = {
            "lists": None if self.lists is None else sorted(map(str, self.lists)),
            "joined_from": self.joined_from and self.joined_from.isoformat(),
            "joined_until": self.joined_until and self.joined_until.isoformat(),
            "source": self.source,
            "domain": self.domain,
            "attribute": self.attribute and dict([self.attribute]),
            "with_paused": self.with_paused or None,
            "safe": self.safe or None,
            "gzip": self.gzip or None,
        }
        return {"states": [state.value for state in self.states]} | {
            name: value for name, value in chosen.items() if value is not None
        }

    def allowed_to(self, actor: Actor) -> bool:
        """Whether it stays within the lists that `actor` sees."""
        if self.list_id is not None:
            return actor.sees(self.list_id)
        return actor.lists is None or (self.lists is not None and self.lists <= actor.lists)

    def _check_columns(self) -> None:
        if self.columns and self.format not in (Format.CSV, Format.JSONL, Format.SQLITE):
            raise ExportError(f"the columns of {self.format} are fixed: other tools read them")
        unknown = [name for name in self.columns if name not in ALL]
        if unknown:
            raise ExportError(f"there is no column {unknown[0]!r}: there are {', '.join(ALL)}")
        if len(set(self.columns)) < len(self.columns):
            raise ExportError("a column is named once")


def _ascii_domain(typed: str) -> str:
    """A domain as identity keys have it. Raises `ExportError`."""
    try:
        return parse_address(f"a@{typed.strip().removeprefix('@')}").identity.removeprefix("a@")
    except AddressError as error:
        raise ExportError(f"{typed!r} is not the domain of an address, such as example.org") from error

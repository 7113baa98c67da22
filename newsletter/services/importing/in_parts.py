"""An import that SQLite stores in several transactions, because its log holds all that one of them writes.

How far it is stands in the same transaction as what it stores. What was begun is carried to its end: a worker
that takes over reads the file again, and goes on after the last line that was stored. In the end
it is all of the file's good rows, whoever dies; and nothing, where it was cancelled or failed before the
first part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from dataclasses import field as with_default
from typing import Any

from sqlalchemy import Engine, delete, func, select, update
from sqlalchemy.orm import Session

from newsletter.database import database_now, drop_old_pages, table_of, write_transaction
from newsletter.models import Import, ImportChunk
from newsletter.services.importing.running import Claimed, LeaseLost
from newsletter.settings import Settings

NAME = "stored"  # in the report of an import that is not at its end
_CHUNKS_AT_ONCE = 32  # what is removed is overwritten, so it is written to the log as well


@dataclass(frozen=True)
class Stored:
    """To which line the rows of a file are stored, and what became of them; `whole` where all are."""

    line: int = 0
    report: Mapping[str, Any] = with_default(default_factory=dict)
    whole: bool = False

    @classmethod
    def of(cls, report: Mapping[str, Any]) -> Stored:
        """As a report says it; one that says nothing was not begun."""
        return cls(**report.get(NAME, {}))

    def plus(self, line: int, report: Mapping[str, Any]) -> Stored:
        """With one part more, that ends with this line."""
        return Stored(line, _sum(self.report, report))


def _sum(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers by name, some of them within others, added up."""
    names = {**one, **other}
    return {
        name: _sum(one.get(name, {}), other.get(name, {}))
        if isinstance(names[name], Mapping)
        else one.get(name, 0) + other.get(name, 0)
        for name in names
    }


def write_down(session: Session, settings: Settings, claimed: Claimed, stored: Stored) -> None:
    """Note how far an import is, and keep the claim. Raises `LeaseLost` where another worker is at it, or
    where it was cancelled before its first part."""
    before = session.scalar(select(_IMPORTS.c.report).where(_IMPORTS.c.id == claimed.id)) or {}
    ours = update(_IMPORTS).where(
        _IMPORTS.c.id == claimed.id, _IMPORTS.c.lease_id == claimed.lease_id, _IMPORTS.c.cancel.is_(False)
    )
    until = database_now(session) + settings.outbox_lease
    values = {"report": before | {NAME: asdict(stored)}, "lease_until": until, "error": None}
    if not session.execute(ours.values(values)).rowcount:  # type: ignore[attr-defined]
        raise LeaseLost


def drop_file(engine: Engine, claimed: Claimed) -> None:
    """Remove the file of an import that is stored, some of it at a time, its last part first."""
    with Session(engine) as session:
        own = _CHUNKS.c.import_id == claimed.id
        while (number := session.scalar(select(func.max(_CHUNKS.c.number)).where(own))) is not None:
            with write_transaction(session):
                session.execute(delete(_CHUNKS).where(own, _CHUNKS.c.number > number - _CHUNKS_AT_ONCE))
            drop_old_pages(engine)


_IMPORTS, _CHUNKS = table_of(Import), table_of(ImportChunk)

"""What is kept of each export: who took what, and what it came to."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import insert, or_, select, update
from sqlalchemy.orm import Session

from newsletter.database import table_of
from newsletter.domain.ids import new_id
from newsletter.models import Export, MailingList
from newsletter.services import audit
from newsletter.services.access import Actor
from newsletter.services.exports.request import ExportError, ExportRequest, Format


@dataclass(frozen=True)
class ExportView:
    """An export that was begun. Until its last byte was taken it has no `finished_at` and no proof; one that
    was cut short never gets them. `slug` and `list_id` are None where it is of several lists: of `lists`, or
    of all."""

    id: UUID
    list_id: UUID | None
    slug: str | None
    lists: frozenset[UUID] | None
    actor: str
    format: Format
    filters: dict[str, Any]
    columns: tuple[str, ...]
    started_at: datetime
    finished_at: datetime | None
    rows: int | None
    bytes: int | None
    sha256: str | None

    @property
    def file_name(self) -> str:
        """What to call the file."""
        day = self.started_at.date().isoformat()
        preset = f"-{self.format}" if self.format.is_preset or self.format is Format.ARCHIVE else ""
        name = f"{self.slug or 'subscribers'}{preset}-{day}.{self.format.extension}"
        return f"{name}.gz" if self.filters.get("gzip") else name

    @property
    def media_type(self) -> str:
        """What kind of file it is."""
        return "application/gzip" if self.filters.get("gzip") else self.format.media_type

    def seen_by(self, actor: Actor) -> bool:
        """Whether it holds no list that `actor` does not see."""
        if self.list_id is not None:
            return actor.sees(self.list_id)
        return actor.lists is None or (self.lists is not None and self.lists <= actor.lists)


def start_export(session: Session, now: datetime, actor: Actor, request: ExportRequest) -> UUID:
    """Begin an export. Raises `ExportError` where it goes beyond the lists that `actor` sees."""
    if not request.allowed_to(actor):
        raise ExportError("an export holds lists that you see, and no others")
    export_id = new_id(now)
    session.execute(
        insert(_EXPORTS),
        [
            {
                "id": export_id,
                "list_id": request.list_id,
                "actor": actor.name,
                "format": request.format.value,
                "filters": request.filters,
                "columns": request.headings,
                "started_at": now,
            }
        ],
    )
    audit.record(
        session, now, actor, "export.started",
        list_id=request.list_id, subject=str(export_id), format=request.format.value,
    )  # fmt: skip
    return export_id


def finish(session: Session, export_id: UUID, now: datetime, *, rows: int, size: int, sha256: str) -> None:
    """Keep the proof of an export whose last byte was taken."""
    session.execute(
        update(_EXPORTS)
        .where(_EXPORTS.c.id == export_id)
        .values(finished_at=now, rows=rows, bytes=size, sha256=sha256)
    )


def find_export(session: Session, export_id: UUID) -> ExportView | None:
    """The export with this id."""
    row = session.execute(_FOUND.where(_EXPORTS.c.id == export_id)).first()
    return None if row is None else _view(row)


def recent_exports(
    session: Session, list_ids: Collection[UUID] | None, before: UUID | None, limit: int
) -> list[ExportView]:
    """At most `limit` exports of these lists and no others, the newest first; those that are older than the
    export `before`. None is all lists."""
    query = _FOUND.order_by(_EXPORTS.c.id.desc())
    if before is not None:
        query = query.where(_EXPORTS.c.id < before)
    if list_ids is None:
        return [_view(row) for row in session.execute(query.limit(limit))]
    query = query.where(or_(_EXPORTS.c.list_id.in_(list_ids), _EXPORTS.c.list_id.is_(None)))
    found: list[ExportView] = []
    with session.execute(query.execution_options(yield_per=100)) as rows:
        for row in rows:
            view = _view(row)
            if len(found) == limit:
                break
            if view.list_id is not None or (view.lists is not None and view.lists <= set(list_ids)):
                found.append(view)
    return found


def slugs(session: Session, list_ids: Collection[UUID]) -> list[str]:
    """The slugs of these lists, in their order."""
    query = select(_LISTS.c.slug).where(_LISTS.c.id.in_(list_ids)).order_by(_LISTS.c.slug)
    return list(session.execute(query).scalars())


def _view(row: Any) -> ExportView:
    values = row._asdict()
    lists = values["filters"].get("lists")
    return ExportView(
        **values
        | {
            "lists": None if lists is None else frozenset(map(UUID, lists)),
            "format": Format(values["format"]),
            "columns": tuple(values["columns"]),
        }
    )


_EXPORTS, _LISTS = table_of(Export), table_of(MailingList)
_FOUND = select(*_EXPORTS.c, _LISTS.c.slug).select_from(
    _EXPORTS.outerjoin(_LISTS, _LISTS.c.id == _EXPORTS.c.list_id)
)

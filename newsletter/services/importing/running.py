"""The worker's side of an import: who is at it, for how long, and the steps from the file to the report.

A lease says who: it is kept alive while the worker lives, and of one that died another takes over and begins
anew. Nothing is stored before all is, so there is nothing to clean up."""

from __future__ import annotations

import gc
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any
from uuid import UUID

from sqlalchemy import Engine, delete, or_, select, text, update
from sqlalchemy.orm import Session

from newsletter.database import table_of
from newsletter.domain.languages import DEFAULT
from newsletter.models import Import, ImportChunk, ImportRefusal, ImportState, MailingList
from newsletter.services import lists
from newsletter.services.importing.detecting import columns_of
from newsletter.services.importing.imports import end
from newsletter.services.importing.judging import Undecided
from newsletter.services.importing.options import Field, Options
from newsletter.services.importing.reading import Bad, Row, rows
from newsletter.services.importing.refused import whole_records
from newsletter.services.importing.staging import BATCH, MOST_REFUSALS, Staging
from newsletter.services.importing.storing import Terms
from newsletter.services.importing.validating import Check
from newsletter.services.importing.watching import Watched, to_json
from newsletter.settings import Settings

_LOOKED_AT = 1000  # rows
_COLLECT_AFTER = 100_000  # objects
FORGET_FILES_AFTER = timedelta(days=7)
FORGET_REFUSALS_AFTER = timedelta(days=90)


@dataclass(frozen=True)
class Claimed:
    """An import in a worker's hands."""

    id: UUID
    list_id: UUID
    lease_id: UUID
    checks_only: bool
    options: Options
    size: int  # of the file, in bytes
    report: Mapping[str, Any]


class LeaseLost(Exception):
    """Another worker is at this import."""


def is_waiting(session: Session, now: datetime) -> bool:
    """Whether there is an import that nobody is at: a look that locks nothing."""
    return session.execute(_waiting(now).limit(1)).first() is not None


def is_running(session: Session) -> bool:
    """Whether an import is being stored, or soon will be."""
    running = select(_IMPORTS.c.id).where(_IMPORTS.c.state == ImportState.RUNNING.value).limit(1)
    return session.execute(running).first() is not None


def claim(
    session: Session, settings: Settings, now: datetime, *, lease_id: UUID, only: UUID | None = None
) -> Claimed | None:
    """Take the import that has waited longest, or this `only` one."""
    wanted = _waiting(now).order_by(_IMPORTS.c.id).limit(1).with_for_update(skip_locked=True)
    if only is not None:
        wanted = wanted.where(_IMPORTS.c.id == only)
    row = session.execute(wanted).first()
    if row is None:
        return None
    if row.cancel:
        # Its worker died before it could heed that.
        end(session, now, row.id, ImportState.CANCELLED)
        return None
    options = Options.from_json(row.options)
    if options.by_command and only is None and not row.report.get("stored"):
        # Whoever ended the command may have done so because the file was the wrong one.
        said = "its command died before the end: nothing was stored"
        end(session, now, row.id, ImportState.FAILED, error=said)
        return None
    checks_only = row.state == ImportState.CHECKING
    state = ImportState.CHECKING if checks_only else ImportState.RUNNING
    session.execute(
        update(_IMPORTS)
        .where(_IMPORTS.c.id == row.id)
        .values(state=state.value, lease_id=lease_id, lease_until=now + settings.outbox_lease, rows_done=0)
    )
    return Claimed(row.id, row.list_id, lease_id, checks_only, options, row.size, row.report)


def extend(session: Session, settings: Settings, now: datetime, claimed: Claimed, *, rows_done: int) -> bool:
    """Keep a living worker's claim, and tell how far it is. False where it is lost."""
    kept = session.execute(
        _held(claimed).values(lease_until=now + settings.outbox_lease, rows_done=rows_done)
    )
    return bool(kept.rowcount)  # type: ignore[attr-defined]


def release(session: Session, claimed: Claimed, error: str | None = None) -> None:
    """Leave an import to another worker, and say what was in the way."""
    session.execute(_held(claimed).values(lease_id=None, lease_until=None, rows_done=0, error=error))


def is_cancelled(session: Session, claimed: Claimed) -> bool:
    """Whether the operator wants it to end."""
    return bool(session.scalar(select(_IMPORTS.c.cancel).where(_IMPORTS.c.id == claimed.id)))


def fail(session: Session, now: datetime, claimed: Claimed, error: str) -> None:
    """The file cannot be imported, and why."""
    if session.execute(_held(claimed).values(error=error)).rowcount:  # type: ignore[attr-defined]
        end(session, now, claimed.id, ImportState.FAILED)


def ask(session: Session, claimed: Claimed, undecided: Undecided) -> None:
    """Leave the import to the operator, who must say first what some columns mean; the file stays. Of one
    that a command brought, nobody is there to be asked."""
    report = session.scalar(select(_IMPORTS.c.report).where(_IMPORTS.c.id == claimed.id)) or {}
    told = {name: report[name] for name in ("encoding", "keys") if name in report}
    asked = {**report.get("questions", {}), **to_json(undecided.questions)}
    session.execute(
        _held(claimed).values(
            state=ImportState.UPLOADED.value, lease_id=None, lease_until=None, rows_done=0,
            error=str(undecided), report=told | {"questions": asked},
        )
    )  # fmt: skip


def cancelled(session: Session, now: datetime, claimed: Claimed) -> None:
    """It ended because the operator wanted it."""
    if session.execute(_held(claimed).values(cancel=True)).rowcount:  # type: ignore[attr-defined]
        end(session, now, claimed.id, ImportState.CANCELLED)


def forget(session: Session, now: datetime) -> None:
    """Files that nobody started go; long after an import, so do the rows that it refused."""
    for identifier in session.scalars(
        select(_IMPORTS.c.id).where(
            _IMPORTS.c.state.in_([ImportState.UPLOADED.value, ImportState.CHECKED.value]),
            _IMPORTS.c.created_at < now - FORGET_FILES_AFTER,
        )
    ).all():
        end(session, now, identifier, ImportState.CANCELLED)
    ended = select(_IMPORTS.c.id).where(_IMPORTS.c.finished_at < now - FORGET_REFUSALS_AFTER)
    session.execute(delete(_REFUSALS).where(_REFUSALS.c.import_id.in_(ended)))


def chunks(engine: Engine, import_id: UUID) -> Iterator[bytes]:
    """The file, chunk by chunk; no transaction stays open between two."""
    number = 0
    while True:
        with engine.connect() as connection:
            data = connection.scalar(
                select(_CHUNKS.c.data).where(_CHUNKS.c.import_id == import_id, _CHUNKS.c.number == number)
            )
        if data is None:
            return
        yield bytes(data)
        number += 1


@contextmanager
def _rare_garbage_collection() -> Iterator[None]:
    """A batch of rows is many objects without a cycle: to look for one in each takes a tenth of the time."""
    usual = gc.get_threshold()
    gc.set_threshold(_COLLECT_AFTER, *usual[1:])
    try:
        yield
    finally:
        gc.set_threshold(*usual)


@_rare_garbage_collection()
def stage(
    staging: Staging,
    settings: Settings,
    now: datetime,
    claimed: Claimed,
    parts: Callable[[], Iterable[bytes]],
    tell: Callable[[int], None],
) -> dict[str, Any]:
    """Read, check and put down the whole file; returns its columns, and the keys of JSON that were left out.
    `tell` is called with the number of rows after each batch, and may raise to end it. Raises `ImportFault`,
    and `Undecided` where a column may say who left that nothing was asked about."""
    options = claimed.options
    columns = columns_of(parts(), options)
    slug, locale = staging.connection.execute(
        select(_LISTS.c.slug, _LISTS.c.locale).where(_LISTS.c.id == claimed.list_id)
    ).one()
    keys = (*reversed(settings.secret_keys), *settings.retired_keys)
    check = Check(options, columns, now, keys=keys, locale=locale or DEFAULT,
        slug=_list_of(parts(), options, columns, slug),
    ).check  # fmt: skip
    ignored: dict[str, int] = {}
    good: list[Any] = []
    bad: list[Bad] = []
    watched, cells = Watched(options, columns), list[Sequence[Any]]()
    staging.make()
    for row in rows(parts(), options, columns, ignored):
        if isinstance(row, Bad):
            checked: Any = row
        else:
            checked = check(row)
            cells.append(row.cells)
        (bad if isinstance(checked, Bad) else good).append(checked)
        if len(good) + len(bad) >= BATCH:
            staging.add(good, bad)
            watched.see(cells)
            good, bad, cells = [], [], []
            tell(staging.rows)
    staging.add(good, bad)
    watched.see(cells)
    tell(staging.rows)
    if questions := watched.questions():
        raise Undecided(questions)
    staging.settle()
    if staging.refused:
        found = whole_records(parts(), options, staging.refused_lines())
        while some := list(islice(found, BATCH)):
            staging.add_records(some)
            tell(staging.rows)
    return {"columns": list(columns), "ignored": ignored}


def _list_of(parts: Iterable[bytes], options: Options, columns: Sequence[str], slug: str) -> str | None:
    """Of an export of several lists, the one whose rows are taken: that of the same name, else the first."""
    column = next((column for column, field in options.mapping.items() if field == Field.LIST), None)
    if column is None:
        return None
    place = columns.index(column)
    some = islice(rows(parts, options, columns, {}), _LOOKED_AT)
    named = [str(row.cells[place]) for row in some if isinstance(row, Row) and row.cells[place]]
    return slug if slug in named else next(iter(named), None)


def terms(session: Session, settings: Settings, now: datetime, claimed: Claimed) -> Terms:
    """What holds for all rows."""
    row = session.execute(select(*lists.COLUMNS).where(_LISTS.c.id == claimed.list_id)).one()
    statement = claimed.options.statement
    return Terms(
        import_id=claimed.id,
        list_id=claimed.list_id,
        now=now,
        all_lists=claimed.options.all_lists,
        wording=hashlib.sha256(statement.encode()).hexdigest() if statement else None,
        statement=statement,
        ask_per_hour=claimed.options.ask_per_hour,
        sender_domain=lists.view(row).sender_or(settings.mail_from).domain,
    )


def finish(
    session: Session, now: datetime, claimed: Claimed, report: dict[str, Any], *, staged: bool = True
) -> None:
    """Write the report and the refused rows, which are `staged`, in the transaction that stored the others.
    Raises `LeaseLost`."""
    if claimed.checks_only:
        # What the whole file told is needed where it is looked at again.
        before = session.scalar(select(_IMPORTS.c.report).where(_IMPORTS.c.id == claimed.id)) or {}
        report = {name: before[name] for name in ("encoding", "keys", "questions") if name in before} | report
    unless_cancelled = _held(claimed).where(_IMPORTS.c.cancel.is_(False))
    held = session.execute(unless_cancelled.values(report=report, rows_done=report["rows"]))
    if not held.rowcount:  # type: ignore[attr-defined]
        raise LeaseLost
    if staged:
        keep_refusals(session, claimed)
    if not claimed.checks_only:
        end(session, now, claimed.id, ImportState.DONE)
        return
    session.execute(
        update(_IMPORTS)
        .where(_IMPORTS.c.id == claimed.id)
        .values(state=ImportState.CHECKED.value, lease_id=None, lease_until=None)
    )


def keep_refusals(session: Session, claimed: Claimed) -> None:
    """Store the refused rows that are staged."""
    session.execute(delete(_REFUSALS).where(_REFUSALS.c.import_id == claimed.id))
    own = "CAST(:id AS uuid)" if session.get_bind().dialect.name == "postgresql" else ":id"
    session.execute(
        text(
            "INSERT INTO import_refusals (import_id, line, text, reason, record) "  # noqa: S608
            f"SELECT {own}, r.line, r.excerpt, substr(r.reason, 1, 400), w.record "
            "FROM refused r LEFT JOIN refused_records w ON w.line = r.line "
            f"ORDER BY r.line LIMIT {MOST_REFUSALS}"
        ),
        {"id": claimed.id.hex},
    )


def _waiting(now: datetime) -> Any:
    columns = (
        _IMPORTS.c.id, _IMPORTS.c.list_id, _IMPORTS.c.state, _IMPORTS.c.options, _IMPORTS.c.cancel,
        _IMPORTS.c.size, _IMPORTS.c.report,
    )  # fmt: skip
    return select(*columns).where(
        _IMPORTS.c.state.in_(
            [ImportState.CHECKING.value, ImportState.QUEUED.value, ImportState.RUNNING.value]
        ),
        or_(_IMPORTS.c.lease_until.is_(None), _IMPORTS.c.lease_until < now),
    )


def _held(claimed: Claimed) -> Any:
    return update(_IMPORTS).where(_IMPORTS.c.id == claimed.id, _IMPORTS.c.lease_id == claimed.lease_id)


_IMPORTS, _CHUNKS, _REFUSALS = table_of(Import), table_of(ImportChunk), table_of(ImportRefusal)
_LISTS = table_of(MailingList)

"""The life of an import: a file comes, is looked at, checked, started, cancelled.

What the worker does is in `running`."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from newsletter.database import table_of
from newsletter.domain.ids import new_id
from newsletter.models import Import, ImportChunk, ImportState
from newsletter.services import audit, outbox
from newsletter.services.access import Actor
from newsletter.services.importing import mapping
from newsletter.services.importing.detecting import columns_of, detect
from newsletter.services.importing.files import Spooled, is_whole, store, stored
from newsletter.services.importing.hints import hints
from newsletter.services.importing.judging import Question, Undecided, ask_about
from newsletter.services.importing.options import REASON, AddressMissing, Field, Form, ImportFault, Options

ENDED = (ImportState.DONE, ImportState.FAILED, ImportState.CANCELLED)
_AT_WORK = (ImportState.CHECKING, ImportState.QUEUED, ImportState.RUNNING)


@dataclass(frozen=True)
class ImportView:
    """An import, as the other rooms see it. `report` counts what becomes, or became, of its rows."""

    id: UUID
    list_id: UUID
    actor: str
    filename: str
    size: int
    sha256: str
    state: ImportState
    options: Options | None
    report: dict[str, Any]
    rows_done: int
    error: str | None
    cancel: bool
    created_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True)
class Look:
    """How a file seems to be written, and what its columns seem to be: to be confirmed by the operator.
    `preset` is the tool that it seems to come from, `known` are the columns that are known of it. What
    `questions` are about is not in the `mapping`: nothing is imported before the operator has said what it
    means."""

    form: Form
    encoding: str
    delimiter: str
    header: bool
    columns: tuple[str, ...]
    samples: tuple[tuple[str, ...], ...]
    preset: str | None
    mapping: dict[str, str]
    questions: tuple[Question, ...]
    known: frozenset[str]
    safe: bool
    notes: tuple[str, ...]

    def options(self, **changes: Any) -> Options:
        """Options by what was seen, with the operator's `changes`."""
        # Columns of whose cells the meaning is said say who left.
        left = (column for column in changes.get("values", ()) if self.mapping.get(column) != Field.STATE)
        fields = self.mapping | dict.fromkeys(left, Field.LEFT.value)
        seen = Options(fields, self.form, self.encoding, self.delimiter, self.header, safe=self.safe)
        return replace(seen, **changes)


class HasEnded(ImportFault):
    """There is nothing of an import to be cancelled any more."""


class CannotCancel(HasEnded):
    """A part of an import is stored, and the rest will be."""


def create_import(
    session: Session,
    now: datetime,
    actor: Actor,
    list_id: UUID,
    filename: str,
    file: Spooled,
) -> UUID:
    """Take a file in. Raises `ImportFault` where it cannot be read at all. After the transaction call
    `store_rest`: of a large file only the beginning is kept by then, and nothing can be started."""
    identifier = new_id(now)
    session.execute(
        insert(_IMPORTS),
        [
            {
                "id": identifier, "list_id": list_id, "actor": actor.name, "filename": _tidy(filename),
                "size": file.size, "sha256": file.sha256, "state": ImportState.UPLOADED.value, "options": {},
                "report": {"encoding": file.encoding, "keys": list(file.keys)},
                "rows_done": 0, "cancel": False, "created_at": now,
            }
        ],
    )  # fmt: skip
    store(session, identifier, file)
    look(session, identifier)  # what cannot be read at all is refused now
    audit.record(
        session, now, actor, "import.uploaded", list_id=list_id, subject=str(identifier),
        size=file.size, sha256=file.sha256,
    )  # fmt: skip
    return identifier


def look(
    session: Session,
    import_id: UUID,
    *,
    encoding: str | None = None,
    delimiter: str | None = None,
    header: bool | None = None,
) -> Look:
    """How the file is written; what is given is not guessed. Raises `ImportFault`."""
    row = session.execute(
        select(_IMPORTS.c.size, _IMPORTS.c.report, _IMPORTS.c.filename).where(_IMPORTS.c.id == import_id)
    ).first()
    head = next(stored(session, import_id), None)
    if row is None or head is None:
        raise ImportFault("the file of this import is not there any more")
    seen = detect(
        head,
        encoding=encoding or row.report.get("encoding") or "utf-8",
        whole=len(head) >= row.size,
        delimiter=delimiter,
        header=header,
        keys=row.report.get("keys") or (),
    )
    names = seen.form is not Form.CSV or seen.header
    suggested = (mapping.suggest if names else mapping.suggest_by_samples)(seen.columns, seen.cells)
    # What only the whole file shows, the worker has written down.
    late = row.report.get("questions") or {}
    asked = {question.column: question for question in suggested.questions}
    asked |= {
        column: ask_about(column, cells) for column, cells in late.items()
        if column in seen.columns
    }  # fmt: skip
    came_back = REASON in seen.columns  # a file of refused rows, with the apostrophes that we put there
    if came_back:
        suggested.mapping[REASON] = Field.IGNORE.value
        asked.pop(REASON, None)
    fields = {column: field for column, field in suggested.mapping.items() if column not in asked}
    return Look(
        seen.form, seen.encoding, seen.delimiter, seen.header, seen.columns, seen.samples, suggested.preset,
        fields, tuple(asked.values()), suggested.known | ({REASON} if came_back else set()),
        suggested.safe or came_back,
        (
            *seen.notes, *map(_asks, asked.values()), *mapping.notes_on_name(row.filename, suggested),
            *hints(fields, seen.cells),
        ),
    )  # fmt: skip


def _asks(question: Question) -> str:
    return f"The column {question} may say who left: say what it means."


def check_import(session: Session, now: datetime, actor: Actor, import_id: UUID, options: Options) -> None:
    """Let the worker read the whole file by these options and report, changing nothing. Raises
    `ImportFault`."""
    _put_to_work(
        session, now, actor, import_id, ImportState.CHECKING, options,
        after=(ImportState.UPLOADED, ImportState.CHECKED),
    )  # fmt: skip


def start_import(
    session: Session, now: datetime, actor: Actor, import_id: UUID, options: Options | None = None
) -> None:
    """Let the worker import the file, by the options of its check or by these. Raises `ImportFault`."""
    found = _own(session, actor, import_id)
    if options is None and found.options is not None:
        options = replace(found.options, by_command=False)
    if options is None:
        raise ImportFault("say first what the columns of the file are")
    _put_to_work(
        session, now, actor, import_id, ImportState.QUEUED, options,
        after=(ImportState.UPLOADED, ImportState.CHECKED),
    )  # fmt: skip


def cancel_import(session: Session, now: datetime, actor: Actor, import_id: UUID) -> None:
    """End an import. Where a worker is at it, the worker sees this within a second, and nothing is stored.
    Of one that is done, those are not asked any more to confirm who still wait for it. Raises `HasEnded`
    where nothing is left to be cancelled."""
    found = _own(session, actor, import_id)
    if found.state in ENDED:
        taken_back = outbox.cancel_asks(session, import_id) if found.state is ImportState.DONE else 0
        if not taken_back:
            raise HasEnded(f"this import has ended already: it is {found.state}")
        report = found.report | {"asks_cancelled": found.report.get("asks_cancelled", 0) + taken_back}
        session.execute(update(_IMPORTS).where(_IMPORTS.c.id == import_id).values(report=report))
        audit.record(
            session, now, actor, "import.asks_cancelled", list_id=found.list_id, subject=str(import_id),
            number=taken_back,
        )  # fmt: skip
        return
    if found.report.get("stored"):
        raise CannotCancel(
            "this import cannot be cancelled any more: a part of it is stored, and the rest follows"
        )
    at_work = (
        update(_IMPORTS)
        .where(
            _IMPORTS.c.id == import_id,
            _IMPORTS.c.state.in_([s.value for s in _AT_WORK]),
            _IMPORTS.c.lease_until > now,
        )
        .values(cancel=True)
    )
    if not session.execute(at_work).rowcount:  # type: ignore[attr-defined]
        end(session, now, import_id, ImportState.CANCELLED)
    audit.record(session, now, actor, "import.cancelled", list_id=found.list_id, subject=str(import_id))


def end(session: Session, now: datetime, import_id: UUID, state: ImportState, **values: Any) -> None:
    """Write down how an import ended; its file goes."""
    session.execute(
        update(_IMPORTS)
        .where(_IMPORTS.c.id == import_id)
        .values(state=state.value, finished_at=now, lease_id=None, lease_until=None, **values)
    )
    session.execute(delete(_CHUNKS).where(_CHUNKS.c.import_id == import_id))


def find_import(session: Session, import_id: UUID) -> ImportView | None:
    """The import with this id."""
    row = session.execute(select(*_VIEW).where(_IMPORTS.c.id == import_id)).first()
    return _view(row) if row is not None else None


def recent_imports(
    session: Session, list_ids: Collection[UUID] | None, before: UUID | None, limit: int
) -> list[ImportView]:
    """Imports, the newest first: of these lists or of all, those that came before one of them."""
    wanted = select(*_VIEW).order_by(_IMPORTS.c.id.desc()).limit(limit)
    if list_ids is not None:
        wanted = wanted.where(_IMPORTS.c.list_id.in_(list(list_ids)))
    if before is not None:
        wanted = wanted.where(_IMPORTS.c.id < before)
    return [_view(row) for row in session.execute(wanted)]


def _put_to_work(
    session: Session,
    now: datetime,
    actor: Actor,
    import_id: UUID,
    state: ImportState,
    options: Options,
    *,
    after: Collection[ImportState],
) -> None:
    found = _own(session, actor, import_id)
    if found.state not in after:
        raise ImportFault(f"this import cannot be started: it is {found.state}")
    # A command keeps the rest before it goes on.
    if not options.by_command and not is_whole(session, import_id, found.size):
        raise ImportFault(
            "the file of this import is not here whole: wait until it is, or bring it once more"
        )
    # The file's first line decides what columns there are, read as the options say.
    columns = columns_of(stored(session, import_id), options)
    missing = None
    try:
        options = options.checked(columns)
    except AddressMissing as fault:
        missing = fault  # that of `Blacklist` may wait for an answer, which is to be asked for first
    options = replace(options, all_lists=actor.lists is None)
    seen = look(
        session, import_id, encoding=options.encoding, delimiter=options.delimiter, header=options.header
    )
    asked = mapping.passed_over(seen.columns, seen.mapping, seen.questions, said=options.mapping)
    if unsaid := [question for question in asked if question.column not in options.mapping]:
        raise Undecided(unsaid)
    if missing is not None:
        raise missing
    decided = {*options.decided, *seen.known, *(question.column for question in asked)}
    options = replace(options, decided=tuple(sorted(decided)))
    # Each state is left once, whoever else asks at this moment.
    moved = session.execute(
        update(_IMPORTS)
        .where(_IMPORTS.c.id == import_id, _IMPORTS.c.state.in_([s.value for s in after]))
        .values(state=state.value, options=options.to_json(), rows_done=0, cancel=False, error=None)
    )
    if not moved.rowcount:  # type: ignore[attr-defined]
        raise ImportFault(f"this import cannot be started: it is {found.state}")
    audit.record(
        session, now, actor, "import.checked" if state is ImportState.CHECKING else "import.started",
        list_id=found.list_id, subject=str(import_id), statement=options.statement,
        ask_per_hour=options.ask_per_hour,
    )  # fmt: skip


def _own(session: Session, actor: Actor, import_id: UUID) -> ImportView:
    found = find_import(session, import_id)
    if found is None or not actor.sees(found.list_id):
        raise ImportFault("there is no such import")
    return found


def _tidy(filename: str) -> str:
    """A file's own name, as it can be shown."""
    name = filename.replace("\\", "/").rpartition("/")[2]
    return "".join(character for character in name if character.isprintable()).strip()[:255] or "file"


_IMPORTS, _CHUNKS = table_of(Import), table_of(ImportChunk)
_VIEW = (
    _IMPORTS.c.id, _IMPORTS.c.list_id, _IMPORTS.c.actor, _IMPORTS.c.filename, _IMPORTS.c.size,
    _IMPORTS.c.sha256, _IMPORTS.c.state, _IMPORTS.c.options, _IMPORTS.c.report, _IMPORTS.c.rows_done,
    _IMPORTS.c.error, _IMPORTS.c.cancel, _IMPORTS.c.created_at, _IMPORTS.c.finished_at,
)  # fmt: skip


def _view(row: Any) -> ImportView:
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
    values["state"] = ImportState(values["state"])
    values["options"] = Options.from_json(values["options"]) if values["options"] else None
    return ImportView(**values)

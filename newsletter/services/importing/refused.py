"""The rows that an import refused, as a file that can be corrected and uploaded again: their own columns and
cells, written as the file was, after a column that says why.

That column comes first, because a row may have more or fewer cells than there are columns; what could not be
read as cells at all stands in one. Nothing of the file is kept for this while it is read: the lines that were
refused are read once more, and stored until the import's refused rows are forgotten."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from newsletter.database import table_of
from newsletter.domain.formulas import defused
from newsletter.models import ImportRefusal
from newsletter.services.importing.imports import ImportView
from newsletter.services.importing.options import ATTRIBUTE, REASON, Field, Form, Options
from newsletter.services.importing.reading import parse_object, records

MOST_KEPT = 32 * 1024 * 1024  # characters of all rows of an import together
_AT_ONCE = 1000
_LOST = " The row is not kept, because the refused rows are too large together."


@dataclass(frozen=True)
class Refusal:
    """A row that was not taken: the line that it begins in, how it begins, why, and all of it where it is
    kept."""

    line: int
    text: str
    reason: str
    record: str | None

    @property
    def why(self) -> str:
        """The reason, as a sentence."""
        return said(self.reason)


@dataclass(frozen=True)
class RefusedFile:
    """A file of refused rows, in UTF-8; one of CSV begins with the mark by which spreadsheets know that."""

    name: str
    content_type: str
    parts: Iterator[str]


def said(reason: str) -> str:
    """A reason as a sentence, whoever gave it."""
    return f"{reason[:1].upper()}{reason[1:]}" + ("" if reason.endswith((".", "!", "?")) else ".")


def refusals(session: Session, import_id: UUID, after: int = 0, limit: int = 100) -> list[Refusal]:
    """The rows that were not taken, in the order of their lines, from the one after line `after`. Of more
    than 100,000 the first are kept; the report counts them all."""
    rows = session.execute(
        select(_REFUSALS.c.line, _REFUSALS.c.text, _REFUSALS.c.reason, _REFUSALS.c.record)
        .where(_REFUSALS.c.import_id == import_id, _REFUSALS.c.line > after)
        .order_by(_REFUSALS.c.line)
        .limit(limit)
    )
    return [Refusal(*row) for row in rows]


def whole_records(
    parts: Iterable[bytes], options: Options, lines: Iterable[int]
) -> Iterator[tuple[int, str | None]]:
    """The rows that begin in these lines, as they are stored; those beyond `MOST_KEPT` without themselves.
    `lines` are in order."""
    wanted, left = iter(lines), MOST_KEPT
    line = next(wanted, None)
    for at, record in records(parts, options):
        if line is None:
            return
        if at == line:
            left -= len(record)
            yield line, record if left >= 0 else None
            line = next(wanted, None)


def refused_file(engine: Engine, found: ImportView) -> RefusedFile:
    """The refused rows of an import that was checked, or is done."""
    stem = found.filename.rpartition(".")[0] or found.filename
    stem = stem.removesuffix("-refused") + "-refused"
    if found.options is not None and found.options.form is Form.JSONL:
        return RefusedFile(f"{stem}.jsonl", "application/x-ndjson", _as_jsonl(engine, found))
    return RefusedFile(f"{stem}.csv", "text/csv; charset=utf-8", _as_csv(engine, found))


def _as_csv(engine: Engine, found: ImportView) -> Iterator[str]:
    options = found.options or Options({})
    columns = found.report.get("columns") or ["row"]
    again = columns.index(REASON) if REASON in columns else None  # it was refused before
    names = columns if options.header else _names(columns, options)
    head = [REASON, *(name for name in names if name != REASON)]
    written = io.StringIO()
    writer = csv.writer(written, delimiter=options.delimiter)
    yield "\ufeff"
    writer.writerow(map(defused, head))
    for page in _pages(engine, found):
        for line, text, reason, record in page:
            cells = _cells(record, options) if record is not None else [text]
            if again is not None and len(cells) > 1:
                del cells[again : again + 1]
            if not options.safe:  # else they are as safe as they came
                cells = [defused(cell) for cell in cells]
            writer.writerow([_why(line, reason, record), *cells])
        yield written.getvalue()
        written.seek(0)
        written.truncate()
    yield written.getvalue()


def _why(line: int, reason: str, record: str | None) -> str:
    return f"line {line}: {said(reason)}" + (_LOST if record is None else "")


def _cells(record: str, options: Options) -> list[str]:
    return json.loads(record) if options.form is Form.CSV else [record]


def _names(columns: Iterable[str], options: Options) -> list[str]:
    """Names for the columns of a file that names none: by what they are taken for the second time as well."""
    fields = {column: options.mapping.get(column, Field.IGNORE.value) for column in columns}
    return [
        column if field == Field.IGNORE else field.removeprefix(ATTRIBUTE) for column, field in fields.items()
    ]


def _as_jsonl(engine: Engine, found: ImportView) -> Iterator[str]:
    for page in _pages(engine, found):
        for line, text, reason, record in page:
            value = parse_object(record) if record is not None else {}
            own = value if isinstance(value, dict) else {"line": record}
            own.pop(REASON, None)
            lost = {} if record is not None else {"line": text}
            said = {REASON: _why(line, reason, record)}
            yield json.dumps({**said, **own, **lost}, ensure_ascii=False) + "\n"


def _pages(engine: Engine, found: ImportView) -> Iterator[Iterable[tuple[int, str, str, str | None]]]:
    after = 0
    while True:
        with Session(engine) as session:
            rows = session.execute(
                select(_REFUSALS.c.line, _REFUSALS.c.text, _REFUSALS.c.reason, _REFUSALS.c.record)
                .where(_REFUSALS.c.import_id == found.id, _REFUSALS.c.line > after)
                .order_by(_REFUSALS.c.line)
                .limit(_AT_ONCE)
            ).all()
        if not rows:
            return
        # Who was erased since is in none of them.
        yield [(line, text, reason, record) for line, text, reason, record in rows if reason != "erased"]
        after = rows[-1].line


_REFUSALS = table_of(ImportRefusal)

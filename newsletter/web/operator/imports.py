"""Imports: a file is uploaded, looked at, checked without changing anything, and then brought in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

from flask import Response, abort, flash, redirect, render_template, request, url_for
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response as BaseResponse

from newsletter.domain.languages import LANGUAGES
from newsletter.domain.roles import Scope
from newsletter.extensions import db
from newsletter.models import ImportState
from newsletter.parts import parts
from newsletter.services.importing import (
    ImportFault,
    ImportView,
    Look,
    Options,
    cancel_import,
    check_import,
    create_import,
    find_import,
    look,
    recent_imports,
    refusals,
    refused_file,
    spooled,
    start_import,
    store_rest,
    too_large,
)
from newsletter.services.importing.files import CHUNK
from newsletter.services.importing.options import DELIMITERS, ENCODINGS, Field
from newsletter.services.importing.staging import MOST_REFUSALS
from newsletter.services.lists import ListView
from newsletter.services.outbox import waiting_asks
from newsletter.web import uploads
from newsletter.web.operator import words
from newsletter.web.operator.access import actor, list_or_404, logged_in, needs, operator
from newsletter.web.operator.console import Answer, deed, field, go_on, id_or_none
from newsletter.web.problems import sentence
from newsletter.web.uploads import FileTooLarge

_A_PAGE = 20
_SHOWN = 20  # refused rows on the page; the file has them all
_AT_WORK = (ImportState.CHECKING, ImportState.QUEUED, ImportState.RUNNING)
_TO_BE_READ = (ImportState.UPLOADED, ImportState.CHECKED)


@operator.url_value_preprocessor
def _take_files(endpoint: str | None, _values: dict[str, Any] | None) -> None:
    if endpoint != "operator.upload_import" or request.method != "POST":
        return
    if logged_in() is None:
        abort(401)  # rather than 413: nobody is told that a file is too large which would be taken
    # A form of the other kind is read into memory whole, and holds no file.
    if actor().may(Scope.IMPORT) and request.mimetype == "multipart/form-data":
        uploads.take_file(request, parts().settings.largest_import)


@operator.errorhandler(FileTooLarge)
def _refuse_file(error: FileTooLarge) -> Answer:
    """The page of the imports, with what is said of a file that is too large, once all of it was sent."""
    slug = (request.view_args or {})["slug"]
    fault = sentence(too_large(error.size, parts().settings.largest_import, slug))
    return _page(list_or_404(slug), fault), 413


@operator.teardown_request
def _give_back_files(_error: BaseException | None) -> None:
    """The temporary file of a large upload is not kept until somebody collects it."""
    request.close()


@operator.get("/lists/<slug>/imports")
@needs(Scope.IMPORT)
def show_imports(slug: str) -> str:
    """The form for a file, and the imports that there were."""
    return _page(list_or_404(slug))


def _page(mailing_list: ListView, fault: str | None = None) -> str:
    found = recent_imports(db.session(), [mailing_list.id], id_or_none(request.args.get("before")), _A_PAGE)
    return render_template(
        "operator/imports.html",
        list=mailing_list,
        imports=found,
        more=found[-1].id if len(found) == _A_PAGE else None,
        fault=fault,
        largest=parts().settings.largest_import,
        too_large=sentence(too_large("{size}", parts().settings.largest_import, mailing_list.slug)),
    )


@operator.post("/lists/<slug>/imports")
@needs(Scope.IMPORT)
def upload_import(slug: str) -> Answer:
    """Take a file in."""
    mailing_list = list_or_404(slug)
    file = request.files.get("file")
    if file is None or not file.filename:
        return _page(mailing_list, fault="Choose a file."), 422
    pieces = iter(lambda: file.stream.read(CHUNK), b"")
    largest = parts().settings.largest_import
    if (size := uploads.size_of(file)) > largest:
        return _page(mailing_list, fault=sentence(too_large(size, largest, slug))), 422
    try:
        with spooled(pieces) as stored:
            with deed() as (session, now):
                import_id = create_import(session, now, actor(), mailing_list.id, file.filename, stored)
            store_rest(db.engine, import_id, stored)
    except ImportFault as error:
        return _page(mailing_list, fault=sentence(error)), 422
    return redirect(url_for("operator.show_import", slug=slug, import_id=import_id), 303)


@operator.get("/lists/<slug>/imports/<uuid:import_id>")
@needs(Scope.IMPORT)
def show_import(slug: str, import_id: UUID) -> str:
    """Where an import stands, and what can be done next."""
    mailing_list = list_or_404(slug)
    return _import_page(mailing_list, import_or_404(mailing_list, import_id))


def import_or_404(mailing_list: ListView, import_id: UUID) -> ImportView:
    """An import of this very list."""
    found = find_import(db.session(), import_id)
    if found is None or found.list_id != mailing_list.id:
        raise NotFound
    return found


def _import_page(mailing_list: ListView, found: ImportView, fault: str | None = None) -> str:
    seen = None
    if found.state in _TO_BE_READ:
        try:
            seen = _look(found)
        except ImportFault as error:
            fault = fault or sentence(error)
    return render_template(
        "operator/import.html",
        list=mailing_list,
        one=found,
        at_work=found.state in _AT_WORK,
        waiting=waiting_asks(db.session(), found.id) if found.report.get("asked") else 0,
        seen=seen,
        chosen=_chosen(found, seen) if seen is not None else None,
        questions={one.column: one.cells for one in seen.questions} if seen is not None else {},
        fields=words.FIELDS,
        meanings=words.CELLS,
        encodings=[(name, name) for name in ENCODINGS],
        delimiters=DELIMITERS,
        languages=LANGUAGES,
        most_kept=MOST_REFUSALS,
        refused=refusals(db.session(), found.id, limit=_SHOWN) if found.report.get("refused") else [],
        fault=fault,
    )


def _look(found: ImportView) -> Look:
    """The file, read as the operator says, else as it was checked, else as it seems to be written."""
    before = found.options
    encoding, delimiter, header = (request.values.get(name) for name in ("encoding", "delimiter", "header"))
    return look(
        db.session(),
        found.id,
        encoding=encoding if encoding in ENCODINGS else before.encoding if before else None,
        delimiter=delimiter if delimiter in DELIMITERS else before.delimiter if before else None,
        header=header == "yes" if header in ("yes", "no") else before.header if before else None,
    )


def _chosen(found: ImportView, seen: Look) -> Options:
    """What the form shows: what was sent, else what was checked, else what seems right."""
    if request.method == "POST":
        return _options(seen)
    before = found.options
    if before is None or set(before.mapping) != set(seen.columns):
        return seen.options()
    # What the whole file has shown since is asked about.
    asked = {question.column for question in seen.questions} - set(before.decided)
    return replace(before, mapping={name: is_ for name, is_ in before.mapping.items() if name not in asked})


def _options(seen: Look) -> Options:
    """What the form says."""
    mapping = {
        column: chosen
        for number, column in enumerate(seen.columns)
        if (chosen := request.form.get(f"column-{number}", "ignore"))
    }
    asks = field("ask_per_hour")
    return seen.options(
        mapping=mapping,
        values=_values(seen, mapping),
        statement=field("statement") or None,
        # Whatever is no number is out of bounds.
        ask_per_hour=(int(asks) if asks.isascii() and asks.isdigit() and len(asks) < 9 else 0)
        if asks
        else None,
        locale=field("locale") or None,
        safe=field("safe") == "yes",
    )


def _values(seen: Look, mapping: dict[str, str]) -> dict[str, dict[str, str]]:
    """What the form says of cells, where their column says who left. A cell of which nobody can tell has
    none."""
    form = request.form
    values: dict[str, dict[str, str]] = {}
    for number, column in enumerate(seen.columns):
        if mapping.get(column) in (Field.STATE, Field.LEFT):
            cells = zip(form.getlist(f"cell-{number}"), form.getlist(f"means-{number}"), strict=False)
            values[column] = {cell: means for cell, means in cells if means}
    return {column: cells for column, cells in values.items() if cells}


@operator.post("/lists/<slug>/imports/<uuid:import_id>/check")
@needs(Scope.IMPORT)
def check(slug: str, import_id: UUID) -> Answer:
    """Let the worker read the file and report, changing nothing."""
    mailing_list = list_or_404(slug)
    found = import_or_404(mailing_list, import_id)
    try:
        options = _options(_look(found))
        with deed() as (session, now):
            check_import(session, now, actor(), import_id, options)
    except ImportFault as error:
        return _import_page(mailing_list, found, fault=sentence(error)), 422
    return redirect(url_for("operator.show_import", slug=slug, import_id=import_id), 303)


@operator.post("/lists/<slug>/imports/<uuid:import_id>/start")
@needs(Scope.IMPORT)
def start(slug: str, import_id: UUID) -> Answer:
    """Bring in what was checked."""
    mailing_list = list_or_404(slug)
    found = import_or_404(mailing_list, import_id)
    try:
        with deed() as (session, now):
            start_import(session, now, actor(), import_id)
    except ImportFault as error:
        return _import_page(mailing_list, found, fault=sentence(error)), 422
    return redirect(url_for("operator.show_import", slug=slug, import_id=import_id), 303)


@operator.post("/lists/<slug>/imports/<uuid:import_id>/cancel")
@needs(Scope.IMPORT)
def cancel(slug: str, import_id: UUID) -> BaseResponse:
    """End it, and nothing of the file is stored; of one that is done, end the asking."""
    found = import_or_404(list_or_404(slug), import_id)
    try:
        with deed() as (session, now):
            cancel_import(session, now, actor(), import_id)
    except ImportFault as error:
        flash(sentence(error))
        return redirect(url_for("operator.show_import", slug=slug, import_id=import_id), 303)
    done = "It is cancelled: nothing of the file is stored."
    if found.state is ImportState.DONE:
        done = "Who was not asked yet is not asked any more."
    return go_on("show_import", done=done, slug=slug, import_id=import_id)


@operator.get("/lists/<slug>/imports/<uuid:import_id>/refused.csv")
@needs(Scope.IMPORT)
def refused_rows(slug: str, import_id: UUID) -> Response:
    """The rows that were not taken, to be corrected and uploaded again."""
    file = refused_file(db.engine, import_or_404(list_or_404(slug), import_id))
    response = Response(file.parts, content_type=file.content_type)
    response.headers.set("Content-Disposition", "attachment", filename=file.name)
    return response

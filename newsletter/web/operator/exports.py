"""Exports: chosen by a form, streamed as a download, and kept on record with their proof."""

from __future__ import annotations

from datetime import date
from uuid import UUID

from flask import Response, render_template, request
from werkzeug.exceptions import NotFound

from newsletter.domain.lifecycle import State
from newsletter.domain.roles import Scope
from newsletter.extensions import db
from newsletter.parts import parts
from newsletter.services import subscribers
from newsletter.services.exports import (
    DEFAULT_COLUMNS,
    ExportError,
    ExportRequest,
    ExportView,
    Format,
    find_export,
    manifest,
    manifest_text,
    recent_exports,
    start_export,
    stream_export,
)
from newsletter.services.exports.columns import ALL
from newsletter.services.lists import ListView
from newsletter.web.downloads import TooManyDownloads, downloads
from newsletter.web.operator import words
from newsletter.web.operator.access import actor, list_or_404, needs, operator
from newsletter.web.operator.console import Answer, deed, field, id_or_none
from newsletter.web.problems import sentence

_A_PAGE = 20
_WITH_COLUMNS = (Format.CSV, Format.JSONL, Format.SQLITE)


@operator.get("/lists/<slug>/exports")
@needs(Scope.EXPORT)
def show_exports(slug: str) -> str:
    """The form for an export, and those that there were."""
    return _page(list_or_404(slug))


@operator.post("/lists/<slug>/exports")
@needs(Scope.EXPORT)
def export(slug: str) -> Answer:
    """The file, as it is read from the database."""
    mailing_list = list_or_404(slug)
    try:
        with downloads().place() as take:
            wanted = _wanted(mailing_list)
            with deed() as (session, now):
                export_id = start_export(session, now, actor(), wanted)
            begun = find_export(db.session(), export_id)
            assert begun is not None
            return Response(
                take(stream_export(db.engine, parts().settings, export_id, wanted)),
                content_type=begun.media_type,
                headers={"Content-Disposition": f'attachment; filename="{begun.file_name}"'},
            )
    except ExportError as error:
        return _page(mailing_list, fault=sentence(error)), 422
    except TooManyDownloads as error:
        return _page(mailing_list, fault=str(error)), 503


@operator.get("/lists/<slug>/exports/<uuid:export_id>/manifest")
@needs(Scope.EXPORT)
def show_manifest(slug: str, export_id: UUID) -> Response:
    """What an export came to, signed: `newsletter verify-export` holds the file against it."""
    found = _export_or_404(list_or_404(slug), export_id)
    proof = manifest(db.session(), parts().settings, export_id)
    if proof is None:
        raise NotFound
    name = f"{found.file_name}.manifest.json"
    return Response(
        manifest_text(proof),
        content_type="application/json",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _export_or_404(mailing_list: ListView, export_id: UUID) -> ExportView:
    found = find_export(db.session(), export_id)
    if found is None or found.list_id != mailing_list.id:
        raise NotFound
    return found


def _page(mailing_list: ListView, fault: str | None = None) -> str:
    session = db.session()
    found = recent_exports(session, [mailing_list.id], id_or_none(request.args.get("before")), _A_PAGE)
    sent = request.form if request.method == "POST" else None
    return render_template(
        "operator/exports.html",
        list=mailing_list,
        formats=words.FORMATS,
        states=list(State),
        sources=subscribers.sources(session, mailing_list.id),
        columns=list(ALL),
        sent=sent,
        chosen_states=sent.getlist("states") if sent is not None else [State.CONFIRMED.value],
        chosen_columns=sent.getlist("columns") if sent is not None else DEFAULT_COLUMNS,
        fault=fault,
        exports=found,
        more=found[-1].id if len(found) == _A_PAGE else None,
        words=words,
    )


def _wanted(mailing_list: ListView) -> ExportRequest:
    """What the form asks for. Raises `ExportError`."""
    name = field("format")
    if name not in set(Format):
        raise ExportError("choose a format")
    form = Format(name)
    key, value = field("key"), field("value")
    if value and not key:
        raise ExportError("an attribute needs its name, too")
    return ExportRequest(
        list_id=mailing_list.id,
        format=form,
        states=tuple(state for state in State if state.value in request.form.getlist("states")),
        joined_from=_day("joined_from"),
        joined_until=_day("joined_until"),
        source=field("source") or None,
        domain=field("domain") or None,
        attribute=(key, value) if key else None,
        with_paused=field("with_paused") == "yes",
        columns=tuple(request.form.getlist("columns")) if form in _WITH_COLUMNS else (),
        safe=form is Format.CSV and field("safe") == "yes",
        gzip=field("gzip") == "yes",
    )


def _day(name: str) -> date | None:
    """A day of the form. Raises `ExportError`."""
    typed = field(name)
    try:
        return date.fromisoformat(typed) if typed else None
    except ValueError as error:
        raise ExportError(f"{typed!r} is no day; one is written 2026-01-31") from error

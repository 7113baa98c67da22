"""Imports: subscribers in, from a file that is uploaded, looked at, checked, and started; the rest is the
worker's."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from flask import Response, request
from sqlalchemy.orm import Session
from werkzeug.exceptions import LengthRequired

from newsletter.database import write_transaction
from newsletter.domain.roles import Scope
from newsletter.extensions import db
from newsletter.models import ImportState
from newsletter.parts import parts
from newsletter.services import importing, lists
from newsletter.services.importing import HasEnded, ImportFault, ImportView, Options
from newsletter.services.importing.files import CHUNK
from newsletter.services.importing.options import Form
from newsletter.web import uploads
from newsletter.web.api.access import actor, list_or_404
from newsletter.web.api.creating import Made, create
from newsletter.web.api.import_schemas import (
    BODY,
    EXAMPLE,
    EXAMPLE_OPTIONS,
    Import,
    ImportOptions,
    Look,
    Reading,
    Refusal,
    Upload,
    WantedImports,
)
from newsletter.web.api.paging import Paged, page, page_of, read_cursor
from newsletter.web.api.resource import Resource, nothing_there, whereabouts
from newsletter.web.problems import Problem, api_problem, sentence
from newsletter.web.uploads import FileTooLarge

resource = Resource("imports", "Subscribers in, from a file.")

_LARGEST_LINE = 2**63 - 1


def _largest() -> int:
    return parts().settings.largest_import


@resource.post("/lists/<slug>/imports", scope=Scope.IMPORT, largest=_largest)
@resource.arguments(Upload, location="query")
@resource.creates(Import, example=EXAMPLE | {"state": "uploaded", "options": None})
@resource.doc(requestBody=BODY)
@resource.alt_response(413, "REQUEST_ENTITY_TOO_LARGE")
def upload_import(asked: dict[str, Any], slug: str) -> Response:
    """Upload a file

    CSV or JSON Lines, of this service or another tool. Nothing is imported yet: look at it, check it, start
    it.
    """
    mailing_list, settings = list_or_404(slug), parts().settings
    filename, arriving = _file(asked["filename"], settings.largest_import)
    # Read to its end before the transaction begins: a slow caller holds up nobody.
    with importing.spooled(arriving) as stored:
        made: list[UUID] = []

        def make(session: Session, now: datetime) -> Made:
            made[:] = [importing.create_import(session, now, actor(), mailing_list.id, filename, stored)]
            return Made(_shown(session, _found(session, made[0])))

        answer = create(make, Import, digest=stored.sha256)
        for import_id in made:  # none where an earlier call with its Idempotency-Key is answered again
            importing.store_rest(db.engine, import_id, stored)
        return answer


@resource.get("/imports", scope=Scope.IMPORT)
@resource.arguments(WantedImports, location="query")
@resource.response(200, page_of(Import), example={"items": [EXAMPLE], "next": None})
def get_imports(asked: dict[str, Any]) -> Any:
    """Show imports, the newest first"""
    session, limit = db.session(), asked["limit"]
    visible = frozenset([list_or_404(asked["list"]).id]) if asked["list"] is not None else actor().lists
    found = importing.recent_imports(session, visible, read_cursor(asked["cursor"], UUID), limit + 1)
    items, status, headers = page(found, limit, lambda one: one.id)
    return items | {"items": [_shown(session, one) for one in items["items"]]}, status, headers


@resource.get("/imports/<id:import_id>", scope=Scope.IMPORT)
@resource.response(200, Import, example=EXAMPLE)
def get_import(import_id: UUID) -> dict[str, Any]:
    """Show an import, and how far it is"""
    return _shown(db.session(), _found(db.session(), import_id))


@resource.get("/imports/<id:import_id>/look", scope=Scope.IMPORT)
@resource.arguments(Reading, location="query")
@resource.response(200, Look)
def look_at_import(reading: dict[str, Any], import_id: UUID) -> Any:
    """Look at a file

    How it is written, its first rows, and what its columns seem to be.
    """
    found = _found(db.session(), import_id)
    return importing.look(db.session(), found.id, **reading)


@resource.post("/imports/<id:import_id>/check", scope=Scope.IMPORT)
@resource.arguments(ImportOptions, example=EXAMPLE_OPTIONS)
@resource.response(202, Import, example=EXAMPLE | {"state": "checking"})
@resource.alt_response(409, "CONFLICT")
def check_import(changes: dict[str, Any], import_id: UUID) -> dict[str, Any]:
    """Check a file

    All of it is read, and nothing changed. The report then says what would become of its rows, and `refusals`
    which would not be taken, and why.
    """

    def check(session: Session, now: datetime, found: ImportView) -> None:
        _must_wait(found)
        importing.check_import(session, now, actor(), found.id, _options(session, found, changes))

    return _after(import_id, check)


@resource.post("/imports/<id:import_id>/start", scope=Scope.IMPORT)
@resource.arguments(ImportOptions, example={})
@resource.response(202, Import, example=EXAMPLE | {"state": "queued"})
@resource.alt_response(409, "CONFLICT")
def start_import(changes: dict[str, Any], import_id: UUID) -> dict[str, Any]:
    """Start an import

    By the options of its check, unless you send others. All of the file is stored, or nothing. Nobody who
    unsubscribed, bounced, complained or is suppressed comes back by it.
    """

    def start(session: Session, now: datetime, found: ImportView) -> None:
        _must_wait(found)
        options = _options(session, found, changes) if changes or found.options is None else None
        importing.start_import(session, now, actor(), found.id, options)

    return _after(import_id, start)


@resource.post("/imports/<id:import_id>/cancel", scope=Scope.IMPORT)
@resource.response(202, Import, example=EXAMPLE | {"state": "cancelled"})
@resource.alt_response(409, "CONFLICT")
def cancel_import(import_id: UUID) -> dict[str, Any]:
    """Cancel an import

    Nothing of it is stored. Of one that is done, those who were not asked yet to confirm are not asked any
    more: they stay pending until their sign-up lapses.
    """

    def cancel(session: Session, now: datetime, found: ImportView) -> None:
        try:
            importing.cancel_import(session, now, actor(), found.id)
        except HasEnded:
            raise _not_now(found) from None

    return _after(import_id, cancel)


@resource.get("/imports/<id:import_id>/refusals", scope=Scope.IMPORT)
@resource.arguments(Paged, location="query")
@resource.response(200, page_of(Refusal))
def get_refusals(asked: dict[str, Any], import_id: UUID) -> Any:
    """Show the rows that were refused, and why"""
    found = _found(db.session(), import_id)
    after = read_cursor(asked["cursor"], _line) or 0
    refused = importing.refusals(db.session(), found.id, after, asked["limit"] + 1)
    return page(refused, asked["limit"], lambda refusal: refusal.line)


@resource.errorhandler(ImportFault)
def _refuse(error: ImportFault) -> Response:
    return api_problem(Problem(422, "invalid", sentence(error)))


@resource.errorhandler(FileTooLarge)
def _refuse_file(error: FileTooLarge) -> Response:
    slug = (request.view_args or {})["slug"]
    said = importing.too_large(error.size, parts().settings.largest_import, slug)
    return api_problem(Problem(413, "too_large", sentence(said)))


def _file(filename: str, largest: int) -> tuple[str, Iterable[bytes]]:
    """The file that is sent, and its name. Raises `FileTooLarge`."""
    if request.content_length is None:
        raise LengthRequired
    if request.mimetype != "multipart/form-data":
        if request.content_length > largest:
            raise FileTooLarge(request.content_length)
        return filename, iter(lambda: request.stream.read(CHUNK), b"")
    unknown = {name: "Unknown field." for name in (*request.form, *request.files) if name != "file"}
    if unknown:
        raise Problem(422, "invalid", "The form holds more than a file.", errors=unknown)
    sent = request.files.get("file")
    if sent is None:
        wrong = {"file": "Missing data for required field."}
        raise Problem(422, "invalid", "The form has no file.", errors=wrong)
    if (size := uploads.size_of(sent)) > largest:
        raise FileTooLarge(size)
    return sent.filename or filename, iter(lambda: sent.stream.read(CHUNK), b"")


def _line(text: str) -> int:
    number = int(text)
    if not 0 <= number <= _LARGEST_LINE:
        raise ValueError(text)
    return number


def _options(session: Session, found: ImportView, changes: dict[str, Any]) -> Options:
    """The caller's options, and as the file looks where they say nothing."""
    seen = importing.look(
        session,
        found.id,
        encoding=changes.get("encoding"),
        delimiter=changes.get("delimiter"),
        header=changes.get("header"),
    )
    form = {"form": Form(changes["form"])} if "form" in changes else {}
    return seen.options(**changes | form)


def _after(import_id: UUID, act: Callable[[Session, datetime, ImportView], None]) -> dict[str, Any]:
    """The import after something was done with it."""
    session = db.session()
    with write_transaction(session):
        act(session, datetime.now(UTC), _found(session, import_id))
        return _shown(session, _found(session, import_id))


def _must_wait(found: ImportView) -> None:
    if found.state not in (ImportState.UPLOADED, ImportState.CHECKED):
        raise _not_now(found)


def _not_now(found: ImportView) -> Problem:
    return Problem(409, "not_now", f"That is not possible now: this import is {found.state}.")


def _found(session: Session, import_id: UUID) -> ImportView:
    found = importing.find_import(session, import_id)
    if found is None or not actor().sees(found.list_id):
        raise nothing_there("import")
    return found


def _shown(session: Session, found: ImportView) -> dict[str, Any]:
    slugs = {one.id: one.slug for one in lists.every(session)}
    return vars(found) | {
        "list": slugs[found.list_id],
        "options": found.options.to_json() if found.options is not None else None,
        "created_by": found.actor,
        "self": whereabouts("imports", found.id),
    }

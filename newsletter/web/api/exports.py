"""Exports: subscribers out, streamed from one snapshot, with a proof of what they came to."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from flask import Response, request
from marshmallow import Schema, fields, validate

from newsletter.database import write_transaction
from newsletter.domain.lifecycle import State
from newsletter.domain.roles import Scope
from newsletter.extensions import db
from newsletter.parts import parts
from newsletter.services.exports import (
    ExportError,
    ExportRequest,
    ExportView,
    Format,
    find_export,
    manifest,
    recent_exports,
    start_export,
    stream_export,
)
from newsletter.services.exports.columns import ALL
from newsletter.web.api.access import actor, list_or_404
from newsletter.web.api.paging import Paged, page, page_of, read_cursor
from newsletter.web.api.resource import Resource, media_type, nothing_there, whereabouts
from newsletter.web.api.schemas import Fields, Moment, Several, address, choice, line, state, told
from newsletter.web.downloads import TooManyDownloads, downloads
from newsletter.web.problems import Problem, api_problem, sentence

resource = Resource("exports", "Subscribers out, with a proof.")

_EXAMPLE = {
    "id": "019b2f6e-5c00-7d11-8a55-0f6f4bb3c006",
    "list": "sport",
    "format": "csv",
    "filters": {"states": ["confirmed"]},
    "columns": ["id", "email", "name"],
    "created_by": "token nlt_Ab3dE6gh (sync)",
    "started_at": "2026-01-31T08:00:00.000000Z",
    "finished_at": "2026-01-31T08:00:02.000000Z",
    "finished": True,
    "rows": 1200,
    "bytes": 61440,
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "self": "https://news.example.org/api/v1/exports/019b2f6e-5c00-7d11-8a55-0f6f4bb3c006",
}
_CSV = """\
id,email,name,state,locale,source,created_at,confirmed_at,unsubscribed_at,attributes\r
019b2f6e-5c00-7d11-8a55-0f6f4bb3c003,ann@example.org,Ann,confirmed,en,form,2026-01-31T08:00:00.000000Z,\
2026-01-31T08:00:09.000000Z,,{}\r
"""
_MEDIA_TYPES = ("text/csv", "application/jsonl", "application/vnd.sqlite3", "application/gzip")
_HEADERS = {
    "Export-Id": {
        "description": "The export, for its manifest.",
        "schema": {"type": "string", "format": "uuid"},
    },
    "Content-Disposition": {"description": "What to call the file.", "schema": {"type": "string"}},
}


class Wanted(Fields):
    """Whose, which, how written."""

    format = choice(*Format, **told("How it is written; some as other tools take it.", load_default="csv"))
    state = Several(
        state(),
        validate=validate.Length(min=1),
        **told("In these states, separated by commas.", load_default=("confirmed",)),
    )
    joined_from = fields.Date(**told("Who joined on this day (UTC) or later.", load_default=None))
    joined_until = fields.Date(**told("Who joined on this day or before.", load_default=None))
    source = line(32, **told("By which way they came.", load_default=None))
    domain = line(255, **told("Whose address is of this domain.", load_default=None))
    attribute = fields.String(
        validate=validate.And(
            validate.Length(max=1000),
            validate.Regexp("^[^=]+=", error="Must be key=value, such as city=Basel."),
        ),
        **told("Who has this attribute, as `key=value`.", load_default=None),
    )
    with_paused = fields.Boolean(
        truthy={"true"},
        falsy={"false"},
        **told(
            "Those, too, who paused: they are confirmed, and want no mail until `paused_until`. An archive "
            "always holds them.",
            load_default=False,
        ),
    )
    columns = Several(
        choice(*ALL), **told("Which columns, separated by commas; else the format's own.", load_default=())
    )
    safe = fields.Boolean(
        truthy={"true"}, falsy={"false"}, **told("Defuse formulas, for spreadsheets.", load_default=False)
    )
    gzip = fields.Boolean(truthy={"true"}, falsy={"false"}, **told("Compressed.", load_default=False))


class WantedExports(Paged):
    """Which exports."""

    list = line(64, **told("Of the list with this slug.", load_default=None))


class Export(Schema):
    """An export, and what it came to. One that is not `finished` is under way, or was cut short."""

    id = fields.UUID(required=True)
    list = fields.String(required=True, allow_none=True, **told("The list's slug; null for several lists."))
    format = choice(*Format, required=True)
    filters = fields.Dict(required=True)
    columns = fields.List(fields.String(), required=True)
    created_by = fields.String(required=True)
    started_at = Moment(required=True)
    finished_at = Moment(required=True, allow_none=True)
    finished = fields.Boolean(required=True)
    rows = fields.Integer(required=True, allow_none=True)
    bytes = fields.Integer(required=True, allow_none=True)
    sha256 = fields.String(required=True, allow_none=True)
    self = address(required=True)


class Manifest(Schema):
    """What an export came to, signed with the service's keys: `newsletter verify-export` holds a file against
    it."""

    id = fields.UUID(required=True)
    list = fields.String(required=True, allow_none=True)
    format = choice(*Format, required=True)
    filters = fields.Dict(required=True)
    columns = fields.List(fields.String(), required=True)
    started_at = fields.String(required=True)
    finished_at = fields.String(required=True)
    rows = fields.Integer(required=True)
    bytes = fields.Integer(required=True)
    sha256 = fields.String(required=True)
    signature = fields.String(required=True)


@resource.get("/lists/<slug>/export", scope=Scope.EXPORT)
@resource.arguments(Wanted, location="query")
@resource.streams(*_MEDIA_TYPES, example=_CSV, headers=_HEADERS)
def export(wanted: dict[str, Any], slug: str) -> Response:
    """Export a list

    A stream from one snapshot, however long it takes. Whether it arrived whole, the manifest of the export
    tells: it is there once the last byte was taken, with the number of rows and bytes and the SHA-256.
    """
    mailing_list, session = list_or_404(slug), db.session()
    attribute = wanted["attribute"]
    key, _, value = (attribute or "").partition("=")
    asked = ExportRequest(
        **wanted
        | {
            "list_id": mailing_list.id,
            "format": Format(wanted["format"]),
            "states": tuple(State(one) for one in dict.fromkeys(wanted.pop("state"))),
            "attribute": (key, value) if attribute else None,
            "columns": tuple(wanted["columns"]),
        }
    )
    if request.method == "HEAD":
        own = "application/gzip" if asked.gzip else asked.format.media_type
        return Response(content_type=media_type(own))
    try:
        with downloads().place() as take:
            with write_transaction(session):
                export_id = start_export(session, datetime.now(UTC), actor(), asked)
                view = find_export(session, export_id)
            assert view is not None
            chunks = take(stream_export(db.engine, parts().settings, export_id, asked))
            response = Response(chunks, content_type=media_type(view.media_type))
    except TooManyDownloads as error:
        raise Problem(503, "busy", str(error), headers={"Retry-After": "60"}) from error
    response.headers["Content-Disposition"] = f'attachment; filename="{view.file_name}"'
    response.headers["Export-Id"] = str(export_id)
    response.headers["Link"] = f'<{whereabouts("exports", export_id, "manifest")}>; rel="describedby"'
    return response


@resource.get("/exports", scope=Scope.EXPORT)
@resource.arguments(WantedExports, location="query")
@resource.response(200, page_of(Export), example={"items": [_EXAMPLE], "next": None})
def get_exports(asked: dict[str, Any]) -> Any:
    """Show exports, the newest first"""
    limit = asked["limit"]
    visible = frozenset([list_or_404(asked["list"]).id]) if asked["list"] is not None else actor().lists
    before = read_cursor(asked["cursor"], UUID)
    found = [_shown(one) for one in recent_exports(db.session(), visible, before, limit + 1)]
    return page(found, limit, lambda one: one["id"])


@resource.get("/exports/<id:export_id>", scope=Scope.EXPORT)
@resource.response(200, Export, example=_EXAMPLE)
def get_export(export_id: UUID) -> dict[str, Any]:
    """Show an export, and what it came to"""
    return _shown(_found(export_id))


@resource.get("/exports/<id:export_id>/manifest", scope=Scope.EXPORT)
@resource.response(200, Manifest)
@resource.alt_response(409, "CONFLICT")
def get_manifest(export_id: UUID) -> Any:
    """Show the proof of an export

    To be kept beside its file.
    """
    signed = manifest(db.session(), parts().settings, _found(export_id).id)
    if signed is None:
        raise Problem(409, "not_finished", "This export is under way or was cut short: it has no proof.")
    return signed


@resource.errorhandler(ExportError)
def _refuse(error: ExportError) -> Response:
    return api_problem(Problem(422, "invalid", sentence(error)))


def _found(export_id: UUID) -> ExportView:
    found = find_export(db.session(), export_id)
    if found is None or not found.seen_by(actor()):
        raise nothing_there("export")
    return found


def _shown(found: ExportView) -> dict[str, Any]:
    return vars(found) | {
        "list": found.slug,
        "created_by": found.actor,
        "finished": found.finished_at is not None,
        "self": whereabouts("exports", found.id),
    }

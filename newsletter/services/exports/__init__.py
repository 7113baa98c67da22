"""Subscribers out: one service behind console, API and command.

An export is begun (`start_export`: a row that says who took what, and the audit log), streamed
(`stream_export`: one snapshot of the database, memory that stays flat) and, when its last byte was taken, has
a proof: rows, bytes and SHA-256 of what was delivered. `manifest` signs it, `verify` holds a file against it.
"""

from newsletter.services.exports.proof import NotProven, Proven, manifest, manifest_text, verify
from newsletter.services.exports.records import (
    ExportView,
    find_export,
    recent_exports,
    start_export,
)
from newsletter.services.exports.request import DEFAULT_COLUMNS, ExportError, ExportRequest, Format
from newsletter.services.exports.streaming import stream_export

__all__ = [
    "DEFAULT_COLUMNS",
    "ExportError",
    "ExportRequest",
    "ExportView",
    "Format",
    "NotProven",
    "Proven",
    "find_export",
    "manifest",
    "manifest_text",
    "recent_exports",
    "start_export",
    "stream_export",
    "verify",
]

"""The proof of an export: a manifest that says what its file holds, signed with the service's keys; and the
check that holds a file against it.

Rows count subscriptions. Bytes and SHA-256 are those of the file as it was delivered: of the compressed one,
where it was compressed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO
from uuid import UUID

from sqlalchemy.orm import Session

from newsletter.database import rfc3339
from newsletter.domain.manifests import is_signed, sign
from newsletter.services.exports.records import ExportView, find_export, slugs
from newsletter.settings import Settings

_PART = 1024 * 1024  # bytes that are read at once
LARGEST = 1024 * 1024  # bytes of a manifest


class NotProven(Exception):
    """A file is not what was exported, or nothing proves it. The message says what is wrong, in one line."""


@dataclass(frozen=True)
class Proven:
    """A file that is whole and unchanged, and what its manifest says of it."""

    fields: Mapping[str, Any]

    @property
    def rows(self) -> int:
        return int(self.fields["rows"])


def manifest(session: Session, settings: Settings, export_id: UUID) -> dict[str, Any] | None:
    """What an export came to, signed; None where there is no such export, or it did not reach its end."""
    view = find_export(session, export_id)
    if view is None or view.finished_at is None:
        return None
    fields = _fields(session, view)
    return fields | {"signature": sign(fields, settings.secret_keys)}


def manifest_text(manifest: Mapping[str, Any]) -> str:
    """A manifest as it is written beside a file."""
    return json.dumps(manifest, ensure_ascii=False, indent=2) + "\n"


def about(session: Session, view: ExportView) -> dict[str, Any]:
    """What is known of an export before its end."""
    filters = dict(view.filters)
    if view.lists is not None:
        filters["lists"] = slugs(session, view.lists)
    return {
        "id": str(view.id),
        "list": view.slug,
        "format": view.format.value,
        "columns": list(view.columns),
        "filters": filters,
        "started_at": rfc3339(view.started_at),
    }


def _fields(session: Session, view: ExportView) -> dict[str, Any]:
    assert view.finished_at is not None
    return about(session, view) | {
        "finished_at": rfc3339(view.finished_at),
        "rows": view.rows,
        "bytes": view.bytes,
        "sha256": view.sha256,
    }


def verify(file: BinaryIO, written: bytes, keys: Sequence[str], session: Session | None) -> Proven:
    """Hold a file against its manifest as it is `written`, which one of `keys` must have signed; and with a
    `session` that against what the database knows of the export. Raises `NotProven`."""
    fields, signature = _read(written)
    if not is_signed(fields, signature, keys):
        raise NotProven("the manifest was changed, or was signed by keys that are not NEWSLETTER_SECRET_KEYS")
    known = None if session is None else _known(session, fields)
    if known is not None and known != fields:
        raise NotProven("the manifest is not that of this export: the database says something else of it")
    size, digest = _measure(file)
    if size < fields["bytes"]:
        raise NotProven(f"the file is cut short: it has {size:,} of {fields['bytes']:,} bytes")
    if size > fields["bytes"]:
        raise NotProven(f"the file has {size - fields['bytes']:,} bytes more than were exported")
    if digest != fields["sha256"]:
        raise NotProven("the file was changed: its SHA-256 is not that of the export")
    return Proven(fields)


def _read(written: bytes) -> tuple[dict[str, Any], str]:
    """A manifest's fields and its signature."""
    try:
        read = json.loads(written)
    except (ValueError, RecursionError) as error:
        raise NotProven("the manifest was changed: it is no JSON") from error
    if not isinstance(read, dict) or not isinstance(signature := read.pop("signature", None), str):
        raise NotProven("the manifest was changed: it has no signature")
    return read, signature


def _known(session: Session, fields: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the database says of the export that these fields name."""
    try:
        view = find_export(session, UUID(str(fields.get("id"))))
    except ValueError:
        return None
    return None if view is None or view.finished_at is None else _fields(session, view)


def _measure(file: BinaryIO) -> tuple[int, str]:
    size, digest = 0, hashlib.sha256()
    while part := file.read(_PART):
        size += len(part)
        digest.update(part)
    return size, digest.hexdigest()

"""An export's bytes. Where they end early, for whatever reason, nothing says that they are whole: they
break off in a way that no reader takes for an end, and the proof is kept only after whoever reads has taken
the last byte and asked for more.

It opens connections of its own, and commits: what is streamed outlives the request that asked for it.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import Connection, Engine
from sqlalchemy.orm import Session

from newsletter.database import snapshot, write_transaction
from newsletter.services.exports import records
from newsletter.services.exports.archive import archive
from newsletter.services.exports.lines import CHUNK, Piece, lines
from newsletter.services.exports.proof import about
from newsletter.services.exports.request import ExportRequest, Format
from newsletter.services.exports.sqlite_file import sqlite_file
from newsletter.settings import Settings

_GZIP = 16 + zlib.MAX_WBITS


def stream_export(
    engine: Engine,
    settings: Settings,
    export_id: UUID,
    request: ExportRequest,
    *,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    told: Callable[[int], None] = lambda rows: None,  # noqa: ARG005
) -> Generator[bytes]:
    """The bytes of an export that was begun, in chunks of about 64 KiB. `told` is told how many subscriptions
    were read so far. Rows, bytes and SHA-256 of what was delivered are kept at its end."""
    digest, size, rows = hashlib.sha256(), 0, 0

    def counted(pieces: Iterable[Piece]) -> Iterator[bytes]:
        nonlocal rows
        for piece in pieces:
            rows += piece.rows
            told(rows)
            yield piece.data

    # The pieces end before their connection does: PostgreSQL takes no ROLLBACK in the middle of a COPY.
    with (
        snapshot(engine) as connection,
        closing(_pieces(connection, settings, export_id, request)) as pieces,
    ):
        data = counted(pieces)
        try:
            for chunk in _chunks(_squeezed(data) if request.gzip else data):
                digest.update(chunk)
                size += len(chunk)
                yield chunk
        except Exception:
            # Servers end a response that fails midway as if it were whole: so the file must not look it.
            if size and request.format.cut_short and not request.gzip:
                yield request.format.cut_short
            raise
    with Session(engine) as session, write_transaction(session):
        records.finish(session, export_id, clock(), rows=rows, size=size, sha256=digest.hexdigest())


def _pieces(
    connection: Connection, settings: Settings, export_id: UUID, request: ExportRequest
) -> Generator[Piece]:
    if request.format is Format.ARCHIVE:
        return archive(connection, settings, request)
    if request.format is Format.SQLITE:
        with Session(connection) as session:
            view = records.find_export(session, export_id)
            assert view is not None
            return sqlite_file(connection, request, about(session, view))
    return lines(connection, request)


def _squeezed(data: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes as a gzip file (RFC 1952), without name and time: equal exports are equal files."""
    compressor = zlib.compressobj(wbits=_GZIP)
    for part in data:
        yield compressor.compress(part)
    yield compressor.flush()


def _chunks(data: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes, at least 64 KiB at a time but for the last."""
    buffer = bytearray()
    for part in data:
        buffer += part
        if len(buffer) >= CHUNK:
            yield bytes(buffer)
            buffer.clear()
    if buffer:
        yield bytes(buffer)

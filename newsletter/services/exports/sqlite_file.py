"""An export as an SQLite database in a file: the table `subscribers`, and the table `manifest` that says what
it holds. It is written whole, among the system's temporary files, and then streamed."""

from __future__ import annotations

import json
import sqlite3
import tempfile
from collections.abc import Generator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from newsletter.services.exports.lines import CHUNK, ROWS, Piece
from newsletter.services.exports.request import ExportRequest
from newsletter.services.exports.rows import batches


def sqlite_file(connection: Connection, request: ExportRequest, about: Mapping[str, Any]) -> Generator[Piece]:
    """The request's subscriptions as a database; `about` goes into its manifest."""
    with tempfile.TemporaryDirectory(prefix="newsletter-export-") as folder:
        path = Path(folder) / "export.sqlite3"
        count = _write(path, connection, request, about)
        with path.open("rb") as file:
            while data := file.read(CHUNK):
                yield Piece(data, count)
                count = 0


def _write(path: Path, connection: Connection, request: ExportRequest, about: Mapping[str, Any]) -> int:
    headings = ", ".join(f'"{name}"' for name in request.headings)
    places = ", ".join("?" for _ in request.headings)
    count = 0
    with closing(sqlite3.connect(path, isolation_level=None)) as made:
        # It is thrown away unless it becomes whole.
        made.execute("PRAGMA journal_mode = OFF")
        made.execute("PRAGMA synchronous = OFF")
        made.execute("BEGIN")
        made.execute(f"CREATE TABLE subscribers ({headings})")
        made.execute("CREATE TABLE manifest (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID")
        for rows in batches(connection, request, request.written, size=ROWS):
            made.executemany(f"INSERT INTO subscribers VALUES ({places})", rows)  # noqa: S608
            count += len(rows)
        made.executemany(
            "INSERT INTO manifest VALUES (?, ?)",
            [
                (name, value if isinstance(value, str) or value is None else json.dumps(value))
                for name, value in {**about, "rows": count}.items()
            ],
        )
        made.execute("COMMIT")
    return count

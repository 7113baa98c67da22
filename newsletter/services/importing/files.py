"""The file of an import: read to its end before anything is stored, and kept in chunks in the database, so
that a worker on any machine can read it."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from uuid import UUID

from sqlalchemy import Engine, func, insert, select
from sqlalchemy.orm import Session

from newsletter.database import empty_log, table_of, write_transaction
from newsletter.models import ImportChunk
from newsletter.services.importing.detecting import Encoding, keys_of
from newsletter.services.importing.options import ImportFault

CHUNK = 1024 * 1024  # bytes
_AT_ONCE = 64  # chunks that one transaction writes
_MB = 1024 * 1024


@dataclass(frozen=True)
class Spooled:
    """A file that was read to its end, and what only all of it tells: its encoding, the keys of its JSON."""

    chunks: Callable[[], Iterator[bytes]]  # of one size
    size: int
    sha256: str
    encoding: str
    keys: tuple[str, ...]


@contextmanager
def spooled(parts: Iterable[bytes], *, largest: int | None = None) -> Iterator[Spooled]:
    """Read a file to its end, into a temporary file: before the transaction of `create_import` begins,
    because it may come slowly, and because all of it is looked at. Raises `ImportFault` where it has more
    than the `largest` number of bytes, where it is empty, or no text."""
    with tempfile.TemporaryFile() as file:
        encoding, digest, size = Encoding(), hashlib.sha256(), 0
        for chunk in _chunks(parts):
            size += len(chunk)
            if largest is not None and size > largest:
                raise ImportFault(too_large(None, largest))
            encoding.feed(chunk)
            digest.update(chunk)
            try:
                file.write(chunk)
                file.flush()
            except OSError as error:
                raise ImportFault(f"the file cannot be kept for now: {error.strerror}") from error
        if not size:
            raise ImportFault("the file is empty")

        def chunks() -> Iterator[bytes]:
            file.seek(0)
            return iter(lambda: file.read(CHUNK), b"")

        name = encoding.name()
        yield Spooled(chunks, size, digest.hexdigest(), name, keys_of(chunks(), name))


def store(session: Session, import_id: UUID, file: Spooled) -> None:
    """Keep a file for an import: all of it, or the beginning of a large one; `store_rest` keeps the rest."""
    _store(session, import_id, 0, islice(file.chunks(), _AT_ONCE))


def store_rest(
    engine: Engine,
    import_id: UUID,
    file: Spooled,
    beside: Callable[[Session], object] = lambda _session: None,
) -> None:
    """Keep what `store` left of a large file, some of it at a time, after the transaction that stored the
    import: SQLite has one writer, whose log holds all that it writes until it commits. `beside` is done in
    each of these transactions."""
    if file.size <= _AT_ONCE * CHUNK:
        return
    chunks = islice(file.chunks(), _AT_ONCE, None)
    first = _AT_ONCE
    with Session(engine) as session:
        while part := list(islice(chunks, _AT_ONCE)):
            with write_transaction(session):
                _store(session, import_id, first, part)
                beside(session)
            first += len(part)
            empty_log(engine)


def _store(session: Session, import_id: UUID, first: int, chunks: Iterable[bytes]) -> None:
    for number, chunk in enumerate(chunks, start=first):
        session.execute(insert(_CHUNKS), [{"import_id": import_id, "number": number, "data": chunk}])


def is_whole(session: Session, import_id: UUID, size: int) -> bool:
    """Whether all of a file is kept."""
    last = session.scalar(select(func.max(_CHUNKS.c.number)).where(_CHUNKS.c.import_id == import_id))
    return last is not None and last + 1 == -(-size // CHUNK)


def stored(session: Session, import_id: UUID) -> Iterator[bytes]:
    """The chunks of a file, one after the other."""
    number = 0
    while True:
        data = session.scalar(
            select(_CHUNKS.c.data).where(_CHUNKS.c.import_id == import_id, _CHUNKS.c.number == number)
        )
        if data is None:
            return
        yield bytes(data)
        number += 1


def too_large(size: int | str | None, largest: int, slug: str = "LIST") -> str:
    """What is said of a file of `size` bytes, or of as many MB as a text names, or of nobody knows how many,
    where an upload may have the `largest` number of bytes."""
    has = "the file is too large:"
    if size is not None:
        has = f"the file has {size if isinstance(size, str) else megabytes(size)} MB, and"
    return (
        f"{has} at most {megabytes(largest)} MB are taken in an upload, in the console and by the API. "
        f"Divide the file, or bring it in by the command `newsletter import {slug} FILE`, which takes any "
        "size; or raise NEWSLETTER_LARGEST_IMPORT_MB."
    )


def megabytes(size: int) -> str:
    """Bytes as a number of megabytes such as 200 or 6.7, rounded up."""
    tenths = -(-size * 10 // _MB)
    return f"{tenths // 10:,}" + (f".{tenths % 10}" if tenths % 10 else "")


def _chunks(parts: Iterable[bytes]) -> Iterator[bytes]:
    """Parts of any size as parts of one."""
    rest = bytearray()
    for part in parts:
        rest += part
        while len(rest) >= CHUNK:
            yield bytes(rest[:CHUNK])
            del rest[:CHUNK]
    if rest:
        yield bytes(rest)


_CHUNKS = table_of(ImportChunk)

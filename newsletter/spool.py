"""A spool: what was asked while the database was away, kept on this machine's disk until it is back.

A record is a file of its own: written under a name that nobody looks at, synced, and renamed. So it is there
whole, or it is not there, whenever the process or the machine dies. Whoever drains the spool removes a record
after it was applied; one that was applied is there again only where the process died in between, so applying
must be possible twice."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

import structlog

from newsletter.domain.ids import new_id

MOST = 100_000  # records: each takes a block of the disk, 4 KB as a rule
_BATCH = 500
_COUNTED_EVERY = 500  # records between looks at how many there are
_DRAFT_IS_DEAD_AFTER = 3600.0  # seconds
_NAME = re.compile(r"[0-9a-f]{32}")  # sorts by time

log = structlog.get_logger()


class CannotKeep(Exception):
    """There is no room, or the disk takes nothing. The message is one line."""


@dataclass(frozen=True)
class Record:
    """What was asked, and when."""

    name: str
    at: datetime
    what: dict[str, Any]


class Spool:
    """The spool in `folder`, of at most about `most` records. Any number of processes may use it."""

    def __init__(self, folder: Path, *, most: int = MOST) -> None:
        self._folder = folder
        self._most = most
        self._room = 0
        self._counting = threading.Lock()
        self._unreadable: set[str] = set()  # those that were told of

    def keep(self, what: dict[str, Any], *, at: datetime) -> None:
        """Keep it, safe from a power cut when this returns. Raises `CannotKeep`."""
        name = new_id(at).hex
        draft = self._folder / f".{name}"
        try:
            if not self._folder.is_dir():
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                _sync(self._folder.parent)
            self._take_room()
            _write(draft, _sealed({"at": at.isoformat(), "what": what}))
            draft.rename(self._folder / name)
            _sync(self._folder)
        except OSError as error:
            with suppress(OSError):
                draft.unlink(missing_ok=True)
            raise CannotKeep(f"{self._folder} cannot be written to: {error.strerror}") from error

    def is_empty(self) -> bool:
        """Whether nothing is left that was not applied, as far as this machine knows."""
        return next(self._names(), None) is None

    def drain(self, apply: Callable[[Sequence[Record]], Sequence[Record]]) -> int:
        """Hand all records to `apply`, oldest first, a batch at a time, and remove what it has applied;
        returns how many. What it gives back, because it can never apply it, is put aside, and so is what is
        damaged; what cannot be read is left where it is. One process at a time; others wait. Errors of
        `apply` leave its batch where it is."""
        applied = 0
        with self._alone():
            names = iter(sorted(self._names()))
            while batch := list(islice(names, _BATCH)):
                records = [record for record in map(self._read, batch) if record is not None]
                refused = apply(records) if records else ()
                for record in refused:
                    self._put_aside(record.name, "it cannot be applied")
                for name in {record.name for record in records} - {record.name for record in refused}:
                    (self._folder / name).unlink(missing_ok=True)
                _sync(self._folder)
                applied += len(records) - len(refused)
            self._remove_dead_drafts()
        return applied

    def _take_room(self) -> None:
        with self._counting:
            if self._room <= 0:
                self._room = min(self._most - sum(1 for _ in self._names()), _COUNTED_EVERY)
            if self._room <= 0:
                raise CannotKeep(f"{self._folder} is full: it holds {self._most:,} records")
            self._room -= 1

    def _names(self) -> Iterator[str]:
        with suppress(FileNotFoundError), os.scandir(self._folder) as entries:
            yield from (entry.name for entry in entries if _NAME.fullmatch(entry.name))

    def _read(self, name: str) -> Record | None:
        """A record; None for one that was put aside, because it is not what was written, and for one that
        cannot be read now: somebody else's file must not hold up all others."""
        try:
            seal, _, body = (self._folder / name).read_bytes().partition(b"\n")
        except OSError as error:
            self._tell_unreadable(name, error)
            return None
        try:
            if seal != _seal(body):
                raise ValueError("it is damaged")
            told = json.loads(body)
            return Record(name, datetime.fromisoformat(told["at"]), told["what"])
        except (ValueError, KeyError, TypeError) as error:
            self._put_aside(name, str(error))
            return None

    def _put_aside(self, name: str, why: str) -> None:
        """Move it out of the way; where the disk does not let us, it stays, and holds up nobody."""
        aside = self._folder / "aside"
        try:
            aside.mkdir(mode=0o700, exist_ok=True)
            (self._folder / name).rename(aside / name)
        except OSError as error:
            self._tell_unreadable(name, error)
            return
        log.error("spooled_put_aside", record=name, reason=why)

    def _tell_unreadable(self, name: str, error: OSError) -> None:
        if name not in self._unreadable:
            self._unreadable.add(name)
            log.error("spooled_not_read", record=name, error=error.strerror)

    def _remove_dead_drafts(self) -> None:
        """What a process that died had begun to write: nobody was told that it is kept."""
        for draft in self._folder.glob(".*"):
            if _NAME.fullmatch(draft.name[1:]) and time.time() - draft.stat().st_mtime > _DRAFT_IS_DEAD_AFTER:
                draft.unlink(missing_ok=True)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        # The folder is the lock: a file for it could be another user's.
        descriptor = os.open(self._folder, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write(path: Path, data: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sealed(content: dict[str, Any]) -> bytes:
    body = json.dumps(content).encode()
    return _seal(body) + b"\n" + body


def _seal(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest().encode()

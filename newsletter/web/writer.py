"""One writer a process: what many requests ask at the same time is written by one transaction.

A request hands its item to the writer and waits for the commit. Under load the cost of a transaction
is shared; on SQLite, which has one writer anyway, nobody fights for the lock. An answer is given only
after the commit, and one faulty item does not harm its neighbours: each is then written alone.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from typing import Any, TypeVar

import structlog
from flask import Flask
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError

from newsletter.database import Conflict, first_line, is_disconnect, write_transaction
from newsletter.extensions import db
from newsletter.settings import Settings

Item = TypeVar("Item")
Result = TypeVar("Result")
UseCase = Callable[[Any, Settings, datetime, Sequence[Item]], list[Result]]

_LARGEST_GROUP = 100
_TRIES = 3
_PATIENCE = 30.0  # seconds that a request waits for its commit

log = structlog.get_logger()


class Unavailable(Exception):
    """The database cannot be written to now; nothing was stored."""


@dataclass
class _Job:
    use_case: UseCase[Any, Any]
    item: Any
    result: Future[Any] = field(default_factory=Future)


class Writer:
    """Runs use cases for the requests of this process."""

    def __init__(self, app: Flask, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._lock = threading.Lock()
        self._process: int | None = None
        self._jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()

    def run(self, use_case: UseCase[Item, Result], item: Item) -> Result:
        """Apply `use_case` to `item` and return its result, committed.

        Raises `Unavailable` where the database is away, and what the use case itself raises.
        """
        job = _Job(use_case, item)
        self._started().put(job)
        try:
            result: Result = job.result.result(timeout=_PATIENCE)
        except TimeoutError as error:
            raise Unavailable("the database is too slow") from error
        return result

    def _started(self) -> queue.SimpleQueue[_Job]:
        """The queue of this process: a fork inherits the object, but not its thread."""
        if self._process != os.getpid():
            with self._lock:
                if self._process != os.getpid():
                    self._jobs = queue.SimpleQueue()
                    threading.Thread(
                        target=self._work, args=(self._jobs,), name="writer", daemon=True
                    ).start()
                    self._process = os.getpid()
        return self._jobs

    def _work(self, jobs: queue.SimpleQueue[_Job]) -> None:
        while True:
            group = [jobs.get()]
            while len(group) < _LARGEST_GROUP:
                try:
                    group.append(jobs.get_nowait())
                except queue.Empty:
                    break
            group = [job for job in group if job.result.set_running_or_notify_cancel()]
            self._commit(group)

    def _commit(self, group: Sequence[_Job], *, tries_left: int = _TRIES) -> None:
        try:
            results = self._write(group)
        except SQLAlchemyError as error:
            if isinstance(error, DBAPIError) and is_disconnect(error):
                log.error("database_away", error=first_line(error), requests=len(group))
                for job in group:
                    job.result.set_exception(Unavailable("the database does not answer"))
            else:
                self._apart(group, error, tries_left, again=isinstance(error, (DBAPIError, IntegrityError)))
        except Conflict as error:
            self._apart(group, error, tries_left, again=True)
        except Exception as error:
            self._apart(group, error, tries_left, again=False)
        else:
            for job, result in zip(group, results, strict=True):
                job.result.set_result(result)

    def _apart(self, group: Sequence[_Job], error: Exception, tries_left: int, *, again: bool) -> None:
        """The group failed: try each alone, and one that is alone as often as is left."""
        if len(group) > 1:
            for job in group:
                self._commit([job])
        elif again and tries_left > 1:
            self._commit(group, tries_left=tries_left - 1)
        else:
            group[0].result.set_exception(error)

    def _write(self, group: Sequence[_Job]) -> list[Any]:
        now = datetime.now(UTC)
        results: list[Any] = []
        with self._app.app_context():
            session = db.session()
            with write_transaction(session):
                for use_case, jobs in groupby(group, key=lambda job: job.use_case):
                    results += use_case(session, self._settings, now, [job.item for job in jobs])
        return results

"""Group commit: what many requests of a process ask at the same time is written by one transaction.

A request puts its item down and waits for its turn to write. Whoever's turn it is writes everything that
was put down meanwhile, so under load the cost of a transaction is shared, and on SQLite, which has
one writer anyway, nobody fights for the lock. An answer is given only after the commit. One faulty
item does not harm its neighbours: where a group fails, each is written alone.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import Any, TypeVar, cast

import structlog
from flask import Flask, current_app, has_app_context
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from newsletter.database import Conflict, DatabaseNotReady, first_line, is_disconnect, write_transaction
from newsletter.extensions import db
from newsletter.services.importing import running
from newsletter.settings import Settings

Item = TypeVar("Item")
Result = TypeVar("Result")
UseCase = Callable[[Any, Settings, datetime, Sequence[Item]], list[Result]]

_LARGEST_GROUP = 100
_TRIES = 3
_PATIENCE = 20.0  # seconds that a request waits for its turn
# While an import is stored, nobody else can write to SQLite, and on PostgreSQL nobody of whom it brings the
# address. That ends by itself, so it is waited for, as long as proxies commonly wait for us.
_PATIENCE_WITH_IMPORTS = 60.0
_ONE_CLICK_PATIENCE = 4.0  # seconds that one click waits for the database before it is kept
_AWAY = 3.0  # seconds that a database which did not answer is not asked by who would rather not wait

log = structlog.get_logger()


class Unavailable(Exception):
    """The database cannot be written to now; nothing was stored."""


@dataclass(eq=False)
class _Job:
    use_case: UseCase[Any, Any]
    item: Any
    done: bool = False
    result: Any = None
    error: Exception | None = None

    def succeed(self, result: Any) -> None:
        self.result, self.done = result, True

    def fail(self, error: Exception) -> None:
        self.error, self.done = error, True


class Writer:
    """Runs use cases for the requests of this process."""

    def __init__(self, app: Flask, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._turn = threading.Lock()
        self._waiting: deque[_Job] = deque()
        self._away_until = float("-inf")
        # They wait for the database, so that who asked need not.
        self._patient = ThreadPoolExecutor(_LARGEST_GROUP, "writer")

    def run(self, use_case: UseCase[Item, Result], item: Item) -> Result:
        """Apply `use_case` to `item` and return its result, committed.

        Raises `Unavailable` where the database is away or too slow, and what the use case itself raises.
        """
        let_go()
        job = _Job(use_case, item)
        self._waiting.append(job)
        if not self._turn.acquire(timeout=_PATIENCE) and not (
            self._is_importing() and self._turn.acquire(timeout=_PATIENCE_WITH_IMPORTS - _PATIENCE)
        ):
            self._withdraw(job)
        else:
            try:
                while not job.done:
                    self._commit(self._group())
            finally:
                self._turn.release()
        if job.error is not None:
            raise job.error
        result: Result = job.result
        return result

    def run_one_click(self, use_case: UseCase[Item, Result], item: Item) -> Result:
        """As `run`, for what can be kept elsewhere: raises `Unavailable` after some seconds, and at once
        while the database is known to be away. What was asked may be done all the same."""
        let_go()
        if self.is_away:
            raise Unavailable("the database did not answer a moment ago")
        asked = self._patient.submit(self.run, use_case, item)
        try:
            return asked.result(timeout=_ONE_CLICK_PATIENCE)
        except TimeoutError:
            asked.cancel()
            self._away_until = time.monotonic() + _AWAY
            raise Unavailable("the database is too slow") from None

    @property
    def is_away(self) -> bool:
        """Whether the database did not answer a moment ago."""
        return time.monotonic() < self._away_until

    def _is_importing(self) -> bool:
        try:
            with self._app.app_context():
                return running.is_running(db.session())
        except SQLAlchemyError:
            return False

    def _withdraw(self, job: _Job) -> None:
        """Give up waiting, unless somebody is writing the job right now."""
        try:
            self._waiting.remove(job)
        except ValueError:
            with self._turn:
                return
        raise Unavailable("the database is too slow")

    def _group(self) -> list[_Job]:
        group: list[_Job] = []
        while self._waiting and len(group) < _LARGEST_GROUP:
            group.append(self._waiting.popleft())
        return group

    def _commit(self, group: Sequence[_Job], *, tries_left: int = _TRIES) -> None:
        try:
            results = self._write(group)
        except Exception as error:  # noqa: BLE001 - every request of the group must learn of it
            if isinstance(error, DatabaseNotReady) or (
                isinstance(error, DBAPIError) and is_disconnect(error)
            ):
                self._away_until = time.monotonic() + _AWAY
                log.error("database_away", error=first_line(error), requests=len(group))
                for job in group:
                    job.fail(Unavailable("the database does not answer"))
            elif len(group) > 1:
                for job in group:
                    self._commit([job])
            elif isinstance(error, (DBAPIError, Conflict)) and tries_left > 1:
                self._commit(group, tries_left=tries_left - 1)
            else:
                group[0].fail(error)
        else:
            for job, result in zip(group, results, strict=True):
                job.succeed(result)

    def _write(self, group: Sequence[_Job]) -> list[Any]:
        results: list[Any] = []
        # A context of its own: the session of the request that writes stays out of this.
        with self._app.app_context():
            session = db.session()
            with write_transaction(session):
                now = datetime.now(UTC)
                for use_case, jobs in groupby(group, key=lambda job: job.use_case):
                    results += use_case(session, self._settings, now, [job.item for job in jobs])
        return results


def let_go() -> None:
    """Give back the connection on which this request has read: whoever waits holds none, or there would be
    none left for the one who writes."""
    if has_app_context():
        db.session().rollback()


def writer() -> Writer:
    """The writer of this process."""
    return cast("Writer", current_app.extensions["newsletter.writer"])

"""Errands: work that waits in the database for a worker, each kind in a thread of its own, so that a long
import or a slow webhook holds up no mail."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import structlog
from sqlalchemy.exc import SQLAlchemyError

from newsletter.database import DatabaseNotReady, first_line

_POLL = 0.25  # seconds between looks where there was nothing to do
_PAUSE = 1.0  # seconds after the database did not answer

log = structlog.get_logger()


class Errand(Protocol):
    """One kind of work."""

    name: str

    def work(self, stop: threading.Event) -> bool:
        """Do one piece of it, committed; returns whether there was any. Long work looks at `stop` and ends
        early, leaving what it did not finish for another worker."""
        ...


def run_once(errands: Sequence[Errand], stop: threading.Event) -> None:
    """Work until nothing is left to do."""
    while any(errand.work(stop) for errand in errands) and not stop.is_set():
        pass


@contextmanager
def running(errands: Sequence[Errand], stop: threading.Event) -> Iterator[None]:
    """Work beside the block, until `stop` is set; the block is left when all have ended."""
    threads = [
        threading.Thread(target=_keep_working, args=(errand, stop), name=errand.name) for errand in errands
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _keep_working(errand: Errand, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            worked = errand.work(stop)
        except (SQLAlchemyError, DatabaseNotReady) as error:
            log.error("database_error", errand=errand.name, error=first_line(error))
            stop.wait(_PAUSE)
        except Exception:
            # One that cannot be done must not end the others.
            log.exception("errand_failed", errand=errand.name)
            stop.wait(_PAUSE)
        else:
            if not worked:
                stop.wait(_POLL)

"""The outbox worker in a thread of this process, where nothing depends on its being a process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from newsletter.mail.compose import Composer
from newsletter.mail.worker import Worker
from tests.support.service import Service


@contextmanager
def working(service: Service) -> Iterator[threading.Event]:
    """A worker until the block ends, or until the event that it is given is set."""
    stop = threading.Event()
    settings = service.settings
    worker = Worker(service.app, settings, Composer(settings, service.links), stop)
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield stop
    finally:
        stop.set()
        thread.join()

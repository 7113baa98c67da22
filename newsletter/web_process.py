"""A web process, as the server of newsletter/serving.py starts it: the application, and how it is ended.

The system hands a signal to whichever thread runs first. Where that is one of the server's own, which are
not Python's, the main thread sleeps on and the handler is never run: after Ctrl-C, which comes beside the
parent's own signal, that happened more often than not, and the process was killed ten seconds later. So
all threads block these signals, and one does nothing but wait for them.

A parent that is killed tells nobody. Its web processes end by themselves then, rather than hold the port
against the next one.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence

from flask import Flask

from newsletter import counted, create_app
from newsletter.parent import when_parent_ends

_LAST = 1.0  # seconds for what is worth doing at the end, and no more
_PATIENCE = 10.0  # seconds for requests that are being answered; their parent gives as much


def application() -> Flask:
    """The application. A terminal's Ctrl-C goes to all its processes; this one is told by its parent."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the parent's own handler, inherited by fork, ends nothing
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    at_end: list[Callable[[], None]] = []
    threading.Thread(target=_await_end, args=(at_end,), name="await-end", daemon=True).start()
    if (parent := multiprocessing.parent_process()) is not None and parent.pid is not None:
        when_parent_ends(parent.pid, _end)
    counted.begin("web")
    app = create_app()
    at_end.append(app.extensions["newsletter.scans"].add)
    return app


def _end() -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_PATIENCE)
    os._exit(1)


def _await_end(at_end: Sequence[Callable[[], None]]) -> None:
    signal.sigwait({signal.SIGTERM})
    end = signal.getsignal(signal.SIGTERM)  # the server sets it when it begins to serve
    if callable(end):
        for last in at_end:
            thread = threading.Thread(target=last, daemon=True)
            thread.start()
            thread.join(_LAST)
        end(signal.SIGTERM, None)
    else:
        os._exit(0)

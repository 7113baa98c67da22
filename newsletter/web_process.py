"""A web process, as the server of newsletter/serving.py starts it: the application, and how it is ended.

The system hands a signal to whichever thread runs first. Where that is one of the server's own, which are
not Python's, the main thread sleeps on and the handler is never run: after Ctrl-C, which comes beside the
parent's own signal, that happened more often than not, and the process was killed ten seconds later. So
all threads block these signals, and one does nothing but wait for them.
"""

from __future__ import annotations

import os
import signal
import threading

from flask import Flask

from newsletter import create_app


def application() -> Flask:
    """The application. A terminal's Ctrl-C goes to all its processes; this one is told by its parent."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the parent's own handler, inherited by fork, ends nothing
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    threading.Thread(target=_await_end, name="await-end", daemon=True).start()
    return create_app()


def _await_end() -> None:
    signal.sigwait({signal.SIGTERM})
    end = signal.getsignal(signal.SIGTERM)  # the server sets it when it begins to serve
    if callable(end):
        end(signal.SIGTERM, None)
    else:
        os._exit(0)

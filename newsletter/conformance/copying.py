"""A copy of the service to try everything on: its settings and the list, on a database of its own in a
temporary folder, served on this machine by the same server program.

Nothing of the real service is touched: no reader is added to it, nothing is counted, exported or told to
webhooks, and no mail leaves this machine. What is sent goes through the same transport, to a catcher.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, replace
from http.client import HTTPException
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

import flask_migrate
from flask import Flask
from sqlalchemy import insert

from newsletter.conformance.asking import Asker
from newsletter.conformance.catching import Catcher, catching, free_port
from newsletter.conformance.rules import CannotCheck
from newsletter.conformance.stage import Stage
from newsletter.database import prepare_file, table_of, write_transaction
from newsletter.extensions import db
from newsletter.models import MailingList
from newsletter.parts import parts
from newsletter.paths import MIGRATIONS
from newsletter.services.lists import ListView
from newsletter.settings import PREFIX, Settings

_COUNTS = "PROMETHEUS_MULTIPROC_DIR"  # where the processes of the real service count together
_FOLDER = "newsletter-conformance-"
_SETTLED = 60.0  # seconds without a change, after which a folder that nobody holds is nobody's
_START = 60.0  # seconds that the server may take to start


@contextmanager
def staged(
    create_app: Callable[[Settings], Flask], settings: Settings, mailing_list: ListView
) -> Iterator[Stage]:
    """A copy of the service with these settings, for as long as the block lasts. Raises `CannotCheck`."""
    with contextlib.ExitStack() as stack:
        _remove_left_behind()
        try:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=_FOLDER)))
            stack.enter_context(_held(folder))
        except OSError as error:
            raise CannotCheck(f"no temporary folder can be made: {error.strerror}") from error
        catcher = stack.enter_context(catching(settings, folder))
        environ = _environment(settings, folder, catcher)
        app = create_app(replace(Settings.from_environment(environ), log_level="error"))
        stack.callback(_close, app)
        _prepare(app, mailing_list)
        log = stack.enter_context((folder / "log").open("wb"))
        port = stack.enter_context(_served(environ, log, folder / "log"))
        host = urlsplit(settings.base_url).netloc
        yield Stage(app, Asker("127.0.0.1", port, host), catcher, mailing_list.slug, folder / "log")


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Show others that the folder is in use. The lock ends with this process, however it ends."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def _remove_left_behind() -> None:
    """Remove the folders of checks that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_FOLDER}*"):
        with contextlib.suppress(OSError):
            status = folder.lstat()
            is_ours = stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()
            if not is_ours or time.time() - status.st_mtime < _SETTLED:
                continue
            with _held(folder):
                shutil.rmtree(folder, ignore_errors=True)


def _environment(settings: Settings, folder: Path, catcher: Catcher) -> dict[str, str]:
    """The settings that are in force, but with nothing that belongs to the real service."""
    own = {
        "DATA_DIR": str(folder),
        "DATABASE_URL": "",
        "REDIS_URL": "",
        "BASE_URL": settings.base_url,
        "SIGNUP_LIMIT": "off",
        "LOG_LEVEL": "info",
    }
    outer = {name: value for name, value in os.environ.items() if name != _COUNTS}
    return outer | {PREFIX + name: value for name, value in own.items()} | catcher.environ


def _prepare(app: Flask, mailing_list: ListView) -> None:
    with app.app_context():
        prepare_file(parts().settings)
        flask_migrate.upgrade(directory=str(MIGRATIONS))
        session = db.session()
        with write_transaction(session):
            row = {column.name: getattr(mailing_list, column.name) for column in fields(mailing_list)}
            session.execute(insert(table_of(MailingList)), [row])


def _close(app: Flask) -> None:
    with app.app_context():
        db.session.remove()
        db.engine.dispose()


@contextmanager
def _served(environ: Mapping[str, str], log: IO[bytes], log_file: Path) -> Iterator[int]:
    """The server of the copy, on a port of its own. Ctrl-C does not reach it; it ends with the block,
    or with this process."""
    port = free_port()
    command = [sys.executable, "-m", "newsletter", "serve", "--port", str(port), "--without-worker"]
    command += ["--with-parent", str(os.getpid())]
    server = subprocess.Popen(command, env=environ, stdout=log, stderr=log, start_new_session=True)  # noqa: S603
    try:
        _await_ready(server, port, log_file)
        yield port
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(timeout=15)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _await_ready(server: subprocess.Popen[bytes], port: int, log_file: Path) -> None:
    asker = Asker("127.0.0.1", port, f"127.0.0.1:{port}")
    end = time.monotonic() + _START
    while time.monotonic() < end:
        if server.poll() is not None:
            said = log_file.read_text("utf-8", "replace").strip().splitlines()
            raise CannotCheck(f"the copy of the service does not start: {said[-1] if said else 'it ended'}")
        with contextlib.suppress(OSError, HTTPException):
            if asker.ask("GET", "/readyz").status == 200:
                return
        time.sleep(0.05)
    raise CannotCheck(f"the copy of the service was not ready within {_START:.0f} seconds")

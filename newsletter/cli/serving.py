"""`newsletter init`, `serve` and `worker`: what runs the service."""

from __future__ import annotations

import signal
import threading
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from typing import Any

import click
import flask_migrate
import structlog
from flask import Flask, current_app
from flask.cli import ScriptInfo, with_appcontext

from newsletter import counted, serving
from newsletter.cli.common import check_database
from newsletter.database import DatabaseAway, prepare_file, write_transaction
from newsletter.domain.wording import FIRST_HEADLINE, FIRST_INVITATION
from newsletter.extensions import db
from newsletter.file_limit import raise_file_limit
from newsletter.mail.compose import Composer
from newsletter.mail.inbound import Inbound
from newsletter.mail.lmtp import listening
from newsletter.mail.worker import Worker
from newsletter.parent import when_parent_ends
from newsletter.parts import parts
from newsletter.paths import MIGRATIONS
from newsletter.services import lists
from newsletter.serving import CannotListen
from newsletter.settings import Settings, SettingsError
from newsletter.work import errands
from newsletter.work.errands import run_once, running

FIRST_LIST: dict[str, Any] = {
    "slug": "daily",
    "name": "Daily News",
    "headline": FIRST_HEADLINE,
    "invitation": FIRST_INVITATION,
}

_TRY_AGAIN = 1.0  # seconds

log = structlog.get_logger()

_WITH_PARENT = click.option(
    "--with-parent", type=int, hidden=True, help="End when this process is no longer the parent."
)


@click.command("init")
@with_appcontext
def init_command() -> None:
    """Make data directory, keys, database and a first list. Doing it again changes nothing."""
    try:
        prepare_file(parts().settings)
    except OSError as error:
        raise SettingsError(f"the database cannot be made: {error.filename}: {error.strerror}") from error
    flask_migrate.upgrade(directory=str(MIGRATIONS))
    session = db.session()
    with write_transaction(session):
        if lists.default(session) is None:
            lists.add(session, datetime.now(UTC), **FIRST_LIST)
    click.echo("Everything is in place.")


@click.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", default=8000, show_default=True, type=click.IntRange(1, 65535), help="Port to listen on."
)
@click.option("--workers", default=2, show_default=True, type=click.IntRange(1, 64), help="Web processes.")
@click.option("--without-worker", is_flag=True, help="Send no mail: `newsletter worker` runs elsewhere.")
@_WITH_PARENT
@click.pass_context
def serve_command(
    context: click.Context, host: str, port: int, workers: int, without_worker: bool, with_parent: int | None
) -> None:
    """Serve the web pages, and send mail beside them."""
    raise_file_limit()
    listener = serving.listen(host, port)
    serving.announce_base_url(host, port)
    with _application(context).app_context():
        try:
            check_database()
        except DatabaseAway as error:
            # Who unsubscribes is served without it, and mail systems press but once.
            log.error("starts_without_database", error=str(error))
        settings = parts().settings
        db.engine.dispose()
    counted.prepare(settings, clean=True)
    click.echo(f"Serving {settings.base_url} (Ctrl-C ends it)")
    if settings.smtp is None and settings.on_loopback:
        click.echo(f"Mail is caught and shown at {settings.base_url}/mailbox")
    serving.serve(listener, workers=workers, with_worker=not without_worker, parent=with_parent)


def _application(context: click.Context) -> Flask:
    return context.ensure_object(ScriptInfo).load_app()


@click.command("worker")
@click.option("--once", is_flag=True, help="Send what is due now, then end.")
@click.option(
    "--metrics-port",
    type=click.IntRange(1, 65535),
    help="Show what it counts at http://HOST:PORT/metrics: for a worker on a machine of its own.",
)
@click.option("--metrics-host", default="127.0.0.1", show_default=True, help="Address for it.")
@_WITH_PARENT
@with_appcontext
def worker_command(once: bool, metrics_port: int | None, metrics_host: str, with_parent: int | None) -> None:
    """Send what is due. SIGTERM ends it after the message in hand."""
    raise_file_limit()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if with_parent is not None:
        when_parent_ends(with_parent, stop.set)
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001
    settings = parts().settings
    worker = Worker(app, settings, Composer(settings, parts().links), stop)
    beside = errands(app, settings)
    if once:
        check_database()
        run_once(beside, stop)
        worker.run(once=True)
        return
    _show_counts(settings, metrics_host, metrics_port)
    _await_database(stop)
    with running(beside, stop), _inbound(app, settings, stop):
        worker.run()


def _await_database(stop: threading.Event) -> None:
    """Wait while it is away. Raises `DatabaseNotReady` where it answers and is not as it should be."""
    while not stop.is_set():
        try:
            check_database()
        except DatabaseAway as error:
            log.error("starts_without_database", error=str(error))
            stop.wait(_TRY_AGAIN)
        else:
            return


def _inbound(app: Flask, settings: Settings, stop: threading.Event) -> AbstractContextManager[None]:
    """Take mail that comes back, where the settings name an address to listen on."""
    if settings.inbound_listen is None or settings.inbound_domain is None:
        return nullcontext()
    host, port = settings.inbound_listen
    return listening(Inbound(app, settings, parts().links), host, port, settings.inbound_domain, stop)


def _show_counts(settings: Settings, host: str, port: int | None) -> None:
    """Share what the worker counts with the web processes of this machine, unless it is asked itself."""
    if port is None:
        counted.prepare(settings, clean=False)
    counted.begin("worker")
    if port is not None:
        try:
            counted.show_at(host, port)
        except OSError as error:
            raise CannotListen(f"cannot listen on {host} port {port}: {error.strerror}") from error

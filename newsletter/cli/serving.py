"""`newsletter init`, `serve` and `worker`: what runs the service."""

from __future__ import annotations

import os
import signal
import threading
from datetime import UTC, datetime

import click
import flask_migrate
from flask import Flask, current_app
from flask.cli import ScriptInfo, with_appcontext

from newsletter import serving
from newsletter.cli.common import check_database
from newsletter.database import prepare_file, write_transaction
from newsletter.domain.wording import FIRST_HEADLINE, FIRST_INVITATION
from newsletter.extensions import db
from newsletter.mail.compose import Composer
from newsletter.mail.worker import Worker
from newsletter.parts import parts
from newsletter.paths import MIGRATIONS
from newsletter.services import lists
from newsletter.settings import SettingsError
from newsletter.work import errands
from newsletter.work.errands import run_once, running

FIRST_LIST = {
    "slug": "daily",
    "name": "Daily News",
    "headline": FIRST_HEADLINE,
    "invitation": FIRST_INVITATION,
}


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
@click.pass_context
def serve_command(context: click.Context, host: str, port: int, workers: int, without_worker: bool) -> None:
    """Serve the web pages, and send mail beside them."""
    address = serving.listening_address(host, port)
    serving.announce_base_url(host, port)
    with _application(context).app_context():
        check_database()
        settings = parts().settings
        db.engine.dispose()
    click.echo(f"Serving {settings.base_url} (Ctrl-C ends it)")
    if settings.smtp is None and settings.on_loopback:
        click.echo(f"Mail is caught and shown at {settings.base_url}/mailbox")
    serving.serve(settings, host=address, port=port, workers=workers, with_worker=not without_worker)


def _application(context: click.Context) -> Flask:
    return context.ensure_object(ScriptInfo).load_app()


@click.command("worker")
@click.option("--once", is_flag=True, help="Send what is due now, then end.")
@click.option("--with-parent", type=int, hidden=True, help="End when this process is no longer the parent.")
@with_appcontext
def worker_command(once: bool, with_parent: int | None) -> None:
    """Send what is due. SIGTERM ends it after the message in hand."""
    check_database()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if with_parent is not None:
        threading.Thread(target=_stop_without_parent, args=(stop, with_parent), daemon=True).start()
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001
    settings = parts().settings
    worker = Worker(app, settings, Composer(settings, parts().links), stop)
    beside = errands(app, settings)
    if once:
        run_once(beside, stop)
        worker.run(once=True)
        return
    with running(beside, stop):
        worker.run()


def _stop_without_parent(stop: threading.Event, parent: int) -> None:
    while os.getppid() == parent:
        if stop.wait(1.0):
            return
    stop.set()

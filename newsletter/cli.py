"""The `newsletter` command. A command that fails says why in one line, and exits with a status above 0."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import click
import flask_migrate
import psycopg
from alembic.util import CommandError
from flask import Flask, current_app
from flask.cli import AppGroup, FlaskGroup, ScriptInfo, with_appcontext
from flask_migrate.cli import db as db_group
from sqlalchemy.exc import SQLAlchemyError

from newsletter import serving
from newsletter.database import DatabaseNotReady, check_ready, first_line, prepare_file, write_transaction
from newsletter.domain.languages import LANGUAGES
from newsletter.domain.lifecycle import State
from newsletter.extensions import db
from newsletter.mail.compose import Composer
from newsletter.mail.transport import RelayDown
from newsletter.mail.worker import Worker
from newsletter.parts import parts
from newsletter.paths import MIGRATIONS
from newsletter.services import lists
from newsletter.services.export import Format, export
from newsletter.services.lists import ListError, ListView
from newsletter.settings import SettingsError

FIRST_LIST = {
    "slug": "daily",
    "name": "Daily News",
    "headline": "Your Daily News in Just 5 Minutes!",
    "invitation": "Get daily news directly in your inbox!",
}


class Group(FlaskGroup):
    """The commands of this service. They load the application only when they run, so that `--help` needs
    no database and no data directory."""

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        return click.Group.get_command(self, ctx, name)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return click.Group.list_commands(self, ctx)


def group(create_app: Callable[[], Flask]) -> Group:
    """The `newsletter` command over applications made by `create_app`."""
    made = Group(
        create_app=create_app,
        add_default_commands=False,
        add_version_option=False,
        load_dotenv=False,
        set_debug_flag=False,
        help="Newsletter sign-up for any site: double opt-in, subscriber storage, one-click unsubscribe.",
    )
    # Flask's own options choose another application; here there is one.
    made.params = []
    for command in (*_COMMANDS, db_group):
        made.add_command(command)
    return made


def register_commands(app: Flask) -> None:
    """The same commands for `flask --app app`; Flask-Migrate adds `db` there itself."""
    for command in _COMMANDS:
        app.cli.add_command(command)


def run(main: Callable[[], None]) -> None:
    """Run the command; what goes wrong is said in one line."""
    # The database, the mailbox and exports hold addresses: they are their owner's alone.
    os.umask(0o077)
    try:
        main()
    except (SettingsError, DatabaseNotReady, ListError, CommandError, RelayDown) as error:
        _fail(str(error))
    except (SQLAlchemyError, psycopg.Error, sqlite3.Error) as error:
        _fail(f"the database does not answer as it should: {first_line(error)}")
    except serving.CannotListen as error:
        _fail(str(error))
    except BrokenPipeError:
        # Whoever reads us has read enough. Python would complain once more when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _output_error(error: OSError, output: Path | None) -> ListError:
    return ListError(f"{output or 'standard output'} cannot be written: {error.strerror}")


def _fail(message: str) -> None:
    click.echo(f"newsletter: {' '.join(message.split())}", err=True)
    sys.exit(1)


def _check_database() -> None:
    check_ready(db.engine, head=parts().newest_migration)


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
        _check_database()
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
    _check_database()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if with_parent is not None:
        threading.Thread(target=_stop_without_parent, args=(stop, with_parent), daemon=True).start()
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001
    settings = parts().settings
    Worker(app, settings, Composer(settings, parts().links), stop).run(once=once)


def _stop_without_parent(stop: threading.Event, parent: int) -> None:
    while os.getppid() == parent:
        if stop.wait(1.0):
            return
    stop.set()


@click.command("export")
@click.argument("slug")
@click.option(
    "--format", "form", type=click.Choice([form.value for form in Format]), default="csv", show_default=True
)
@click.option(
    "--state",
    type=click.Choice([*(state.value for state in State), "all"]),
    default=State.CONFIRMED.value,
    show_default=True,
    help="Which subscribers.",
)
@click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), help="A file, instead of standard output."
)
@with_appcontext
def export_command(slug: str, form: str, state: str, output: Path | None) -> None:
    """Write a list's subscribers to standard output or to a file."""
    _check_database()
    mailing_list = _list(slug)
    states = list(State) if state == "all" else [State(state)]
    with _destination(output) as file, db.engine.connect() as connection:
        rows = -1 if form == Format.CSV else 0
        for chunk in export(connection, mailing_list.id, states, Format(form)):
            file.write(chunk)
            rows += chunk.count(b"\n")
            _progress(f"{max(rows, 0):,} subscribers")
    _progress(None)


def _progress(text: str | None) -> None:
    """How far long work is: on a terminal only. None ends the line."""
    if sys.stderr.isatty():
        click.echo("\n" if text is None else f"\r{text}", nl=False, err=True)


@contextmanager
def _destination(output: Path | None) -> Iterator[BinaryIO]:
    """Where an export goes. A file appears under its name only when it is whole."""
    if output is None or (output.exists() and not output.is_file()):
        # A pipe or a device is written to as it is.
        try:
            with nullcontext(sys.stdout.buffer) if output is None else output.open("wb") as stream:
                yield stream
                stream.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise _output_error(error, output) from error
        return
    output = output.resolve()
    try:
        descriptor, draft = tempfile.mkstemp(dir=output.absolute().parent, prefix=f".{output.name}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            if output.exists():
                Path(draft).chmod(output.stat().st_mode & 0o777)
            Path(draft).replace(output)
        finally:
            Path(draft).unlink(missing_ok=True)
    except OSError as error:
        raise _output_error(error, output) from error


lists_group = AppGroup("lists", help="Mailing lists: add, show, edit.")


def _list_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--headline", help="Words over the list's page."),
        click.option("--invitation", help="Words over its form."),
        click.option("--from", "sender", help="Sender of its mails: Daily News <news@example.org>."),
        click.option(
            "--site", "sites", multiple=True, help="Origin that may embed the form; repeat for more."
        ),
        click.option(
            "--return-url",
            "return_urls",
            multiple=True,
            help="Page that a form may name as its `next`; repeat for more.",
        ),
        click.option(
            "--locale",
            help=f"Its language: {', '.join(LANGUAGES)}; empty for the visitor's own.",
        ),
    ):
        command = option(command)
    return command


@lists_group.command("add")
@click.argument("slug")
@click.option("--name", required=True, help="What readers call it, such as Daily News.")
@_list_options
def add_list(slug: str, name: str, **fields: Any) -> None:
    """Make a list."""
    _check_database()
    session = db.session()
    with write_transaction(session):
        added = lists.add(session, datetime.now(UTC), slug=slug, name=name, **fields)
    _show(added)


@lists_group.command("edit")
@click.argument("slug")
@click.option("--name", help="What readers call it.")
@_list_options
@click.option("--no-sites", is_flag=True, help="Let every site embed the form again.")
@click.option("--no-return-urls", is_flag=True, help="Send visitors to pages of ours only.")
def edit_list(slug: str, no_sites: bool, no_return_urls: bool, **fields: Any) -> None:
    """Change a list. What is not named stays; --site and --return-url replace all that there were."""
    _check_database()
    changes = {key: value for key, value in fields.items() if value not in (None, ())}
    if no_sites:
        changes["sites"] = []
    if no_return_urls:
        changes["return_urls"] = []
    session = db.session()
    with write_transaction(session):
        edited = lists.edit(session, slug, changes)
    _show(edited)


@lists_group.command("show")
@click.argument("slug", required=False)
def show_lists(slug: str | None) -> None:
    """Show a list, or all of them."""
    _check_database()
    for mailing_list in [_list(slug)] if slug else lists.every(db.session()):
        _show(mailing_list)


def _list(slug: str) -> ListView:
    mailing_list = lists.find(db.session(), slug)
    if mailing_list is None:
        raise ListError(lists.unknown(slug))
    return mailing_list


def _show(mailing_list: ListView) -> None:
    counts = lists.counts(db.session(), mailing_list.id)
    settings = parts().settings
    sender = mailing_list.sender_or(settings.mail_from)
    click.echo(mailing_list.slug)
    for label, value in (
        ("name", mailing_list.name),
        ("headline", mailing_list.headline or ""),
        ("invitation", mailing_list.wording.invitation),
        ("from", f"{sender.name} <{sender.address}>"),
        ("sites", ", ".join(mailing_list.sites) or "any"),
        ("return to", ", ".join(mailing_list.return_urls)),
        ("language", LANGUAGES[mailing_list.locale] if mailing_list.locale else "the visitor's own"),
        ("page", f"{settings.base_url}/lists/{mailing_list.slug}"),
        (
            "subscribers",
            ", ".join(f"{counts[state]} {state}" for state in State if state in counts) or "none yet",
        ),
    ):
        if value:
            click.echo(f"  {label + ':':<13} {value}")


_COMMANDS: tuple[click.Command, ...] = (
    init_command,
    serve_command,
    worker_command,
    export_command,
    lists_group,
)

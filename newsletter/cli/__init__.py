"""The `newsletter` command. A command that fails says why in one line, and exits with a status above 0.

One file a group of commands; this one joins them.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Callable

import alembic.util
import click
import psycopg
from flask import Flask
from flask.cli import FlaskGroup
from flask_migrate.cli import db as db_group
from sqlalchemy.exc import SQLAlchemyError

from newsletter.cli.common import CommandError, give_up_stdout
from newsletter.cli.conformance import conformance_command
from newsletter.cli.exporting import export_command, verify_command
from newsletter.cli.importing import import_command
from newsletter.cli.ledger import LedgerBroken, verify_ledger_command
from newsletter.cli.mailing_lists import lists_group
from newsletter.cli.operators import operators_group, tokens_group
from newsletter.cli.receiving import receive_command
from newsletter.cli.serving import init_command, serve_command, worker_command
from newsletter.conformance.rules import CannotCheck
from newsletter.database import DatabaseNotReady, first_line
from newsletter.mail.transport import RelayDown
from newsletter.services.exports import ExportError, NotProven
from newsletter.services.importing import ImportFault
from newsletter.services.lists import ListError
from newsletter.services.operators import OperatorError
from newsletter.services.tokens import TokenError
from newsletter.serving import CannotListen
from newsletter.settings import SettingsError

_COMMANDS: tuple[click.Command, ...] = (
    init_command,
    serve_command,
    worker_command,
    receive_command,
    export_command,
    verify_command,
    verify_ledger_command,
    import_command,
    lists_group,
    operators_group,
    tokens_group,
    conformance_command,
)
# Each has a message of one line that somebody can act on.
_EXPECTED = (
    SettingsError, DatabaseNotReady, ListError, OperatorError, TokenError, CommandError, ImportFault,
    ExportError, NotProven, LedgerBroken, alembic.util.CommandError, RelayDown, CannotListen,
)  # fmt: skip


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
    except CannotCheck as error:
        _fail(str(error), status=2)
    except _EXPECTED as error:
        _fail(str(error))
    except (SQLAlchemyError, psycopg.Error, sqlite3.Error) as error:
        _fail(f"the database does not answer as it should: {first_line(error)}")
    except BrokenPipeError:
        # Whoever reads us has read enough.
        give_up_stdout()
        sys.exit(1)


def _fail(message: str, *, status: int = 1) -> None:
    click.echo(f"newsletter: {' '.join(message.split())}", err=True)
    sys.exit(status)

"""`newsletter receive`: one mail that came back, from the pipe of a mail system.

The exit status is what mail systems read (sysexits.h): 0 when the mail was taken or laid aside, 75 when it is
to be tried again. There is no other: what cannot be done now must not make the mail system drop a bounce.
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import click
from flask.cli import ScriptInfo
from sqlalchemy.exc import SQLAlchemyError

from newsletter.cli.common import check_database
from newsletter.database import first_line
from newsletter.mail.bounded import LARGEST
from newsletter.mail.inbound import Envelope, Inbound, recipient_of
from newsletter.parts import parts
from newsletter.settings import SettingsError

TRY_AGAIN = os.EX_TEMPFAIL


class _Receive(click.Command):
    """A command line with a mistake in it is an operator's: the mail waits until it is put right."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            _come_again(error.format_message())


@click.command("receive", cls=_Receive)
@click.option(
    "--recipient", help="Whom the mail went to; else ORIGINAL_RECIPIENT, RECIPIENT or its headers tell."
)
@click.option("--sender", help="Its envelope sender, empty for a bounce; else SENDER or its headers tell.")
@click.pass_context
def receive_command(context: click.Context, recipient: str | None, sender: str | None) -> None:
    """Take one mail that came back from stdin: for a pipe of Postfix or Exim."""
    raw = _read_mail()
    recipient = (
        recipient or os.environ.get("ORIGINAL_RECIPIENT") or os.environ.get("RECIPIENT") or recipient_of(raw)
    )
    if sender is None:
        sender = os.environ.get("SENDER")
    try:
        app = context.ensure_object(ScriptInfo).load_app()
        with app.app_context():
            check_database()
            settings, links = parts().settings, parts().links
        if settings.inbound_domain is None:
            raise SettingsError("NEWSLETTER_INBOUND_DOMAIN is not set: no mail of ours comes back")
        Inbound(app, settings, links).take(Envelope(recipient, sender, raw))
    except SQLAlchemyError as error:
        _come_again(first_line(error))
    except Exception as error:  # noqa: BLE001 - whatever it is, the mail must not be lost over it
        _come_again(str(error) or type(error).__name__)


def _come_again(why: str) -> NoReturn:
    click.echo(f"newsletter: {' '.join(why.split())}", err=True)
    sys.exit(TRY_AGAIN)


def _read_mail() -> bytes:
    """The mail, as far as it is looked at; the rest is read too, so that the mail system's pipe does not
    break."""
    stdin = sys.stdin.buffer
    raw = stdin.read(LARGEST + 1)
    while stdin.read(1024 * 1024):
        pass
    return raw

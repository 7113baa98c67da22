"""`newsletter lists`: mailing lists."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TextIO

import click
from flask.cli import AppGroup

from newsletter.cli.common import check_database, find_list
from newsletter.database import write_transaction
from newsletter.domain.extra_mails import ExtraMailError, parse_hours, shown_hours
from newsletter.domain.languages import LANGUAGES
from newsletter.domain.lifecycle import State
from newsletter.extensions import db
from newsletter.parts import parts
from newsletter.services import lists
from newsletter.services.lists import ListView
from newsletter.settings import Settings

_MOST_READ = 100_000  # characters: more than a welcome may have

lists_group = AppGroup("lists", help="Mailing lists: add, show, edit.")


def _hours(_context: click.Context, _option: click.Parameter, typed: str | None) -> int | None:
    """A time such as 2d in hours; 0 for off."""
    try:
        return None if typed is None else parse_hours(typed) or 0
    except ExtraMailError as error:
        raise click.BadParameter(str(error)) from error


def _text(_context: click.Context, _option: click.Parameter, file: TextIO | None) -> str | None:
    """What a text file holds."""
    if file is None:
        return None
    try:
        return file.read(_MOST_READ)
    except (OSError, UnicodeDecodeError) as error:
        file.close()
        raise click.BadParameter(f"{file.name} cannot be read as text in UTF-8") from error


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
        click.option(
            "--reminder-after",
            callback=_hours,
            metavar="TIME",
            help="Remind the unconfirmed once after this time, such as 2d or 36h; off for never.",
        ),
        click.option(
            "--welcome",
            type=click.File(encoding="utf-8"),
            callback=_text,
            metavar="FILE",
            help="Plain text that whoever confirms is mailed; - reads standard input.",
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
    check_database()
    fields["reminder_after_hours"] = fields.pop("reminder_after") or None
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
@click.option("--no-welcome", is_flag=True, help="Welcome nobody by mail.")
def edit_list(slug: str, no_sites: bool, no_return_urls: bool, no_welcome: bool, **fields: Any) -> None:
    """Change a list. What is not named stays; --site and --return-url replace all that there were."""
    check_database()
    reminder = fields.pop("reminder_after")
    changes = {key: value for key, value in fields.items() if value not in (None, ())}
    if reminder is not None:
        changes["reminder_after_hours"] = reminder or None
    if no_welcome:
        changes["welcome"] = None
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
    check_database()
    for mailing_list in [find_list(slug)] if slug else lists.every(db.session()):
        _show(mailing_list)


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
        ("reminder", _reminder(mailing_list, settings)),
        ("welcome", _first_line(mailing_list.welcome)),
        ("page", f"{settings.base_url}/lists/{mailing_list.slug}"),
        (
            "subscribers",
            ", ".join(f"{counts[state]} {state}" for state in State if state in counts) or "none yet",
        ),
    ):
        if value:
            click.echo(f"  {label + ':':<13} {value}")


def _reminder(mailing_list: ListView, settings: Settings) -> str:
    hours = mailing_list.reminder_after_hours
    if hours is None:
        return ""
    days = settings.confirm_max_age.days
    never = f" (never: confirmation links work for {days} days)" if hours >= days * 24 else ""
    return f"after {shown_hours(hours)}{never}"


def _first_line(text: str | None) -> str:
    if text is None:
        return ""
    first = text.lstrip().split("\n")[0]
    return first if first == text else f"{first[:60]} …"

"""`newsletter conformance`: does the service do what mail systems and readers expect?"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click
from flask import Flask
from flask.cli import ScriptInfo
from sqlalchemy.exc import SQLAlchemyError

from newsletter.cli.common import CommandError, check_database, find_list, progress
from newsletter.conformance import checking, report
from newsletter.conformance.copying import staged
from newsletter.conformance.mail import Expected, Mail
from newsletter.conformance.public import Public
from newsletter.conformance.rules import CannotCheck, Result, Verdict
from newsletter.conformance.signature_rules import describe
from newsletter.database import DatabaseNotReady, first_line
from newsletter.extensions import db
from newsletter.parts import parts
from newsletter.services import lists
from newsletter.settings import Settings, SettingsError

_LARGEST_MAIL = 1024 * 1024  # bytes: ten times what the large receivers show


@click.command("conformance")
@click.option(
    "--list", "slug", metavar="SLUG", help="The list whose mail is tried; by default, the first one."
)
@click.option(
    "--live", is_flag=True, help="Try the service in public, at NEWSLETTER_BASE_URL: proxies and TLS too."
)
@click.option(
    "--mail",
    "file",
    type=click.Path(path_type=Path),
    help="Check a mail as it arrived, with the relay's signature: its source, saved to a file.",
)
@click.option(
    "--dkim-key",
    "keys",
    nargs=2,
    multiple=True,
    metavar="NAME FILE",
    help="With --mail: a key of a signature, such as s1._domainkey.news.example.org, and the file that holds "
    "its record; else DNS is asked. Repeat for more.",
)
@click.option("--json", "for_machines", is_flag=True, help="Print JSON.")
@click.pass_context
def conformance_command(
    context: click.Context,
    slug: str | None,
    live: bool,
    file: Path | None,
    keys: tuple[tuple[str, str], ...],
    for_machines: bool,
) -> None:
    """Try what mail programs, scanners and people do with mail and links, and print each rule's verdict.

    A copy of the service is tried, on a database of its own: readers, exports and webhooks notice nothing.
    With --live it is the service in public, with links of nobody. Exits with 0 when all rules passed, 1 when
    one failed, 2 when it could not be tried.
    """
    if live and file is not None:
        raise click.UsageError("--live and --mail are two checks: ask for one at a time")
    if keys and file is None:
        raise click.UsageError("--dkim-key is for --mail")
    with _or_say_why():
        subject, results = _of_mail(file, keys) if file is not None else _checked(context, slug, live=live)
    click.echo(report.as_json(results, subject) if for_machines else _for_people(subject, results))
    sys.exit(1 if any(result.verdict is Verdict.FAILED for result in results) else 0)


def _checked(context: click.Context, slug: str | None, *, live: bool) -> tuple[dict[str, str], list[Result]]:
    app = context.ensure_object(ScriptInfo).load_app()
    with app.app_context():
        check_database()
        settings = parts().settings
        mailing_list = find_list(slug) if slug else lists.default(db.session())
        db.session.remove()
        db.engine.dispose()
    if live:
        public = Public.at(app, settings.base_url)
        subject = {"service": settings.base_url, "tried with": "links of nobody, which change nothing"}
        return subject, _watched(checking.check_public(public))
    if mailing_list is None:
        raise CommandError("there is no list yet: run `newsletter init`")
    progress("Starting a copy of the service…")
    with staged(_create_app, settings, mailing_list) as stage:
        subject = {"list": mailing_list.slug, "transport": stage.catcher.name}
        return subject, _watched(checking.check_stage(stage))


def _of_mail(file: Path, keys: Sequence[tuple[str, str]]) -> tuple[dict[str, str], list[Result]]:
    # Only here: other commands start sooner without DNS and DKIM.
    from newsletter.conformance.signatures import NoKey, find_in_dns, read_key, with_signatures

    records = {}
    for name, place in keys:
        try:
            records[name.lower().rstrip(".")] = read_key(_read(Path(place)).decode("utf-8", "replace"))
        except NoKey as error:
            raise CannotCheck(f"{place} cannot be used: {error}") from error

    def find_record(name: str) -> str:
        given = records.get(name.lower())
        return find_in_dns(name) if given is None else given

    settings = Settings.from_environment()
    saved = Mail.saved(_read(file), Expected(settings.base_url, settings.on_loopback))
    mail = with_signatures(saved, find_record, datetime.now(UTC))
    return {"mail": str(file)} | describe(mail), list(checking.check_mail(mail))


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            content = stream.read(_LARGEST_MAIL + 1)
    except OSError as error:
        raise CannotCheck(f"{file} cannot be read: {error.strerror}") from error
    if len(content) > _LARGEST_MAIL:
        raise CannotCheck(f"{file} is larger than any mail of this service")
    return content


def _watched(results: Iterator[Result]) -> list[Result]:
    """The results, told on a terminal while they come."""
    found: list[Result] = []
    for result in results:
        found.append(result)
        progress(f"{len(found)} rules tried: {result.section:<20}")
    progress(None)
    return found


def _create_app(settings: Settings) -> Flask:
    from newsletter import create_app  # it joins the commands, this one too

    return create_app(settings)


def _for_people(subject: dict[str, str], results: list[Result]) -> str:
    said = "\n".join(f"{name.capitalize()}: {value}" for name, value in subject.items())
    return f"{said}\n{report.table(results)}"


@contextmanager
def _or_say_why() -> Iterator[None]:
    """What keeps the check from being made has its own exit status. So have Ctrl-C and SIGTERM, which clean
    up: click's status for Ctrl-C is that of a failed rule."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        yield
    except (SettingsError, DatabaseNotReady, CommandError, OSError) as error:
        raise CannotCheck(str(error)) from error
    except SQLAlchemyError as error:
        raise CannotCheck(f"the database does not answer as it should: {first_line(error)}") from error

"""`newsletter import`: subscribers in. The command does the worker's part for the file that it brings, so it
needs none; what it stores, and how, is the same."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import click
from flask.cli import with_appcontext
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from newsletter.cli.common import CommandError, check_database, find_list, progress
from newsletter.database import database_now, write_transaction
from newsletter.extensions import db
from newsletter.models import ImportState
from newsletter.parts import parts
from newsletter.services.access import COMMAND_LINE
from newsletter.services.importing import (
    HasEnded,
    ImportView,
    Look,
    Options,
    Spooled,
    cancel_import,
    check_import,
    create_import,
    find_import,
    look,
    refusals,
    refused_file,
    spooled,
    start_import,
    store_rest,
)
from newsletter.services.importing.files import CHUNK
from newsletter.services.importing.imports import ENDED, CannotCancel
from newsletter.services.importing.judging import Undecided
from newsletter.services.importing.options import DELIMITERS, ENCODINGS, Field
from newsletter.services.importing.running import Claimed, cancelled, extend, release
from newsletter.work.imports import carry_out, claim_own

_SHOWN = 20  # refused rows on a terminal
_BY_WORD = {word: sign for sign, word in DELIMITERS.items()}


@click.command("import")
@click.argument("slug")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--map", "maps", multiple=True, metavar="COLUMN=FIELD", help="What a column is; repeat for more."
)
@click.option(
    "--value",
    "values",
    multiple=True,
    metavar="COLUMN=CELL=STATE",
    help="What a cell says in a column that is state or left; confirmed: they stay. Repeat for more.",
)
@click.option("--statement", help="Where and how these people consented; without it they are pending.")
@click.option(
    "--ask-per-hour", type=click.IntRange(min=1), help="Ask who is pending to confirm, so many an hour."
)
@click.option("--dry-run", is_flag=True, help="Change nothing; say what would be.")
@click.option(
    "--encoding", type=click.Choice(list(ENCODINGS)), help="Instead of what the file seems to be in."
)
@click.option(
    "--delimiter", type=click.Choice([*DELIMITERS, *_BY_WORD]), help="Instead of what it seems to be."
)
@click.option(
    "--no-header", is_flag=True, help="The first line is a subscriber: columns are column 1, column 2, …"
)
@click.option("--locale", help="The language of who brings none.")
@click.option(
    "--safe/--no-safe",
    default=None,
    help="Take off the apostrophe before = + - @ of a spreadsheet-safe export; the default with Ghost's.",
)
@click.option(
    "--refused", type=click.Path(dir_okay=False, path_type=Path), help="Write the refused rows to a CSV file."
)
@with_appcontext
def import_command(
    slug: str,
    file: Path,
    maps: Sequence[str],
    values: Sequence[str],
    statement: str | None,
    ask_per_hour: int | None,
    dry_run: bool,
    encoding: str | None,
    delimiter: str | None,
    no_header: bool,
    locale: str | None,
    safe: bool | None,
    refused: Path | None,
) -> None:
    """Bring subscribers in from a CSV or JSONL file: all of its good rows, or nothing."""
    check_database()
    mailing_list = find_list(slug)
    session = db.session()
    now = datetime.now(UTC)
    meanings = _meanings(values)
    said = dict.fromkeys(meanings, Field.LEFT.value) | dict(map(_pair, maps))
    with spooled(_read(file)) as stored:
        with write_transaction(session):
            # In one transaction, so that no worker takes it from us.
            import_id = create_import(session, now, COMMAND_LINE, mailing_list.id, file.name, stored)
            seen = look(
                session, import_id, encoding=encoding, delimiter=_BY_WORD.get(delimiter or "", delimiter),
                header=False if no_header else None,
            )  # fmt: skip
            options = seen.options(
                mapping=seen.mapping | said, values=meanings, decided=tuple(said), statement=statement,
                ask_per_hour=ask_per_hour, locale=locale, by_command=True,
                **({} if safe is None else {"safe": safe}),
            )  # fmt: skip
            with _with_how_to_say_it():
                (check_import if dry_run else start_import)(session, now, COMMAND_LINE, import_id, options)
            claimed = claim_own(session, parts().settings, import_id)
        _keep_rest(claimed, stored)
    _say_how(seen, options)
    with _with_how_to_say_it():
        _carry_out(claimed)
    done = find_import(session, import_id)
    assert done is not None
    if dry_run and done.state not in ENDED:
        with write_transaction(session):
            cancel_import(session, datetime.now(UTC), COMMAND_LINE, import_id)
    if done.state is ImportState.FAILED:
        raise CommandError(done.error or "the import failed")
    if done.state is ImportState.CANCELLED:
        raise CommandError("the import was cancelled; nothing was stored")
    _report(done, dry_run=dry_run)
    _tell_refusals(done, refused)
    if done.report["refused"] == done.report["rows"]:
        raise CommandError(
            "no row of the file could be read" if done.report["rows"] else "the file has no rows"
        )


def _read(file: Path) -> Iterator[bytes]:
    try:
        with file.open("rb") as stream:
            while part := stream.read(CHUNK):
                yield part
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}") from error


def _pair(text: str) -> tuple[str, str]:
    column, sign, field = text.rpartition("=")
    if not sign or not column:
        raise CommandError(f"--map takes COLUMN=FIELD, such as 'E-Mail=email', not {text!r}")
    return column, field


def _meanings(values: Sequence[str]) -> dict[str, dict[str, str]]:
    """What cells mean, column by column."""
    meanings: dict[str, dict[str, str]] = {}
    for text in values:
        before, sign, state = text.rpartition("=")
        column, second, cell = before.rpartition("=")
        if not sign or not second or not column:
            such = "such as 'Status=gone=unsubscribed'"
            raise CommandError(f"--value takes COLUMN=CELL=STATE, {such}, not {text!r}")
        meanings.setdefault(column, {})[cell] = state
    return meanings


@contextmanager
def _with_how_to_say_it() -> Iterator[None]:
    """Where a column must be spoken of, how a command does that."""
    try:
        yield
    except Undecided as undecided:
        name = undecided.questions[0].column
        raise CommandError(
            f"{undecided} (--map '{name}={Field.LEFT}', or --map '{name}={Field.IGNORE}'; "
            f"a cell by --value '{name}=CELL=STATE')"
        ) from undecided


def _keep_rest(claimed: Claimed, stored: Spooled) -> None:
    """Keep the rest of a large file, and the claim meanwhile."""
    settings = parts().settings

    def stay(session: Session) -> None:
        extend(session, settings, database_now(session), claimed, rows_done=0)

    try:
        with _ended_by_signals():
            store_rest(db.engine, claimed.id, stored, stay)
    except BaseException:
        _call_off(claimed)
        raise


def _carry_out(claimed: Claimed) -> None:
    try:
        with _ended_by_signals():
            carry_out(
                db.engine,
                parts().settings,
                claimed,
                threading.Event(),
                lambda rows: progress(f"{rows:,} rows read"),
            )
    except BaseException:
        # No worker goes on with it: see `Options.by_command`.
        _call_off(claimed)
        raise
    finally:
        progress(None)
    db.session.rollback()


def _call_off(claimed: Claimed) -> None:
    """Cancel the import, or leave it to a worker where a part of it is stored."""
    session, now = db.session(), datetime.now(UTC)
    with suppress(HasEnded, SQLAlchemyError):
        try:
            with write_transaction(session):
                cancel_import(session, now, COMMAND_LINE, claimed.id)
                cancelled(session, now, claimed)
        except CannotCancel:
            with write_transaction(session):
                release(session, claimed)
            click.echo(
                "A part of the file is stored already. The worker stores the rest; without one, "
                "`newsletter worker --once` does.",
                err=True,
            )


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let the end of the terminal, and `kill`, end the work as Ctrl-C does; but what is ignored, as nohup
    does it, stays so."""
    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _say_how(seen: Look, options: Options) -> None:
    """How the file is read: on standard error, because nobody confirms it."""
    said = f"{seen.form.value.upper()}, {options.encoding}"
    if seen.form.value == "csv":
        said += f", {DELIMITERS[options.delimiter]}" + ("" if options.header else ", no header")
    click.echo(f"{said}{f', from {seen.preset}' if seen.preset else ''}", err=True)
    click.echo("  " + ", ".join(f"{column} → {field}" for column, field in options.mapping.items()), err=True)
    for note in seen.notes:
        click.echo(f"  {note}", err=True)


def _report(done: ImportView, *, dry_run: bool) -> None:
    report = done.report
    would = "would be " if dry_run else ""
    click.echo(f"{report['rows']:,} rows read")
    for word, numbers in (("added", report["added"]), ("changed to", report["changed"])):
        for state, number in sorted(numbers.items()):
            click.echo(f"{number:,} {would}{word} {'as ' if word == 'added' else ''}{state}")
    for number, said in (
        (report["filled"], f"{would}given a name or attributes"),
        (report["unchanged"], "unchanged"),
        (report["demoted"], "confirmed in the file, pending here for want of a statement"),
        (report["asked"], "asked to confirm, one after the other"),
        (report["refused"], "refused"),
        (report["overruled"], "of them because another row of the address says that it left"),
    ):
        if number:
            click.echo(f"{number:,} {said}")
    for reason, number in sorted(report["skipped"].items()):
        click.echo(f"{number:,} skipped: {reason}")
    for key, number in sorted(report["ignored"].items()):
        click.echo(f"{number:,} rows with {key!r}, which was not asked for")


def _tell_refusals(done: ImportView, file: Path | None) -> None:
    number = done.report["refused"]
    if not number:
        return
    if file is None:
        for refusal in refusals(db.session(), done.id, limit=_SHOWN):
            click.echo(f"line {refusal.line}: {refusal.why} {refusal.text}", err=True)
        if number > _SHOWN:
            click.echo(f"… and {number - _SHOWN:,} more: --refused FILE writes them down", err=True)
        return
    try:
        with file.open("w", encoding="utf-8", newline="") as stream:
            stream.writelines(refused_file(db.engine, done).parts)
    except OSError as error:
        raise CommandError(f"{file} cannot be written: {error.strerror}") from error

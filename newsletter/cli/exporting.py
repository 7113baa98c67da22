"""`newsletter export`: subscribers out. `newsletter verify-export`: is a file what was exported?"""

from __future__ import annotations

from contextlib import ExitStack
from datetime import UTC, date, datetime
from pathlib import Path
from uuid import UUID

import click
from flask.cli import with_appcontext

from newsletter.cli.common import CommandError, check_database, destination, find_list, progress
from newsletter.database import DatabaseNotReady, write_transaction
from newsletter.domain.lifecycle import State
from newsletter.extensions import db
from newsletter.parts import parts
from newsletter.services.access import COMMAND_LINE
from newsletter.services.exports import (
    ExportRequest,
    Format,
    NotProven,
    manifest,
    manifest_text,
    start_export,
    stream_export,
    verify,
)
from newsletter.services.exports.proof import LARGEST


@click.command("export")
@click.argument("slug", required=False)
@click.option("--all-lists", is_flag=True, help="Every list, instead of SLUG.")
@click.option(
    "--format", "form", type=click.Choice([form.value for form in Format]), default="csv", show_default=True
)
@click.option(
    "--state",
    "states",
    type=click.Choice([*(state.value for state in State), "all"]),
    multiple=True,
    default=[State.CONFIRMED.value],
    show_default=True,
    help="Which subscribers; may be given several times.",
)
@click.option("--joined-from", type=click.DateTime(["%Y-%m-%d"]), help="The first day (UTC) of signing up.")
@click.option("--joined-until", type=click.DateTime(["%Y-%m-%d"]), help="The last one.")
@click.option("--source", help="Only who came by this way, such as form or script.")
@click.option("--domain", help="Only addresses at this domain, such as example.org.")
@click.option("--attribute", metavar="KEY=VALUE", help="Only who has this attribute.")
@click.option("--with-paused", is_flag=True, help="Those, too, who paused: they want no mail until a day.")
@click.option("--column", "columns", multiple=True, help="A column, in the order in which they are given.")
@click.option("--safe", is_flag=True, help="Defuse what a spreadsheet would take for a formula.")
@click.option("--gzip", is_flag=True, help="Compress it.")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file, instead of standard output; its manifest is written beside it.",
)
@with_appcontext
def export_command(
    slug: str | None,
    all_lists: bool,
    form: str,
    states: tuple[str, ...],
    joined_from: datetime | None,
    joined_until: datetime | None,
    source: str | None,
    domain: str | None,
    attribute: str | None,
    with_paused: bool,
    columns: tuple[str, ...],
    safe: bool,
    gzip: bool,
    output: Path | None,
) -> None:
    """Write a list's subscribers to standard output or to a file."""
    check_database()
    if (slug is None) is not all_lists:
        raise CommandError("name one list, or say --all-lists")
    request = ExportRequest(
        list_id=None if slug is None else find_list(slug).id,
        format=Format(form),
        states=tuple(State) if "all" in states else tuple(dict.fromkeys(map(State, states))),
        joined_from=_day(joined_from),
        joined_until=_day(joined_until),
        source=source,
        domain=domain,
        attribute=_pair(attribute),
        with_paused=with_paused,
        columns=columns,
        safe=safe,
        gzip=gzip,
    )
    _export(request, output)


def _export(request: ExportRequest, output: Path | None) -> None:
    settings, session = parts().settings, db.session()
    with ExitStack() as files:
        # The last one that is opened appears first: never a manifest without its file.
        proof = files.enter_context(destination(_manifest_of(output))) if _is_file(output) else None
        file = files.enter_context(destination(output))
        with write_transaction(session):
            export_id = start_export(session, datetime.now(UTC), COMMAND_LINE, request)
        for chunk in stream_export(db.engine, settings, export_id, request, told=_tell):
            file.write(chunk)
            file.flush()
        progress(None)
        if proof is not None:
            proof.write(_manifest(export_id))


def _manifest(export_id: UUID) -> bytes:
    session = db.session()
    session.rollback()
    written = manifest(session, parts().settings, export_id)
    assert written is not None
    return manifest_text(written).encode()


def _tell(rows: int) -> None:
    progress(f"{rows:,} subscribers")


def _is_file(output: Path | None) -> bool:
    return output is not None and (output.is_file() or not output.exists())


def _manifest_of(file: Path | None) -> Path | None:
    return None if file is None else file.with_name(f"{file.name}.manifest.json")


def _day(moment: datetime | None) -> date | None:
    return None if moment is None else moment.date()


def _pair(text: str | None) -> tuple[str, str] | None:
    if text is None:
        return None
    key, equals, value = text.partition("=")
    if not equals:
        raise CommandError("an attribute is given as key=value, such as city=Paris")
    return key, value


@click.command("verify-export")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--manifest", "manifest_path", type=click.Path(path_type=Path), help="Default: FILE.manifest.json."
)
@with_appcontext
def verify_command(file: Path, manifest_path: Path | None) -> None:
    """Check that a file is what was exported: whole, and unchanged."""
    manifest_path = manifest_path or _manifest_of(file)
    assert manifest_path is not None
    try:
        with manifest_path.open("rb") as opened:
            written = opened.read(LARGEST)
    except FileNotFoundError as error:
        raise NotProven(
            f"there is no manifest {manifest_path}: without it nothing proves the file"
        ) from error
    except OSError as error:
        raise CommandError(f"{manifest_path} cannot be read: {error.strerror}") from error
    try:
        check_database()
        session = db.session()
    except DatabaseNotReady:
        session = None
    try:
        with file.open("rb") as stream:
            proven = verify(stream, written, parts().settings.secret_keys, session)
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}") from error
    of = proven.fields["list"] or "all lists"
    click.echo(
        f"{file} is whole and unchanged: {proven.rows:,} subscribers of {of}, "
        f"{proven.fields['format']}, exported {proven.fields['finished_at']}"
    )

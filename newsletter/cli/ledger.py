"""`newsletter verify-ledger`: is every consent event as it was stored?"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import click
from flask.cli import with_appcontext
from sqlalchemy.orm import Session

from newsletter.cli.common import CommandError, check_database, find_list, progress
from newsletter.database import snapshot, write_transaction
from newsletter.domain.ledger import Head
from newsletter.extensions import db
from newsletter.parts import parts
from newsletter.services import ledger, lists
from newsletter.services.ledger import Fault, LedgerStopped, NoHead
from newsletter.services.lists import ListView

_MOST_TOLD = 20  # faults of a list; the rest is counted


class LedgerBroken(Exception):
    """Something of the evidence is not as it was stored. The message says how much, in one line."""


@click.command("verify-ledger")
@click.argument("slug", required=False)
@click.option(
    "--head", "with_heads", is_flag=True, help="Print where each ledger ends, to be kept elsewhere."
)
@click.option(
    "--expect",
    "kept",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file of such heads: the history must still go through each of them.",
)
@click.option(
    "--go-on-after-a-break",
    "over_breaks",
    is_flag=True,
    help="Let a ledger whose end is broken go on. The break stays to be seen.",
)
@with_appcontext
def verify_ledger_command(slug: str | None, with_heads: bool, kept: Path | None, over_breaks: bool) -> None:
    """Check that no consent event was altered, removed or inserted: of the list SLUG, or of all."""
    check_database()
    expected = {} if kept is None else _read(kept)
    session = db.session()
    wanted = lists.every(session) if slug is None else [find_list(slug)]
    if kept is not None and slug is None:
        _refuse_unknown(expected, wanted)
    _catch_up(over_breaks=over_breaks)
    faults = 0
    heads = []
    with snapshot(db.engine) as connection, Session(connection) as seen:
        for fault in ledger.strays(seen):
            faults += 1
            _say("all lists", fault)
        for mailing_list in wanted:
            faults += _verify(seen, mailing_list, expected.get(mailing_list.id), quiet=with_heads)
            heads.append(ledger.head_text(seen, datetime.now(UTC), mailing_list))
    if faults:
        raise LedgerBroken(f"the evidence is not as it was stored: {_counted(faults, 'fault')}, see above")
    if with_heads:
        for head in heads:
            if head is not None:
                click.echo(head)


def _catch_up(*, over_breaks: bool) -> None:
    """What the worker has numbered and not written into the ledger yet is written first."""
    session = db.session()
    more = ledger.is_behind(session)
    while more:
        with suppress(LedgerStopped), write_transaction(session):
            more = False
            more = ledger.extend(session, parts().settings, over_breaks=over_breaks) > 0
    session.rollback()


def _verify(session: Session, mailing_list: ListView, kept: Head | None, *, quiet: bool) -> int:
    intact = erased = faults = 0
    for checked in ledger.verify(session, parts().settings, mailing_list.id, kept):
        intact += checked.intact
        erased += checked.erased
        for fault in checked.faults:
            faults += 1
            if faults <= _MOST_TOLD:
                _say(mailing_list.slug, fault)
        progress(f"{mailing_list.slug}: {intact:,} events")
    progress(None)
    if faults > _MOST_TOLD:
        click.echo(f"{mailing_list.slug}: and {faults - _MOST_TOLD:,} more", err=True)
    if not faults and not quiet:
        click.echo(
            f"{mailing_list.slug}: {_counted(intact, 'event')} as stored"
            + (f", {erased:,} erased and accounted for" if erased else "")
        )
    return faults


def _say(whose: str, fault: Fault) -> None:
    where = f"event {fault.seq}: " if fault.seq is not None else ""
    # Somebody may have written anything into the database, and a terminal would do what it says.
    shown = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in fault.what)
    click.echo(f"{whose}: {where}{shown}", err=True)


def _read(file: Path) -> dict[UUID, Head]:
    try:
        lines = file.read_text("utf-8").splitlines()
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise CommandError(f"{file} holds no head of a ledger") from error
    found: dict[UUID, Head] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            head = ledger.read_head(parts().settings, line)
        except NoHead as error:
            raise CommandError(f"{file}, line {number}: {error}") from error
        # Of several that were kept of a list, the newest tells most: it goes through the others.
        if head.list_id not in found or found[head.list_id].seq < head.seq:
            found[head.list_id] = head
    if not found:
        raise CommandError(f"{file} holds no head of a ledger")
    return found


def _refuse_unknown(expected: Mapping[UUID, Head], known: list[ListView]) -> None:
    gone = expected.keys() - {mailing_list.id for mailing_list in known}
    if gone:
        raise LedgerBroken(f"a list of which a head was kept is gone: {min(gone)}")


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"

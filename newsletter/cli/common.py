"""What the commands share: the check of the database, lists by their slug, progress on a terminal, files."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import BinaryIO

import click

from newsletter.database import check_ready
from newsletter.extensions import db
from newsletter.parts import parts
from newsletter.services import lists
from newsletter.services.lists import ListView


class CommandError(Exception):
    """A command cannot do what it was asked. The message says why, in one line."""


def check_database() -> None:
    """Raise `DatabaseNotReady` unless the database answers and is at the newest migration."""
    check_ready(db.engine, head=parts().newest_migration)


def find_list(slug: str) -> ListView:
    """The list, or a `CommandError` that says where the names are."""
    mailing_list = lists.find(db.session(), slug)
    if mailing_list is None:
        raise CommandError(lists.unknown(slug))
    return mailing_list


def progress(text: str | None) -> None:
    """How far long work is: on a terminal only. None ends the line."""
    if sys.stderr.isatty():
        click.echo("\n" if text is None else f"\r{text}", nl=False, err=True)


@contextmanager
def destination(output: Path | None) -> Iterator[BinaryIO]:
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
            if output is None:
                give_up_stdout()
            raise _cannot_write(error, output) from error
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
        raise _cannot_write(error, output) from error


def give_up_stdout() -> None:
    """Let nothing more be written to it: Python would try once more when it closes it, complain, and give
    the command a status of its own."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _cannot_write(error: OSError, output: Path | None) -> CommandError:
    return CommandError(f"{output or 'standard output'} cannot be written: {error.strerror}")

"""Where mail is laid that could not be read, or that nobody here knows what to do with (checklist B6).

One file a mail, for its owner alone, in `dead-letters` in the data directory. The newest are kept, so many
and no longer than so: nobody can fill the disk with them, and no address stays in them for good.
"""

from __future__ import annotations

import base64
import contextlib
import os
import quopri
import re
import secrets
from collections.abc import Collection, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import structlog

MOST = 500  # files
KEPT = timedelta(days=30)
_LONGEST = 64 * 1024  # bytes of a mail

log = structlog.get_logger()


class DeadLetters:
    """The folder. It is made when the first mail is laid there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, raw: bytes, *, reason: str, recipient: str | None, now: datetime) -> None:
        """Lay a mail aside: its first 64 KB, below a header that says why. A folder that cannot be written
        to is told in the log; the reader goes on."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            name = f"{now:%Y%m%dT%H%M%S.%f}-{secrets.token_hex(4)}.eml"
            head = f"X-Dead-Letter: {_line(reason)}; recipient={_line(recipient or 'unknown')}\r\n"
            draft = self._folder / f".{name}"
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(head.encode() + raw[:_LONGEST])
            draft.replace(self._folder / name)
            self.forget(now)
        except OSError as error:
            log.error("dead_letter_lost", reason=reason, error=error.strerror)
            return
        log.warning("dead_letter", reason=reason, file=name)

    def remove(self, texts: Collection[bytes]) -> None:
        """Remove the mails that hold one of these texts, which are in lower case."""
        for path in self._folder.glob("*.eml"):
            with contextlib.suppress(OSError):
                readings = list(_readings(path.read_bytes()))
                if any(text in reading for reading in readings for text in texts):
                    path.unlink()

    def forget(self, now: datetime) -> None:
        """Remove what is too old, and the oldest of what is too many."""
        # Also what others are just writing, as old as its name says, and what a dead process had begun to.
        names = sorted((path.name for path in self._folder.glob("*.eml")), key=_moment)
        oldest = f"{now - KEPT:%Y%m%dT%H%M%S}"
        too_old = [name for name in names[-MOST:] if _moment(name) < oldest]
        for name in names[: max(0, len(names) - MOST)] + too_old:
            with contextlib.suppress(OSError):
                (self._folder / name).unlink()


def _moment(name: str) -> str:
    return name.removeprefix(".")


def _readings(mail: bytes) -> Iterator[bytes]:
    """A mail as it is, and what its encoded parts say, in lower case."""
    yield mail.lower()
    yield quopri.decodestring(mail).lower()
    for block in _BASE64.findall(mail):
        signs = b"".join(block.split())
        with contextlib.suppress(ValueError):
            # Four by four: the mail may have been cut off between.
            yield base64.b64decode(signs[: len(signs) // 4 * 4]).lower()


_BASE64 = re.compile(rb"(?m)(?:^[A-Za-z0-9+/]{2,}={0,2}(?:\r?\n|\Z))+")


def _line(text: str) -> str:
    return "".join(character if " " <= character <= "~" else "?" for character in text)[:320]

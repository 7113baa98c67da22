"""Where letters go when no relay is set: into a Maildir on this machine."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from newsletter.mail.compose import Letter
from newsletter.mail.transport import RelayDown, Withdrawn


class MaildirTransport:
    """Keeps mail in a Maildir, for trying the service out without a relay."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def send(self, letter: Letter, *, still_wanted: Callable[[], bool]) -> None:
        # The same message gets the same name, so a mail that is sent again replaces itself.
        name = f"{hashlib.sha256(letter.message_id.encode()).hexdigest()[:32]}.newsletter"
        try:
            for part in ("tmp", "new", "cur"):
                (self._folder / part).mkdir(parents=True, exist_ok=True)
            draft = self._folder / "tmp" / name
            with draft.open("wb") as file:
                file.write(letter.content)
                file.flush()
                os.fsync(file.fileno())
            if not still_wanted():
                draft.unlink()
                raise Withdrawn
            draft.replace(self._folder / "new" / name)
        except OSError as error:
            raise RelayDown(f"mail cannot be kept in {self._folder}: {error.strerror}") from error

    def waited(self) -> float | None:
        return None

    def give_up(self) -> bool:
        return False

    @property
    def is_open(self) -> bool:
        return True

    def close(self) -> None:
        pass

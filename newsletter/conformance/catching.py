"""Where the copy's mail arrives: the Maildir of the transport that keeps mail, or an SMTP server on this
machine for the transport that hands mail to a relay."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.parser import BytesHeaderParser
from email.utils import parseaddr
from pathlib import Path
from typing import Any, Protocol

from aiosmtpd.controller import Controller

from newsletter.conformance.rules import CannotCheck
from newsletter.settings import PREFIX, Settings


class Catcher(Protocol):
    """Takes all mail of the copy. `environ` is what makes the copy send it here."""

    @property
    def name(self) -> str: ...

    @property
    def environ(self) -> dict[str, str]: ...

    def caught(self) -> list[tuple[str, bytes]]:
        """Every mail: its recipient, and its bytes."""
        ...


@dataclass(frozen=True)
class MaildirCatcher:
    """What the copy keeps in its own folder."""

    folder: Path
    name: str = "the Maildir that mail is kept in"

    @property
    def environ(self) -> dict[str, str]:
        return {f"{PREFIX}SMTP_URL": ""}

    def caught(self) -> list[tuple[str, bytes]]:
        return [(_to(content), content) for content in map(Path.read_bytes, self.folder.glob("new/*"))]


@dataclass(frozen=True)
class SmtpCatcher:
    """An SMTP server that keeps what it is given, byte for byte."""

    port: int
    name: str = "SMTP to a server on this machine in the place of the relay"
    _mails: list[tuple[str, bytes]] = field(default_factory=list)

    @property
    def environ(self) -> dict[str, str]:
        return {f"{PREFIX}SMTP_URL": f"smtp://127.0.0.1:{self.port}"}

    def caught(self) -> list[tuple[str, bytes]]:
        return list(self._mails)

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        """Take a mail: aiosmtpd's hook."""
        self._mails.append((envelope.rcpt_tos[0], envelope.content))
        return "250 OK"


@contextmanager
def catching(settings: Settings, folder: Path) -> Iterator[Catcher]:
    """The catcher for the transport that the settings ask for; `folder` is the copy's data directory."""
    if settings.smtp is None:
        yield MaildirCatcher(folder / "mailbox")
        return
    catcher = SmtpCatcher(free_port())
    controller = Controller(
        catcher, hostname="127.0.0.1", port=catcher.port, ident="conformance", ready_timeout=60
    )
    try:
        controller.start()
    except OSError as error:
        raise CannotCheck(f"no catcher for the mail can be started: {error}") from error
    try:
        yield catcher
    finally:
        controller.stop()


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _to(content: bytes) -> str:
    return parseaddr(str(BytesHeaderParser().parsebytes(content)["To"]))[1]

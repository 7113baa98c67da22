"""How a letter leaves: to an SMTP relay over one kept connection, or into a Maildir on this machine."""

from __future__ import annotations

import contextlib
import hashlib
import os
import smtplib
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, Protocol

from newsletter.domain.retry import verdict
from newsletter.mail.compose import Letter
from newsletter.settings import Relay, Settings

# RFC 5321 §4.5.3.2 asks for up to ten minutes after the final dot. Ending earlier sends a mail twice.
_TIMEOUT = 300.0
_CONNECT_TIMEOUT = 15.0
_IDLE = 5.0  # seconds after which a kept connection is asked whether it still lives


class Withdrawn(Exception):
    """The letter was not sent: right before DATA, its reason was gone."""


class Refused(Exception):
    """The relay answered for this letter with something other than yes. `said` is what it answered itself,
    its code first; None where it answered nothing. `of_sender`: it would not hear whom the letter is for."""

    def __init__(self, code: int, text: str, *, said: str | None = None, of_sender: bool = False) -> None:
        super().__init__(f"{code} {text}"[:500])
        self.verdict = verdict(code, text)
        self.said = said[:500] if said else None
        self.of_sender = of_sender


class Undeliverable(Exception):
    """This relay can never take this letter."""


class RelayDown(Exception):
    """The relay does not answer, or refuses us as a whole: every letter waits."""


class Transport(Protocol):
    """Takes letters away."""

    def send(self, letter: Letter, *, still_wanted: Callable[[], bool]) -> None:
        """Hand over one letter; returns once it was taken.

        Asks `still_wanted` right before the contents leave. Raises `Withdrawn`, `Refused`,
        `Undeliverable` or `RelayDown`.
        """
        ...

    def close(self) -> None:
        """Part politely."""
        ...


def transport_for(settings: Settings) -> Transport:
    """The transport that the settings ask for."""
    if settings.smtp is None:
        return MaildirTransport(settings.mailbox_dir)
    return SmtpTransport(settings.smtp)


class SmtpTransport:
    """One connection to the relay, kept and reused."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._connection: smtplib.SMTP | None = None
        self._used_at = 0.0

    def send(self, letter: Letter, *, still_wanted: Callable[[], bool]) -> None:
        connection = self._open()
        try:
            self._send(connection, letter, still_wanted)
            self._used_at = time.monotonic()
        except (smtplib.SMTPException, OSError) as error:
            # The connection broke over this letter. Whether the relay is down shows when it is opened again;
            # till then only this letter waits, so that one that breaks connections cannot hold up the others.
            self._drop()
            raise Refused(451, _describe(error)) from error

    def _send(self, connection: smtplib.SMTP, letter: Letter, still_wanted: Callable[[], bool]) -> None:
        options = []
        if letter.needs_smtputf8:
            if not connection.has_extn("smtputf8"):
                raise Undeliverable("the relay does not offer SMTPUTF8, which this address needs")
            options = ["SMTPUTF8", "BODY=8BITMIME"]
        # SMTPUTF8 lets the commands themselves be UTF-8.
        connection.command_encoding = "utf-8" if options else "ascii"
        code, text = connection.mail(letter.sender, options)
        if code >= 400:
            # The sender's fault, not the recipient's: to be tried again, whatever the code.
            self._reset(connection)
            answer = f"{code} {_text(text)}"
            raise Refused(451, f"the relay refuses the sender: {answer}", said=answer, of_sender=True)
        code, text = connection.rcpt(letter.recipient)
        if code >= 400:
            self._refuse(connection, code, text)
        if not still_wanted():
            self._reset(connection)
            raise Withdrawn
        try:
            code, text = connection.data(letter.content)
        except smtplib.SMTPDataError as error:
            said = error.smtp_error
            self._refuse(connection, error.smtp_code, said if isinstance(said, bytes) else said.encode())
        if code >= 300:
            self._refuse(connection, code, text)

    def _refuse(self, connection: smtplib.SMTP, code: int, text: bytes) -> NoReturn:
        if code == 421:  # it closes the connection (RFC 5321 §3.8)
            self._drop()
        else:
            self._reset(connection)
        raise Refused(code, _text(text), said=f"{code} {_text(text)}")

    def _reset(self, connection: smtplib.SMTP) -> None:
        try:
            connection.rset()
        except (smtplib.SMTPException, OSError):
            self._drop()

    def _open(self) -> smtplib.SMTP:
        if self._connection is not None and time.monotonic() - self._used_at > _IDLE:
            # Relays close idle connections.
            try:
                alive = self._connection.noop()[0] == 250
            except (smtplib.SMTPException, OSError):
                alive = False
            if not alive:
                self._drop()
        if self._connection is None:
            try:
                self._connection = self._connect()
            except (smtplib.SMTPException, OSError, ValueError) as error:
                raise RelayDown(_describe(error)) from error
        return self._connection

    def _connect(self) -> smtplib.SMTP:
        relay = self._relay
        context = ssl.create_default_context()
        if relay.tls == "implicit":
            connection: smtplib.SMTP = smtplib.SMTP_SSL(
                relay.host, relay.port, timeout=_CONNECT_TIMEOUT, context=context
            )
        else:
            connection = smtplib.SMTP(relay.host, relay.port, timeout=_CONNECT_TIMEOUT)
        try:
            connection.ehlo_or_helo_if_needed()
            if relay.tls == "starttls" or (relay.tls == "opportunistic" and connection.has_extn("starttls")):
                connection.starttls(context=context)
                connection.ehlo()
            if relay.user is not None:
                connection.login(relay.user, relay.password or "")
            assert connection.sock is not None
            connection.sock.settimeout(_TIMEOUT)
            connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except BaseException:
            connection.close()
            raise
        return connection

    def _drop(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(OSError):
                self._connection.close()
            self._connection = None

    def close(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(smtplib.SMTPException, OSError):
                self._connection.quit()
            self._drop()


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

    def close(self) -> None:
        pass


def _text(reply: bytes) -> str:
    return reply.decode("utf-8", "replace").replace("\r", " ").replace("\n", " ")


def _describe(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        said = error.smtp_error if isinstance(error.smtp_error, bytes) else str(error.smtp_error).encode()
        return f"{error.smtp_code} {_text(said)}"[:500]
    return f"{type(error).__name__}: {error}"[:500]

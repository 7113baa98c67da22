"""How a letter leaves: to an SMTP relay, over a connection that is kept."""

from __future__ import annotations

import contextlib
import smtplib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn, Protocol

from newsletter.domain.retry import is_about_connections, verdict
from newsletter.mail.compose import Letter
from newsletter.settings import Relay

# RFC 5321 §4.5.3.2 asks for up to ten minutes after the final dot. Ending earlier sends a mail twice.
_TIMEOUT = 300.0
_CONNECT_TIMEOUT = 15.0
_IDLE = 5.0  # seconds after which a kept connection is asked whether it still lives
# Replies to MAIL by which the relay wants no mail at all over this connection (RFC 5321 §3.8, RFC 4954 §6).
_OF_SESSION = {421, 530, 534, 535, 538}


class Withdrawn(Exception):
    """The letter was not sent: right before DATA, its reason was gone."""


class Refused(Exception):
    """The relay answered for this letter with something other than yes. `said` is what it answered itself,
    its code first; None where it answered nothing. `of_sender`: it would not hear whom the letter is for.
    `of_connections`: it says that we have too many connections."""

    def __init__(self, code: int, text: str, *, said: str | None = None, of_sender: bool = False) -> None:
        super().__init__(f"{code} {text}"[:500])
        self.verdict = verdict(code, text)
        self.said = said[:500] if said else None
        self.of_sender = of_sender
        self.of_connections = said is not None and is_about_connections(said)


class Interrupted(Exception):
    """The session ended over this letter. `said` is the relay's reply, its code first; None where the
    connection broke. `in_doubt`: the contents had begun to leave, so the relay may have the letter.
    `of_session`: the reply was not about this letter."""

    def __init__(
        self, text: str, *, said: str | None = None, in_doubt: bool = False, of_session: bool = False
    ) -> None:
        super().__init__(text[:500])
        self.said = said[:500] if said else None
        self.in_doubt = in_doubt
        self.of_session = of_session


class GivenUp(Exception):
    """Our own doing, by `give_up`: the letter did not leave."""


class Undeliverable(Exception):
    """This relay can never take this letter."""


class RelayDown(Exception):
    """The relay does not answer, or refuses us as a whole: every letter waits."""


class Transport(Protocol):
    """Takes letters away."""

    def send(self, letter: Letter, *, still_wanted: Callable[[], bool]) -> None:
        """Hand over one letter; returns once it was taken.

        Asks `still_wanted` right before the contents leave. Raises `Withdrawn`, `Refused`,
        `Interrupted`, `GivenUp`, `Undeliverable` or `RelayDown`.
        """
        ...

    def waited(self) -> float | None:
        """Seconds that the letter in hand, or the last one, has waited for answers that depend on its
        recipient; None where it did not come to them."""
        ...

    def give_up(self) -> bool:
        """Called by another thread: let the letter in hand wait no longer, unless its contents have begun to
        leave. Returns whether it will end so."""
        ...

    @property
    def is_open(self) -> bool:
        """Whether there is a connection."""
        ...

    def close(self) -> None:
        """Part politely."""
        ...


class SmtpTransport:
    """One connection to the relay, kept and reused."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._connection: smtplib.SMTP | None = None
        self._used_at = 0.0
        self._lock = threading.Lock()  # of what `give_up` looks at
        self._is_busy = self._is_leaving = self._is_given_up = False
        self._waited: float | None = None
        self._waits_since: float | None = None

    def send(self, letter: Letter, *, still_wanted: Callable[[], bool]) -> None:
        with self._lock:
            self._is_leaving = self._is_given_up = False
            self._waited = None
        connection = self._open()
        self._is_busy = True
        try:
            self._send(connection, letter, still_wanted)
            self._used_at = time.monotonic()
        except (smtplib.SMTPException, OSError) as error:
            # The connection broke over this letter. Whether the relay is down shows when it is opened again;
            # till then only this letter waits, so that one that breaks connections cannot hold up the others.
            self._drop()
            if self._is_given_up:
                raise GivenUp from error
            raise Interrupted(_describe(error), in_doubt=self._is_leaving) from error
        finally:
            with self._lock:
                self._is_busy = False

    def waited(self) -> float | None:
        with self._lock:
            if self._waits_since is None:
                return self._waited
            return (self._waited or 0.0) + time.monotonic() - self._waits_since

    def give_up(self) -> bool:
        with self._lock:
            connection = self._connection
            if not self._is_busy or self._is_leaving or connection is None or connection.sock is None:
                return False
            self._is_given_up = True
            with contextlib.suppress(OSError):
                # The socket's own, also under TLS: whoever reads from it is woken by its end.
                socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)
            return True

    @property
    def is_open(self) -> bool:
        return self._connection is not None

    @contextmanager
    def _waiting_for_recipient(self) -> Iterator[None]:
        with self._lock:
            self._waits_since = time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                self._waited = (self._waited or 0.0) + time.monotonic() - self._waits_since
                self._waits_since = None

    def _let_leave(self) -> None:
        """From here on nobody else may end it."""
        with self._lock:
            if self._is_given_up:
                raise smtplib.SMTPServerDisconnected("given up")
            self._is_leaving = True

    def _send(self, connection: smtplib.SMTP, letter: Letter, still_wanted: Callable[[], bool]) -> None:
        options = []
        if letter.needs_smtputf8:
            if not connection.has_extn("smtputf8"):
                raise Undeliverable("the relay does not offer SMTPUTF8, which this address needs")
            options = ["SMTPUTF8", "BODY=8BITMIME"]
        # SMTPUTF8 lets the commands themselves be UTF-8.
        connection.command_encoding = "utf-8" if options else "ascii"
        code, text = connection.mail(letter.sender, options)
        if code in _OF_SESSION:
            self._drop()
            answer = f"{code} {_text(text)}"
            raise Interrupted(answer, said=answer, of_session=True)
        if code >= 400:
            # The sender's fault, not the recipient's: to be tried again, whatever the code.
            self._reset(connection)
            answer = f"{code} {_text(text)}"
            raise Refused(451, f"the relay refuses the sender: {answer}", said=answer, of_sender=True)
        with self._waiting_for_recipient():
            code, text = connection.rcpt(letter.recipient)
        if code >= 400:
            self._refuse(connection, code, text)
        try:
            wanted = still_wanted()
        except BaseException:
            self._drop()  # in the middle of a letter, it would take no other
            raise
        if not wanted:
            self._reset(connection)
            raise Withdrawn
        self._let_leave()
        try:
            with self._waiting_for_recipient():
                code, text = connection.data(letter.content)
        except smtplib.SMTPDataError as error:
            said = error.smtp_error
            self._refuse(connection, error.smtp_code, said if isinstance(said, bytes) else said.encode())
        if code >= 300:
            self._refuse(connection, code, text)

    def _refuse(self, connection: smtplib.SMTP, code: int, text: bytes) -> NoReturn:
        if code == 421:  # it closes the connection (RFC 5321 §3.8)
            self._drop()
            answer = f"{code} {_text(text)}"
            raise Interrupted(answer, said=answer)
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


def _text(reply: bytes) -> str:
    return reply.decode("utf-8", "replace").replace("\r", " ").replace("\n", " ")


def _describe(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        said = error.smtp_error if isinstance(error.smtp_error, bytes) else str(error.smtp_error).encode()
        return f"{error.smtp_code} {_text(said)}"[:500]
    return f"{type(error).__name__}: {error}"[:500]

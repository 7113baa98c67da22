"""Listens for mail that comes back, as an LMTP server (RFC 2033) for the mail system of this machine.

It runs in the worker. Of several workers on one machine, the first has the port and the others wait for it:
when one dies, the next takes over, and meanwhile the mail system keeps the mail.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog
from aiosmtpd.lmtp import LMTP
from sqlalchemy.exc import SQLAlchemyError

from newsletter.database import DatabaseNotReady, first_line
from newsletter.logs import Seldom
from newsletter.mail.bounded import LARGEST
from newsletter.mail.inbound import Envelope, Inbound

_LONGEST_LINE = 256 * 1024  # octets: bounces quote whatever they were sent
_TRY_AGAIN = 2.0  # seconds between tries to get the port
_POLL = 0.2
_TIMEOUT = 300.0  # seconds that a command, with its mail, may take (RFC 5321 §4.5.3.2)
# A mail system uses a few connections. Each holds a file, which sending and the database need too, and as
# much memory as a mail is large.
_MOST_CONNECTIONS = 50
_MOST_COMMANDS = 1000  # of a kind on one connection: who says NOOP for ever has an end

log = structlog.get_logger()
_full = Seldom("too_many_inbound_connections")


@contextmanager
def listening(inbound: Inbound, host: str, port: int, domain: str, stop: threading.Event) -> Iterator[None]:
    """Take mail beside the block, until `stop` is set; what is in hand is finished."""
    listener = Listener(inbound, host, port, domain, stop)
    thread = threading.Thread(target=listener.run, name="inbound")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


class Listener:
    """Serves one address until told to stop."""

    def __init__(self, inbound: Inbound, host: str, port: int, domain: str, stop: threading.Event) -> None:
        self._handler = _Handler(inbound, domain)
        self._host = host
        self._port = port
        self._stop = stop
        self._connections: set[_Lmtp] = set()

    def run(self) -> None:
        """Get the port as soon as it is free, and serve it."""
        # It would log addresses.
        logging.getLogger("mail.log").setLevel(logging.WARNING)
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        said = None
        while not self._stop.is_set():
            try:
                server = await asyncio.get_running_loop().create_server(
                    self._protocol, self._host, self._port
                )
            except OSError as error:
                if error.errno != said:
                    said = error.errno
                    self._tell(error)
                await self._pause(_TRY_AGAIN)
                continue
            log.info("inbound_listens", host=self._host, port=self._port)
            async with server:
                while not self._stop.is_set():
                    await asyncio.sleep(_POLL)

    def _tell(self, error: OSError) -> None:
        if error.errno == errno.EADDRINUSE:
            log.info("inbound_waits", port=self._port)  # another worker has it
        else:
            log.error("inbound_cannot_listen", port=self._port, error=error.strerror)

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.to_thread(self._stop.wait, seconds), seconds + 1)

    def _protocol(self) -> LMTP:
        return _Lmtp(
            self._connections,
            self._handler,
            data_size_limit=LARGEST,
            enable_SMTPUTF8=True,
            ident="newsletter",
            hostname="newsletter",
            timeout=_TIMEOUT,
            command_call_limit=_MOST_COMMANDS,
        )


class _Lmtp(LMTP):
    """One connection among others; one too many is told to come back."""

    line_length_limit = _LONGEST_LINE

    def __init__(self, connections: set[_Lmtp], handler: _Handler, **settings: Any) -> None:
        super().__init__(handler, **settings)
        self._connections = connections

    def connection_made(self, transport: Any) -> None:
        if len(self._connections) < _MOST_CONNECTIONS:
            self._connections.add(self)
            super().connection_made(transport)
        else:
            _full.warn(most=_MOST_CONNECTIONS)
            transport.write(b"421 4.3.2 too many connections, try again later\r\n")
            transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if self in self._connections:
            self._connections.remove(self)
            super().connection_lost(error)


class _Handler:
    """Answers for each mail once it is taken."""

    def __init__(self, inbound: Inbound, domain: str) -> None:
        self._inbound = inbound
        self._domain = domain

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _server: Any, _session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        """One recipient a mail: LMTP answers for each of them, and each of our mails had but one sender."""
        if address.rpartition("@")[2].rstrip(".").lower() != self._domain:
            return f"550 5.1.2 this takes mail for {self._domain}"
        if envelope.rcpt_tos:
            return "452 4.5.3 one recipient at a time"
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 ok"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        """Take it, in a thread: the database must not hold up other connections."""
        mail = Envelope(envelope.rcpt_tos[0], envelope.mail_from or "", envelope.content)
        try:
            taken = await asyncio.to_thread(self._inbound.take, mail)
        except (SQLAlchemyError, DatabaseNotReady) as error:
            log.error("database_error", errand="inbound", error=first_line(error))
            return "451 4.3.0 the database is away, try again later"
        except Exception:
            log.exception("inbound_failed")
            return "451 4.3.0 it could not be taken, try again later"
        return f"250 2.0.0 {taken.value}"

"""The connections of a worker to its relay, each in a thread of its own, opened when they are needed."""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass
from enum import Enum, auto

from newsletter.mail.maildir import MaildirTransport
from newsletter.mail.sending import Sender
from newsletter.mail.transport import SmtpTransport, Transport
from newsletter.services.deliver import Claimed
from newsletter.settings import Settings

_IDLE = 30.0  # seconds after which a connection that nobody needs is closed


@dataclass(frozen=True)
class Ended:
    """A dialogue has ended; `error` where it says nothing of the message itself (`Sender.send`)."""

    connection: Connection
    message: Claimed
    error: Exception | None


class _Order(Enum):
    PART = auto()
    END = auto()


class Connection(threading.Thread):
    """Sends the messages that it is handed, one after another."""

    def __init__(self, sender: Sender, transport: Transport, ended: queue.SimpleQueue[Ended]) -> None:
        super().__init__(name="outbox-connection", daemon=True)
        self._sender = sender
        self._transport = transport
        self._ended = ended
        self._handed: queue.SimpleQueue[Claimed | _Order] = queue.SimpleQueue()

    @property
    def is_open(self) -> bool:
        return self._transport.is_open

    def waited(self) -> float | None:
        """See `Transport.waited`."""
        return self._transport.waited()

    def give_up(self) -> bool:
        """See `Transport.give_up`."""
        return self._transport.give_up()

    def hand(self, message: Claimed) -> None:
        """Let it send a message."""
        self._handed.put(message)

    def part(self) -> None:
        """Let it end its session; it begins another when it is handed a message."""
        self._handed.put(_Order.PART)

    def end(self) -> None:
        """Let it end altogether."""
        self._handed.put(_Order.END)

    def run(self) -> None:
        while True:
            try:
                message = self._handed.get(timeout=_IDLE)
            except queue.Empty:
                message = _Order.PART
            if isinstance(message, _Order):
                self._transport.close()
                if message is _Order.END:
                    return
                continue
            error: Exception | None = None
            try:
                self._sender.send(message, self._transport)
            except Exception as caught:  # noqa: BLE001 - the worker decides what it means
                error = caught
            self._ended.put(Ended(self, message, error))


class Connections:
    """Those of one worker: it takes an open one before it opens another."""

    def __init__(self, settings: Settings, sender: Sender) -> None:
        self._settings = settings
        self._sender = sender
        self._idle: list[Connection] = []
        self._ended: queue.SimpleQueue[Ended] = queue.SimpleQueue()

    def send(self, message: Claimed) -> Connection:
        """Let a connection send a message."""
        connection = next((one for one in reversed(self._idle) if one.is_open), None)
        if connection is None and self._idle:
            connection = self._idle[-1]
        if connection is None:
            connection = Connection(self._sender, transport_for(self._settings), self._ended)
            connection.start()
        else:
            self._idle.remove(connection)
        connection.hand(message)
        return connection

    def ended(self, timeout: float) -> list[Ended]:
        """The dialogues that have ended, waiting for the first of them for so many seconds."""
        found: list[Ended] = []
        while True:
            try:
                ended = self._ended.get(timeout=timeout) if not found else self._ended.get_nowait()
            except queue.Empty:
                return found
            self._idle.append(ended.connection)
            found.append(ended)

    def opened(self) -> int:
        """How many idle ones are open."""
        return sum(one.is_open for one in self._idle)

    def close(self) -> None:
        """End all; none may be busy."""
        for connection in self._idle:
            connection.end()
        for connection in self._idle:
            connection.join()


def transport_for(settings: Settings) -> Transport:
    """The transport that the settings ask for."""
    if settings.smtp is None:
        return MaildirTransport(settings.mailbox_dir)
    return SmtpTransport(settings.smtp)

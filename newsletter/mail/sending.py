"""Sends one message: it is checked to be still wanted, handed to the relay with no transaction open, and its
result is committed before the connection takes the next.

So of all that can go wrong when the process dies, only one message of each connection is ever in doubt: the
one between the relay's yes and our commit. It is sent again under the same Message-ID, because losing it
would lose a reader (checklist S6).
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import structlog
from flask import Flask
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from newsletter import counted
from newsletter.database import DatabaseNotReady, database_now, first_line, write_transaction
from newsletter.domain.bounce_policy import precise
from newsletter.domain.retry import GIVE_UP_AFTER, Verdict, delay_before
from newsletter.domain.returns import Return, ReturnKind, bounce_key
from newsletter.extensions import db
from newsletter.mail.compose import Composer, Letter
from newsletter.mail.transport import Interrupted, Refused, Transport, Undeliverable, Withdrawn
from newsletter.services import alarms, attempts, spooled
from newsletter.services.deliver import Claimed
from newsletter.services.take_return import MEANT_SOMETHING, Taken, take_return
from newsletter.settings import Settings
from newsletter.spool import Spool

_STORE_PAUSES = (0.2, 0.5, *[1.0] * 60)  # seconds between tries to store a result
_WAY = "smtp"  # how the relay's own refusals reach us

# Stores what became of a message, and tells what was made of what the relay said of its recipient.
_Record = Callable[[Session, datetime], Taken | None]

log = structlog.get_logger()


class Sender:
    """Sends messages for the connections of a worker, each in a thread of its own. `is_refused` is set where
    a reply was about us as a sender, rather than about a recipient."""

    def __init__(self, app: Flask, settings: Settings, composer: Composer) -> None:
        self._app = app
        self._settings = settings
        self._composer = composer
        self._spool = Spool(settings.spool_dir)
        self._random = random.Random()  # noqa: S311 - jitter
        self.is_refused = threading.Event()

    def send(self, message: Claimed, transport: Transport) -> None:
        """Send a message and store its result. Raises what says nothing of the message itself, which is not
        stored then: `RelayDown`, `GivenUp`, `Refused` where we have too many connections, `Interrupted`
        (stored where the message may have left); and errors of the database."""
        began = time.monotonic()
        try:
            letter = self._compose(message)
            transport.send(letter, still_wanted=lambda: self._still_wanted(message))
        except Withdrawn:
            log.info("mail_withdrawn", message=str(message.id))
            counted.mailed(message.kind.value, "withdrawn")
        except Undeliverable as error:
            self._store(message, "failed", self._fail(message, str(error)))
        except Interrupted as error:
            if error.in_doubt:
                self.retry(message, error)
            raise
        except Refused as error:
            if error.of_connections:
                raise
            self.refuse(message, error)
        else:
            log.info(
                "mail_sent", message=str(message.id), kind=message.kind.value, attempt=message.attempts,
                seconds=round(time.monotonic() - began, 3),
            )  # fmt: skip

            def record(session: Session, now: datetime) -> None:
                attempts.record_sent(session, self._settings, now, message)

            self._store(message, "sent", record)

    def retry(self, message: Claimed, error: Interrupted) -> None:
        """Store that the session ended over this message: it is tried again later."""
        self.refuse(message, Refused(451, str(error), said=error.said))

    def refuse(self, message: Claimed, error: Refused) -> None:
        """Store what the relay answered for a message."""
        age = datetime.now(UTC) - message.created_at
        if error.verdict is Verdict.NEVER or age > GIVE_UP_AFTER:
            failed = self._fail(message, str(error))
            self._store(message, "failed", self._and_return(message, error, failed))
            return
        wait = delay_before(message.attempts + 1, self._random)
        log.warning(
            "mail_delayed",
            message=str(message.id),
            reply=str(error).split(" ", 1)[0],  # its text may quote the address
            minutes=round(wait / timedelta(minutes=1)),
        )

        def retry(session: Session, _now: datetime) -> None:
            at = database_now(session) + wait
            attempts.record_retry(session, message, at=at, error=str(error))

        # Refused for our sake, for now: an alarm at once, and the mail again later.
        ours = (error.said or "").startswith("5")
        self._store(message, "delayed", self._and_return(message, error, retry) if ours else retry)
        if ours:
            self.is_refused.set()

    def let_go(self) -> None:
        """Who unsubscribed while the database was away is not mailed when it is back."""
        with self._app.app_context():
            spooled.drain(db.engine, self._settings, self._spool)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A session of its own: Flask-SQLAlchemy's lives as long as the context that is pushed here."""
        with self._app.app_context():
            yield db.session()

    def _compose(self, message: Claimed) -> Letter:
        """One message that cannot be written must not hold up the others."""
        try:
            return self._composer.compose(message, datetime.now(UTC))
        except Exception as error:
            log.exception("mail_not_written", message=str(message.id))
            raise Refused(451, f"cannot be written: {type(error).__name__}") from error

    def _still_wanted(self, message: Claimed) -> bool:
        self.let_go()
        with self.session() as session:
            return attempts.still_wanted(session, message)

    def _store(self, message: Claimed, result: str, record: _Record) -> None:
        """Write what became of a message. What the relay took must not be forgotten because the database is
        away for a moment: it would be sent again."""
        for pause in (*_STORE_PAUSES, None):
            try:
                with self.session() as session, write_transaction(session):
                    taken = record(session, datetime.now(UTC))
                break
            except (SQLAlchemyError, DatabaseNotReady) as error:
                if pause is None:
                    raise
                log.error("result_not_stored", error=first_line(error))
                time.sleep(pause)
        counted.mailed(message.kind.value, result)
        if taken in MEANT_SOMETHING:
            counted.returned(ReturnKind.BOUNCE.value, _WAY)

    def _and_return(self, message: Claimed, error: Refused, record: _Record) -> _Record:
        """What the relay said is a bounce like any that comes back by mail, and the policy is the same."""
        if error.said is None:
            return record
        if error.of_sender:
            return self._and_alarm(error.said, record)
        status = precise(None, error.said)
        ret = Return(
            ReturnKind.BOUNCE, bounce_key(message.id, status), _WAY,
            outbox_id=message.id, address=message.address, status=status, diagnostic=error.said,
        )  # fmt: skip

        def record_both(session: Session, now: datetime) -> Taken:
            record(session, now)
            return take_return(session, self._settings, now, ret)

        return record_both

    def _and_alarm(self, said: str, record: _Record) -> _Record:
        log.error("sender_refused", reply=said[:3], way=_WAY)

        def record_both(session: Session, now: datetime) -> None:
            record(session, now)
            alarms.sound(session, now, alarms.SENDER_REFUSED, said)

        return record_both

    def _fail(self, message: Claimed, error: str) -> _Record:
        log.warning("mail_failed", message=str(message.id), reply=error.split(" ", 1)[0])
        return lambda session, _now: attempts.record_failure(session, message, error=error)

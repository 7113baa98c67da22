"""The worker: sends what is due, keeps its claims alive while it lives, and forgets the unconfirmed.

One message at a time goes through three steps: it is checked to be still wanted, handed to the relay with
no transaction open, and its result is committed before the next. So of all that can go wrong when the
process dies, only one message is ever in doubt: the one between the relay's yes and our commit. It is
sent again under the same Message-ID, because losing it would lose a reader (checklist S6).
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import structlog
from flask import Flask
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from newsletter import counted
from newsletter.database import DatabaseNotReady, database_now, drop_old_pages, first_line, write_transaction
from newsletter.dead_letters import DeadLetters
from newsletter.domain.bounce_policy import precise
from newsletter.domain.retry import GIVE_UP_AFTER, Verdict, delay_before, relay_pause
from newsletter.domain.returns import Return, ReturnKind, bounce_key
from newsletter.extensions import db
from newsletter.mail.compose import Composer, Letter
from newsletter.mail.transport import (
    Refused,
    RelayDown,
    Transport,
    Undeliverable,
    Withdrawn,
    transport_for,
)
from newsletter.models.outbox import Lane
from newsletter.services import alarms, counting, deliver, idempotency, self_service, spooled
from newsletter.services.deliver import Claimed
from newsletter.services.purge import purge
from newsletter.services.take_return import MEANT_SOMETHING, Taken, take_return
from newsletter.settings import Settings
from newsletter.spool import Spool

_LIMITS = {Lane.INTERACTIVE: 50, Lane.TRANSACTIONAL: 10, Lane.BULK: 5}  # claimed at once
_POLL = 0.25  # seconds between looks into an empty outbox: how long a first mail waits at most
_PURGE_EVERY = 600.0  # seconds
_STORE_PAUSES = (0.2, 0.5, *[1.0] * 60)  # seconds between tries to store a result

_WAY = "smtp"  # how the relay's own refusals reach us

# Stores what became of a message, and tells what was made of what the relay said of its recipient.
_Record = Callable[[Session, datetime], Taken | None]

log = structlog.get_logger()


class Worker:
    """Works until `stop` is set; the message in hand is always finished."""

    def __init__(self, app: Flask, settings: Settings, composer: Composer, stop: threading.Event) -> None:
        self._app = app
        self._settings = settings
        self._composer = composer
        self._spool = Spool(settings.spool_dir)
        self._transport: Transport = transport_for(settings)
        self._dead_letters = DeadLetters(settings.dead_letters_dir)
        self._stop = stop
        self._random = random.Random()  # noqa: S311 - jitter
        self._lease_id = uuid4()
        self._relay_failures = 0
        self._purged_at = float("-inf")
        self._busy = threading.Event()

    def run(self, *, once: bool = False) -> None:
        """Send what is due until told to stop; with `once`, until nothing is due any more.

        With `once`, a relay that is down raises `RelayDown`, and a database that is away its error.
        """
        heartbeat = threading.Thread(target=self._keep_claims, name="outbox-heartbeat", daemon=True)
        heartbeat.start()
        try:
            while not self._stop.is_set():
                try:
                    worked = self._round()
                except RelayDown as error:
                    if once:
                        raise
                    self._relay_failures += 1
                    pause = relay_pause(self._relay_failures, self._random)
                    log.error(
                        "relay_down", error=str(error), failures=self._relay_failures, pause=round(pause, 1)
                    )
                    self._stop.wait(pause)
                    continue
                except (SQLAlchemyError, DatabaseNotReady) as error:
                    if once:
                        raise
                    log.error("database_error", error=first_line(error))
                    self._stop.wait(1.0)
                    continue
                if not worked and once:
                    return
                if not worked:
                    self._stop.wait(_POLL)
        finally:
            self._stop.set()
            self._transport.close()
            heartbeat.join()

    def _round(self) -> bool:
        """Forget, claim, send. Returns whether there was anything to send."""
        self._let_go()
        self._purge()
        self._lease_id = uuid4()
        with self._session() as session, write_transaction(session):
            claimed = deliver.claim(
                session, self._settings, database_now(session), lease_id=self._lease_id, limits=_LIMITS
            )
        self._busy.set()
        try:
            for number, message in enumerate(claimed):
                if self._stop.is_set():
                    self._release(claimed[number:])
                    break
                try:
                    self._send(message)
                except RelayDown:
                    self._release(claimed[number:])
                    raise
                self._relay_failures = 0
        finally:
            self._busy.clear()
        return bool(claimed)

    def _send(self, message: Claimed) -> None:
        began = time.monotonic()
        record: _Record
        try:
            letter = self._compose(message)
            self._transport.send(letter, still_wanted=lambda: self._still_wanted(message))
        except Withdrawn:
            log.info("mail_withdrawn", message=str(message.id))
            counted.mailed(message.kind.value, "withdrawn")
            return
        except Undeliverable as error:
            result, record = "failed", self._fail(message, str(error))
        except Refused as error:
            result, record = self._refused(message, error)
        else:
            result = "sent"
            log.info(
                "mail_sent", message=str(message.id), kind=message.kind.value, attempt=message.attempts,
                seconds=round(time.monotonic() - began, 3),
            )  # fmt: skip

            def record(session: Session, now: datetime) -> None:
                deliver.record_sent(session, self._settings, now, message)

        taken = self._store(record)
        counted.mailed(message.kind.value, result)
        if taken in MEANT_SOMETHING:
            counted.returned(ReturnKind.BOUNCE.value, _WAY)

    def _store(self, record: _Record) -> Taken | None:
        """Write what became of a message. What the relay took must not be forgotten because the database is
        away for a moment: it would be sent again."""
        for pause in (*_STORE_PAUSES, None):
            try:
                with self._session() as session, write_transaction(session):
                    return record(session, datetime.now(UTC))
            except (SQLAlchemyError, DatabaseNotReady) as error:
                if pause is None:
                    raise
                log.error("result_not_stored", error=first_line(error))
                time.sleep(pause)
        return None

    def _compose(self, message: Claimed) -> Letter:
        """One message that cannot be written must not hold up the others."""
        try:
            return self._composer.compose(message, datetime.now(UTC))
        except Exception as error:
            log.exception("mail_not_written", message=str(message.id))
            raise Refused(451, f"cannot be written: {type(error).__name__}") from error

    def _refused(self, message: Claimed, error: Refused) -> tuple[str, _Record]:
        """What became of it, in a word, and how that is stored."""
        age = datetime.now(UTC) - message.created_at
        if error.verdict is Verdict.NEVER or age > GIVE_UP_AFTER:
            return "failed", self._and_return(message, error, self._fail(message, str(error)))
        wait = delay_before(message.attempts + 1, self._random)
        log.warning(
            "mail_delayed",
            message=str(message.id),
            reply=_reply(error),
            minutes=round(wait / timedelta(minutes=1)),
        )

        def retry(session: Session, now: datetime) -> None:
            deliver.record_retry(session, message, at=now + wait, error=str(error))

        # Refused for our sake, for now: an alarm at once, and the mail again later.
        ours = (error.said or "").startswith("5")
        return "delayed", self._and_return(message, error, retry) if ours else retry

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
        return lambda session, _now: deliver.record_failure(session, message, error=error)

    def _let_go(self) -> None:
        """Who unsubscribed while the database was away is not mailed when it is back."""
        with self._app.app_context():
            spooled.drain(db.engine, self._settings, self._spool)

    def _still_wanted(self, message: Claimed) -> bool:
        self._let_go()
        with self._session() as session:
            return deliver.still_wanted(session, message)

    def _release(self, messages: list[Claimed]) -> None:
        with self._session() as session, write_transaction(session):
            deliver.release(session, database_now(session), messages)

    def _keep_claims(self) -> None:
        """A claim lasts while this process lives, however slow the relay is."""
        while not self._stop.wait(self._settings.outbox_lease.total_seconds() / 3):
            if not self._busy.is_set():
                continue
            try:
                with self._session() as session, write_transaction(session):
                    deliver.extend(session, self._settings, database_now(session), lease_id=self._lease_id)
            except (SQLAlchemyError, DatabaseNotReady) as error:
                log.error("lease_not_extended", error=first_line(error))

    def _purge(self) -> None:
        if time.monotonic() - self._purged_at < _PURGE_EVERY:
            return
        while not self._stop.is_set():
            with self._session() as session, write_transaction(session):
                purged = purge(session, self._settings, datetime.now(UTC))
            if not purged:
                break
            log.info("unconfirmed_purged", subscriptions=purged)
        with self._session() as session, write_transaction(session):
            counting.forget(session, datetime.now(UTC))
            idempotency.forget(session, datetime.now(UTC))
            self_service.forget_changes(session, self._settings, datetime.now(UTC))
        with self._app.app_context():
            drop_old_pages(db.engine)
        self._dead_letters.forget(datetime.now(UTC))
        self._purged_at = time.monotonic()

    @contextmanager
    def _session(self) -> Iterator[Session]:
        """A session of its own: Flask-SQLAlchemy's lives as long as the context that is pushed here."""
        with self._app.app_context():
            yield db.session()


def _reply(error: Refused) -> str:
    """The reply's code: its text may quote the address."""
    return str(error).split(" ", 1)[0]

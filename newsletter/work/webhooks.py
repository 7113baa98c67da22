"""The errand that tells webhooks what is due.

Each webhook has a lane of its own, a thread that sends one message after another on one connection, so that a
slow receiver holds up nobody else. While a receiver is away, its lane rests and what waits for it stays due.
In quiet times messages arrive in their order; none is promised, and `seq` in each tells it."""

from __future__ import annotations

import random
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import structlog
from flask import Flask
from sqlalchemy.orm import Session

from newsletter import counted
from newsletter.database import database_now, write_transaction
from newsletter.domain.retry import relay_pause
from newsletter.domain.webhooks import signature, wait_after
from newsletter.extensions import db
from newsletter.services import notify
from newsletter.services.notify import Claimed
from newsletter.settings import Settings
from newsletter.work.posting import Answer, Line, NoAnswer

_LANES = 16
_LOOK = 0.1  # seconds between looks for work while lanes are busy
_FORGET_EVERY = 3600.0  # seconds
# Answers by which a receiver says that it is away or has too much to do, rather than what it thinks of a
# message.
_AWAY = {429, 502, 503, 504}
_ASKS_FOR_TIME = {429, 503}
_GONE = 410

log = structlog.get_logger()


class TellWebhooks:
    """Sends what is due, several webhooks at once."""

    name = "webhooks"

    def __init__(self, app: Flask, settings: Settings) -> None:
        self._app = app
        self._to_private = settings.webhooks_to_private
        self._random = random.Random()  # noqa: S311 - jitter
        self._tls = ssl.create_default_context()
        self._pool = ThreadPoolExecutor(_LANES, "webhook")
        self._lanes: dict[UUID, Future[None]] = {}
        # Of those that are away: how often in a row they were, and until when they are left alone.
        self._resting: dict[UUID, tuple[int, float]] = {}
        self._forgot_at = float("-inf")

    def work(self, stop: threading.Event) -> bool:
        """Open a lane for each webhook that something is due for. Whether there is any is known again
        soon."""
        self._forget()
        with self._session() as session:
            due = notify.due(session, database_now(session))
        ready = [webhook for webhook in due if webhook not in self._lanes and not self._rests(webhook)]
        # Where there are more than lanes, none comes last every time.
        self._random.shuffle(ready)
        for webhook in ready[: _LANES - len(self._lanes)]:
            self._lanes[webhook] = self._pool.submit(self._tell, webhook, stop)
        return self._wait()

    def _wait(self) -> bool:
        """Wait a little for the lanes that are open; returns whether there are any. Raises what one
        raised."""
        if not self._lanes:
            return False
        ended, _ = wait(self._lanes.values(), timeout=_LOOK, return_when=FIRST_COMPLETED)
        self._lanes = {webhook: lane for webhook, lane in self._lanes.items() if lane not in ended}
        for lane in ended:
            lane.result()
        return True

    def _rests(self, webhook: UUID) -> bool:
        return self._resting.get(webhook, (0, 0.0))[1] > time.monotonic()

    def _tell(self, webhook: UUID, stop: threading.Event) -> None:
        """One lane: send until nothing is due, or the receiver is away."""
        line: Line | None = None
        try:
            message = self._next(webhook)
            while message is not None:
                if stop.is_set():
                    self._release(message)
                    return
                if line is None or line.url != message.url:
                    if line is not None:
                        line.close()
                    line = Line(message.url, self._tls, to_private=self._to_private)
                answer, error = self._send(line, message)
                self._record(message, answer, error)
                if self._rests(webhook):
                    return
                message = self._next(webhook)
        finally:
            if line is not None:
                line.close()

    def _next(self, webhook: UUID) -> Claimed | None:
        with self._session() as session, write_transaction(session):
            return notify.claim(session, database_now(session), webhook, lease_id=uuid4())

    def _send(self, line: Line, message: Claimed) -> tuple[Answer | None, str]:
        now = int(time.time())
        headers = {
            "webhook-id": message.message_id,
            "webhook-timestamp": str(now),
            "webhook-signature": signature(message.secrets, message.message_id, now, message.body),
        }
        try:
            answer = line.post(message.body, headers)
        except NoAnswer as error:
            self._rest(message.webhook_id)
            return None, str(error)
        except Exception as error:
            # It must not come back for ever, nor hold up what waits behind it.
            log.exception("errand_failed", errand=self.name, message=message.message_id)
            return None, f"it could not be sent: {type(error).__name__}"
        if answer.status in _AWAY:
            self._rest(message.webhook_id)
        else:
            self._resting.pop(message.webhook_id, None)
        return answer, f"it answered {answer.status}"

    def _rest(self, webhook: UUID) -> None:
        failures = self._resting.get(webhook, (0, 0.0))[0] + 1
        self._resting[webhook] = (failures, time.monotonic() + relay_pause(failures, self._random))

    def _record(self, message: Claimed, answer: Answer | None, error: str) -> None:
        status = answer.status if answer is not None else None
        again = None if status == _GONE else self._wait_after(message, answer)
        about = {
            "message": message.message_id,
            "webhook": str(message.webhook_id),
            "attempt": message.attempts,
        }
        with self._session() as session, write_transaction(session):
            now = database_now(session)
            if answer is not None and answer.is_yes:
                notify.record_delivered(session, now, message, answer=answer.status)
            elif again is not None:
                notify.record_retry(session, now, message, at=now + again, answer=status, error=error)
            else:
                because = notify.record_failure(session, now, message, answer=status, error=error)
        if answer is not None and answer.is_yes:
            counted.told("delivered")
            log.info("webhook_delivered", type=message.type, **about)
        elif again is not None:
            counted.told("delayed")
            log.info("webhook_delayed", error=error, minutes=round(again / timedelta(minutes=1), 1), **about)
        else:
            counted.told("failed")
            log.warning("webhook_failed", error=error, **about)
            if because is not None:
                log.error("webhook_disabled", webhook=str(message.webhook_id), because=because)

    def _wait_after(self, message: Claimed, answer: Answer | None) -> timedelta | None:
        asked = answer.retry_after if answer is not None and answer.status in _ASKS_FOR_TIME else None
        return wait_after(message.attempts, self._random, asked=asked)

    def _release(self, message: Claimed) -> None:
        with self._session() as session, write_transaction(session):
            notify.release(session, database_now(session), message)

    def _forget(self) -> None:
        if time.monotonic() - self._forgot_at < _FORGET_EVERY:
            return
        forgotten = 1
        while forgotten:
            with self._session() as session, write_transaction(session):
                forgotten = notify.forget_old(session, datetime.now(UTC))
        self._forgot_at = time.monotonic()

    @contextmanager
    def _session(self) -> Iterator[Session]:
        with self._app.app_context():
            yield db.session()

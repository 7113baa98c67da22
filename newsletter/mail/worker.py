"""The worker: claims what is due, lets its connections send it, keeps its claims alive while it lives, and
forgets the unconfirmed.

One thread claims and decides (`schedule`), and each connection sends in a thread of its own (`sending`). No
decision waits for a dialogue: while a relay takes minutes over one message, others are claimed and sent.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID, uuid4

import structlog
from flask import Flask
from sqlalchemy.exc import SQLAlchemyError

from newsletter.database import DatabaseNotReady, database_now, first_line, write_transaction
from newsletter.domain.retry import relay_pause
from newsletter.mail.compose import Composer
from newsletter.mail.connections import Connection, Connections, Ended
from newsletter.mail.housekeeping import Housekeeping
from newsletter.mail.schedule import Schedule
from newsletter.mail.sending import Sender
from newsletter.mail.transport import GivenUp, Interrupted, Refused, RelayDown
from newsletter.models.outbox import Lane
from newsletter.services import attempts, deliver
from newsletter.services.deliver import Claimed
from newsletter.settings import Settings

_POLL = 0.25  # seconds between looks into an empty outbox: how long a first mail waits at most
_AT_ONCE, _AT_ONCE_MOST = 50, 500  # messages of a lane that are claimed at once
# So many sessions that end over their message, one after another, are the relay's doing, not the messages'.
_INTERRUPTED = 3
_MINUTE = 60.0
_MORE_CONNECTIONS_AFTER = 60.0  # seconds after a relay took no more of them

log = structlog.get_logger()


class Worker:
    """Works until `stop` is set; the messages in hand are always finished."""

    def __init__(self, app: Flask, settings: Settings, composer: Composer, stop: threading.Event) -> None:
        self._settings = settings
        self._stop = stop
        self._random = random.Random()  # noqa: S311 - jitter
        self._sender = Sender(app, settings, composer)
        self._housekeeping = Housekeeping(app, settings)
        self._connections = Connections(settings, self._sender)
        self._busy: dict[UUID, Connection] = {}
        # One Maildir, or so many connections; fewer while the relay takes no more.
        self._most = settings.smtp_connections if settings.smtp is not None else 1
        self._allowed = self._most
        self._more_at = float("-inf")
        self._schedule = Schedule(self._most, patient=False, chance=self._random)
        self._lease_id = uuid4()
        self._at_once = _AT_ONCE
        self._more_due: frozenset[Lane] = frozenset()
        self._looked_at = self._extended_at = float("-inf")
        self._relay_failures = self._interrupted = 0
        self._rests_until = float("-inf")

    def run(self, *, once: bool = False) -> None:
        """Send what is due until told to stop; with `once`, until nothing is due any more.

        With `once`, a relay that is down raises `RelayDown`, and a database that is away its error.
        """
        self._schedule = Schedule(self._most, patient=once, chance=self._random)
        try:
            while not self._stop.is_set():
                try:
                    found = self._step(once=once)
                except RelayDown as error:
                    if once:
                        raise
                    self._rest(error)
                except (SQLAlchemyError, DatabaseNotReady) as error:
                    if once:
                        raise
                    log.error("database_error", error=first_line(error))
                    self._stop.wait(1.0)
                else:
                    if once and not found:
                        return
        finally:
            self._finish()

    def _step(self, *, once: bool) -> bool:
        """Claim, hand out, and hear what has ended. Returns whether there is anything left to do."""
        now = time.monotonic()
        looks = now - self._looked_at >= _POLL or self._schedule.is_empty
        if looks:
            self._looked_at = now
            self._sender.let_go()
            while self._housekeeping.work() and once and not self._stop.is_set():
                pass
            self._put_off(self._schedule.surplus(now))
        self._extend(now)
        found = self._claim(now, looks=looks) if now >= self._rests_until else False
        self._hand_out(now)
        for message_id in self._schedule.in_the_way():
            if self._busy[message_id].give_up():
                break
        # Whoever is behind what must wait is looked for at once, and so is the end of a run.
        wanted = self._schedule.limits(at_once=self._at_once)
        hurries = any(wanted[lane] for lane in self._more_due) or (once and not self._schedule.running)
        self._hear(self._connections.ended(0.001 if hurries and now >= self._rests_until else _POLL))
        return found or not looks or not self._schedule.is_empty

    # Claims

    def _claim(self, now: float, *, looks: bool) -> bool:
        """Take what is due where more is wanted; returns whether there was any."""
        probing = self._relay_failures > 0
        wanted = self._schedule.limits(at_once=1 if probing else self._at_once)
        limits = {lane: most for lane, most in wanted.items() if most and (looks or lane in self._more_due)}
        if not limits:
            return False

        def wait(domain: str) -> timedelta | None:
            seconds = self._schedule.wait(domain, now)
            return None if seconds is None else timedelta(seconds=seconds)

        with self._sender.session() as session, write_transaction(session):
            claims = deliver.claim(
                session, self._settings, database_now(session),
                lease_id=self._lease_id, limits=limits, wait=wait,
            )  # fmt: skip
        self._schedule.add(claims.messages)
        self._more_due = (self._more_due - limits.keys()) | claims.more
        # Where most of them were put off, who waits behind them is reached in larger steps.
        asked = sum(limits[lane] for lane in claims.more)
        in_vain = sum(message.lane in claims.more for message in claims.messages) < asked / 2
        self._at_once = min(self._at_once * 4, _AT_ONCE_MOST) if in_vain else _AT_ONCE
        return bool(claims.messages or claims.more)

    def _extend(self, now: float) -> None:
        """A claim lasts while this process lives, however slow the relay is."""
        if now - self._extended_at < self._settings.outbox_lease.total_seconds() / 3:
            return
        self._extended_at = now
        messages = self._schedule.ids()
        if not messages:
            return
        try:
            with self._sender.session() as session, write_transaction(session):
                attempts.extend(
                    session, self._settings, database_now(session), messages, lease_id=self._lease_id
                )
        except (SQLAlchemyError, DatabaseNotReady) as error:
            log.error("lease_not_extended", error=first_line(error))

    def _put_off(self, messages: Sequence[tuple[Claimed, float]]) -> None:
        """Give claims back that were not tried, each to be due in so many seconds."""
        if not messages:
            return
        with self._sender.session() as session, write_transaction(session):
            now = database_now(session)
            attempts.release(
                session, [(message, now + timedelta(seconds=seconds)) for message, seconds in messages]
            )

    def _release(self, *lanes: Lane) -> None:
        """Give back what waits here: it is due at once, for any worker."""
        self._put_off([(message, 0.0) for message in self._schedule.take_out(*lanes)])

    def _try_to_release(self) -> None:
        """As `_release`; where the database is away, the claims end by themselves."""
        try:
            self._release()
        except (SQLAlchemyError, DatabaseNotReady) as error:
            log.error("database_error", error=first_line(error))

    # Dialogues

    def _hand_out(self, now: float) -> None:
        if now < self._rests_until:
            return
        if self._allowed < self._most and now >= self._more_at:
            self._allowed += 1
            self._more_at = now + _MORE_CONNECTIONS_AFTER
        # Whether a relay that was down is back is tried with one message.
        self._schedule.connections = 1 if self._relay_failures else self._allowed
        while (message := self._schedule.next(now)) is not None:
            connection = self._connections.send(message)
            self._busy[message.id] = connection
            self._schedule.begin(message, connection.waited)

    def _hear(self, ended: Sequence[Ended]) -> None:
        """Take note of dialogues that have ended. Raises `RelayDown` where the relay is to be left alone, and
        errors of the database."""
        fault: Exception | None = None
        now = time.monotonic()
        for one in ended:
            del self._busy[one.message.id]
            waited = one.connection.waited()
            try:
                self._judge(one, waited, now)
            except Exception as error:  # noqa: BLE001 - raised when all were heard
                fault = error
        if self._sender.is_refused.is_set():
            # What goes to many is claimed anew, and put off where that stops the run (checklist B3).
            self._sender.is_refused.clear()
            self._release(Lane.BULK)
        if fault is not None:
            raise fault

    def _judge(self, ended: Ended, waited: float | None, now: float) -> None:
        message, error = ended.message, ended.error
        others = len(self._busy) + self._connections.opened() - ended.connection.is_open
        if isinstance(error, RelayDown) and others:
            self._take_fewer(others, now, error)
            self._schedule.put_back(message)
            return
        if isinstance(error, Refused) and others:
            ended.connection.part()
            self._take_fewer(others, now, error)
            self._schedule.put_back(message)
            return
        self._schedule.end(message, waited, now)
        if error is None:
            self._relay_failures = self._interrupted = 0
        elif isinstance(error, RelayDown):
            self._put_off([(message, 0.0)])
            raise error
        elif isinstance(error, GivenUp):
            log.info("mail_given_way", message=str(message.id), seconds=round(waited or 0.0, 1))
            self._put_off([(message, self._schedule.turn_of(message.domain, now))])
        elif isinstance(error, Refused):
            self._sender.refuse(message, error)
        elif isinstance(error, Interrupted):
            self._judge_interrupted(message, error)
        else:
            raise error

    def _judge_interrupted(self, message: Claimed, error: Interrupted) -> None:
        self._interrupted += 1
        is_relays = self._interrupted > _INTERRUPTED
        if not error.in_doubt and (error.of_session or is_relays):
            # It loses no attempt. Not at once, in case it is the message all the same.
            self._put_off([(message, _MINUTE * self._random.uniform(0.8, 1.2))])
        elif not error.in_doubt:
            self._sender.retry(message, error)
        if is_relays:
            raise RelayDown(str(error)) from error

    def _take_fewer(self, connections: int, now: float, error: Exception) -> None:
        """The relay takes no more connections than these."""
        self._allowed = max(1, min(self._allowed, connections))
        self._more_at = now + _MORE_CONNECTIONS_AFTER
        log.warning("fewer_connections", connections=self._allowed, error=str(error))

    def _rest(self, error: RelayDown) -> None:
        """Leave the relay alone for a while; all that was not tried waits in the outbox."""
        self._relay_failures += 1
        self._allowed = self._most
        pause = relay_pause(self._relay_failures, self._random)
        self._rests_until = time.monotonic() + pause
        log.error("relay_down", error=str(error), failures=self._relay_failures, pause=round(pause, 1))
        self._try_to_release()

    def _finish(self) -> None:
        """Finish the messages in hand, give back the others and part politely."""
        self._try_to_release()
        while self._busy:
            self._extend(time.monotonic())
            try:
                self._hear(self._connections.ended(_POLL))
            except RelayDown as error:
                log.error("relay_down", error=str(error))
            except (SQLAlchemyError, DatabaseNotReady) as error:
                log.error("database_error", error=first_line(error))
            self._try_to_release()
        self._connections.close()

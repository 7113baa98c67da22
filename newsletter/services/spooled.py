"""What one click asks for while the database is away: kept in the spool, and done when it is back. It ends a
subscription, or stops a change of address.

A record may be applied twice, where the worker died in between, and long after it was made. Both are
harmless: who has left already leaves once, and who came back after pressing the button stays; a change that
was made since stays, too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from uuid import UUID

import structlog
from sqlalchemy import Engine, and_, func, or_, select
from sqlalchemy.exc import DataError, IntegrityError
from sqlalchemy.orm import Session

from newsletter.database import UtcDateTime, table_of, write_transaction
from newsletter.domain.lifecycle import Event, State
from newsletter.models import ConsentEvent
from newsletter.queries import Query, among
from newsletter.services import subscriptions
from newsletter.services.evidence import Seen
from newsletter.services.self_service import Press, stop_change
from newsletter.services.unsubscribe import Leave, unsubscribe
from newsletter.settings import Settings
from newsletter.spool import Record, Spool

_LEAVE, _STOP = "unsubscribe", "stop"

log = structlog.get_logger()


def keep(spool: Spool, leave: Leave) -> None:
    """Keep what was asked at a moment until the database is back. Raises `newsletter.spool.CannotKeep`."""
    spool.keep(
        {"kind": _LEAVE, "subscription": leave.subscription_id.hex, "seen": asdict(leave.seen)},
        at=_pressed(leave),
    )


def keep_stop(spool: Spool, now: datetime, press: Press) -> None:
    """The same for who stops a change of address."""
    spool.keep({"kind": _STOP, "change": press.change_id.hex, "seen": asdict(press.seen)}, at=now)


def drain(engine: Engine, settings: Settings, spool: Spool) -> int:
    """Do what the spool holds; returns how much that was. It commits, because a record may be removed only
    after that."""

    def apply(records: Sequence[Record]) -> list[Record]:
        asked = {record.name: _asked(record) for record in records}
        strange = [record for record in records if asked[record.name] is None]
        leaves = [one for one in asked.values() if isinstance(one, Leave)]
        stops = [one for one in asked.values() if isinstance(one, Press)]
        try:
            with Session(engine) as session, write_transaction(session):
                stop_change(session, settings, datetime.now(UTC), stops)
                _apply(session, settings, leaves)
        except (DataError, IntegrityError):
            if len(records) == 1:
                return list(records)
            return [refused for record in records for refused in apply([record])]
        return strange

    try:
        return 0 if spool.is_empty() else spool.drain(apply)
    except OSError as error:
        log.error("spool_not_read", error=str(error))
        return 0


def _asked(record: Record) -> Leave | Press | None:
    """What a record asks for; None for one that is nothing of ours."""
    told = record.what
    try:
        if told["kind"] == _LEAVE:
            return Leave(UUID(told["subscription"]), Seen(**told["seen"]), at=record.at)
        if told["kind"] == _STOP:
            return Press(UUID(told["change"]), Seen(**told["seen"]))
    except (KeyError, ValueError, TypeError):
        pass
    return None


def _apply(session: Session, settings: Settings, leaves: Sequence[Leave]) -> None:
    ids = {leave.subscription_id for leave in leaves}
    # Locked first: whether they came back does not change any more.
    there = subscriptions.lock(session, ids)
    for unknown in sorted(ids - there.keys()):
        log.info("spooled_unsubscribe_unknown", subscription=str(unknown))
    back = {row.subscription_id: row.at for row in _CAME_BACK.rows(session, ids=list(there))}
    due = [
        leave
        for leave in sorted(leaves, key=_pressed)
        if leave.subscription_id in there and not _came_back_after(leave, back)
    ]
    unsubscribe(session, settings, datetime.now(UTC), due)


def _pressed(leave: Leave) -> datetime:
    assert leave.at is not None
    return leave.at


def _came_back_after(leave: Leave, back: dict[UUID, datetime]) -> bool:
    return leave.subscription_id in back and back[leave.subscription_id] > _pressed(leave)


_EVENTS = table_of(ConsentEvent)
# When they last began anew. A confirmation is no beginning: its link dies by unsubscribing.
_CAME_BACK = Query(
    select(
        _EVENTS.c.subscription_id,
        func.max(_EVENTS.c.at, type_=UtcDateTime()).label("at"),
    )
    .where(
        among(_EVENTS.c.subscription_id, "ids"),
        or_(
            and_(_EVENTS.c.kind == Event.SIGN_UP.value, _EVENTS.c.after == State.PENDING.value),
            and_(
                _EVENTS.c.before == State.UNSUBSCRIBED.value,
                or_(_EVENTS.c.after == State.PENDING.value, _EVENTS.c.after == State.CONFIRMED.value),
            ),
        ),
    )
    .group_by(_EVENTS.c.subscription_id)
)

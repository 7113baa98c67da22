"""Alarms: what only an operator can put right, such as receivers that refuse us as a sender (checklist B3).

One row a kind. An alarm ends by itself when it has not been seen for a day; while many mails are refused,
what goes to many, an import's confirmations and reminders, is held (newsletter.services.deliver).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import bindparam, select, text
from sqlalchemy.orm import Session

from newsletter.database import table_of
from newsletter.models import Alarm

SENDER_REFUSED = "sender_refused"
OVER_AFTER = timedelta(days=1)
# So many mails refused, the last of them not longer ago, stop a run.
STOPS_AT = 3
HOLD = timedelta(hours=1)


@dataclass(frozen=True)
class Standing:
    """An alarm that is not over."""

    kind: str
    since: datetime
    last_at: datetime
    number: int
    detail: str

    def stops_runs(self, now: datetime) -> bool:
        """Whether mail to many must wait, so as not to be refused as well and make it worse."""
        return self.number >= STOPS_AT and now - self.last_at < HOLD


def sound(session: Session, now: datetime, kind: str, detail: str) -> None:
    """Raise an alarm, or keep it up. `detail` is shown to operators without the addresses in it."""
    session.execute(
        _SOUND,
        {"kind": kind, "now": now, "over": now - OVER_AFTER, "detail": _without_addresses(detail)},
    )


def standing(session: Session, now: datetime, kind: str = SENDER_REFUSED) -> Standing | None:
    """The alarm of a kind, while it is not over."""
    row = session.execute(select(_ALARMS).where(_ALARMS.c.kind == kind)).one_or_none()
    if row is None or now - row.last_at > OVER_AFTER:
        return None
    return Standing(row.kind, row.since, row.last_at, row.number, row.detail)


def _without_addresses(said: str) -> str:
    return re.sub(r"\S*@\S*", "(address)", " ".join(said.split()))[:300]


_ALARMS = table_of(Alarm)
_MOMENT = _ALARMS.c.last_at.type
# One statement, because several may raise the same alarm at once.
_SOUND = text("""
    INSERT INTO alarms (kind, since, last_at, number, detail) VALUES (:kind, :now, :now, 1, :detail)
    ON CONFLICT (kind) DO UPDATE SET
        since = CASE WHEN alarms.last_at < :over THEN excluded.since ELSE alarms.since END,
        number = CASE WHEN alarms.last_at < :over THEN 1 ELSE alarms.number + 1 END,
        last_at = excluded.last_at,
        detail = excluded.detail
""").bindparams(bindparam("now", type_=_MOMENT), bindparam("over", type_=_MOMENT))

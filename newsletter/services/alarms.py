"""Alarms: what only an operator can put right, such as receivers that refuse us as a sender (checklist B3).

One row a kind. An alarm ends by itself when it has not been seen for a day; while many mails are refused,
the run of confirmations that an import has caused is held (newsletter.services.deliver).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import insert, select, update
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
    detail = _without_addresses(detail)
    row = session.execute(select(_ALARMS).where(_ALARMS.c.kind == kind).with_for_update()).one_or_none()
    if row is None:
        session.execute(insert(_ALARMS).values(kind=kind, since=now, last_at=now, number=1, detail=detail))
        return
    over = now - row.last_at > OVER_AFTER
    session.execute(
        update(_ALARMS)
        .where(_ALARMS.c.kind == kind)
        .values(
            since=now if over else row.since,
            last_at=now,
            number=1 if over else row.number + 1,
            detail=detail,
        )
    )


def standing(session: Session, now: datetime, kind: str = SENDER_REFUSED) -> Standing | None:
    """The alarm of a kind, while it is not over."""
    row = session.execute(select(_ALARMS).where(_ALARMS.c.kind == kind)).one_or_none()
    if row is None or now - row.last_at > OVER_AFTER:
        return None
    return Standing(row.kind, row.since, row.last_at, row.number, row.detail)


def _without_addresses(text: str) -> str:
    return re.sub(r"\S*@\S*", "(address)", " ".join(text.split()))[:300]


_ALARMS = table_of(Alarm)

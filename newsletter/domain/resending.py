"""How often one address may be mailed for sign-ups to one list (checklist D9).

Anybody can type anybody's address; these bounds keep the form from becoming a weapon.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

COOL_DOWN = timedelta(minutes=10)
# At most this many in each of these spans.
BUDGETS = ((3, timedelta(days=1)), (5, timedelta(days=30)))
MEMORY = max(span for _, span in BUDGETS)


def earliest_next(mailed: Sequence[datetime], *, consented_at: datetime | None) -> datetime | None:
    """When the next mail may be made, or None where there is nothing to wait for.

    `mailed` holds when earlier ones were made, in any order. The cool-down starts anew after
    `consented_at`: who pressed the button in the last mail reads that mailbox, and wants to
    hear from us. The budgets hold regardless.
    """
    newest_first = sorted(mailed, reverse=True)
    waits = [sent + COOL_DOWN for sent in newest_first[:1] if consented_at is None or sent > consented_at]
    waits += [newest_first[most - 1] + span for most, span in BUDGETS if len(newest_first) >= most]
    return max(waits, default=None)


def may_mail(mailed: Sequence[datetime], *, now: datetime, consented_at: datetime | None) -> bool:
    """Whether a mail may be made at `now`."""
    earliest = earliest_next(mailed, consented_at=consented_at)
    return earliest is None or earliest <= now

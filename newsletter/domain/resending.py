"""How often one address may be mailed for sign-ups, to one list and over all lists (checklist A1, D9).

Anybody can type anybody's address; these bounds keep the form from becoming a weapon.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

COOL_DOWN = timedelta(minutes=10)
# At most this many in each of these spans.
BUDGETS = ((3, timedelta(days=1)), (5, timedelta(days=30)))
# The same over all lists together: enough for who signs up for many, too little to bury anybody.
BUDGETS_OVER_ALL = ((10, timedelta(days=1)), (20, timedelta(days=30)))
MEMORY = max(span for _, span in BUDGETS + BUDGETS_OVER_ALL)


def earliest_next(mailed: Sequence[datetime], *, consented_at: datetime | None) -> datetime | None:
    """When the next mail may be made, or None where there is nothing to wait for.

    `mailed` holds when earlier ones were made, in any order. The cool-down starts anew after
    `consented_at`: who pressed the button in the last mail reads that mailbox, and wants to
    hear from us. The budgets hold regardless.
    """
    newest_first = sorted(mailed, reverse=True)
    waits = [sent + COOL_DOWN for sent in newest_first[:1] if consented_at is None or sent > consented_at]
    return max(waits + _ends(newest_first, BUDGETS), default=None)


def earliest_over_all(mailed: Sequence[datetime]) -> datetime | None:
    """When the next mail may be made to a person who was `mailed` for any list, None for at once."""
    return max(_ends(sorted(mailed, reverse=True), BUDGETS_OVER_ALL), default=None)


def _ends(newest_first: Sequence[datetime], budgets: Sequence[tuple[int, timedelta]]) -> list[datetime]:
    """When each budget that is used up has room again."""
    return [newest_first[most - 1] + span for most, span in budgets if len(newest_first) >= most]


def may_mail(mailed: Sequence[datetime], *, now: datetime, consented_at: datetime | None) -> bool:
    """Whether a mail may be made at `now`."""
    earliest = earliest_next(mailed, consented_at=consented_at)
    return earliest is None or earliest <= now

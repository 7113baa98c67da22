"""How lists grow: counted by day as the journal is numbered (newsletter.services.journal), so that a year of
a million subscribers is read in a moment."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from newsletter.database import table_of
from newsletter.domain.lifecycle import Event, State
from newsletter.models import Tally


class Span(StrEnum):
    """How far back is looked."""

    DAYS = "days"
    WEEKS = "weeks"
    MONTHS = "months"


@dataclass(frozen=True)
class Stretch:
    """A day, a week or a month (UTC): who came and who went. `begins` is its first day; `confirmed` is how
    many got the newsletter at its end."""

    begins: date
    sign_ups: int  # of people who were not asked already
    confirmations: int
    imported: int
    left: int
    net: int  # those confirmed, more or less than before
    confirmed: int

    @property
    def joined(self) -> int:
        """All that came to get the newsletter."""
        return self.net + self.left


@dataclass(frozen=True)
class Growth:
    """How a list grew over a span, stretch by stretch, and over all of it. `states` is how it stands now."""

    span: Span
    stretches: tuple[Stretch, ...]
    states: Mapping[State, int]

    @property
    def sign_ups(self) -> int:
        return sum(stretch.sign_ups for stretch in self.stretches)

    @property
    def confirmations(self) -> int:
        return sum(stretch.confirmations for stretch in self.stretches)

    @property
    def left(self) -> int:
        return sum(stretch.left for stretch in self.stretches)

    @property
    def net(self) -> int:
        return sum(stretch.net for stretch in self.stretches)

    @property
    def rate(self) -> float | None:
        """The share of sign-ups that were confirmed. At most 1: some were made before the span began."""
        return min(self.confirmations / self.sign_ups, 1.0) if self.sign_ups else None


@dataclass
class _Moved:
    """What happened in one stretch, while it is counted."""

    sign_ups: int = 0
    confirmations: int = 0
    imported: int = 0
    left: int = 0
    net: int = 0

    def add(self, kind: str, before: str, after: str, number: int) -> None:
        came = after == State.CONFIRMED != before
        went = before == State.CONFIRMED != after
        self.net += number * (came - went)
        self.left += number * went
        self.sign_ups += number * (kind == Event.SIGN_UP and after == State.PENDING != before)
        self.confirmations += number * (kind == Event.CONFIRM and came)
        self.imported += number * (kind == Event.IMPORT and came)


def growth(session: Session, list_ids: Collection[UUID], now: datetime, span: Span) -> dict[UUID, Growth]:
    """The last 30 days, 12 weeks or 12 months of each list, today's included, as far as the journal is
    counted."""
    days = list(_beginnings(now.astimezone(UTC).date(), span))
    moved: dict[tuple[UUID, str], _Moved] = defaultdict(_Moved)
    # Months are added up by the database. A week is no part of a date's text, so its days come one by one.
    part: ColumnElement[str] = func.substr(_TALLIES.c.day, 1, 7 if span is Span.MONTHS else 10)
    starts = [_name(day, span) for day in days]
    for row in _sums(session, list_ids, part, _TALLIES.c.day >= days[0].isoformat()):
        start = max((name for name in starts if name <= row.part), default=starts[0])
        moved[row.list_id, start].add(row.kind, row.before, row.after, int(row.number))
    return {
        list_id: Growth(
            span,
            tuple(
                _stretches(states[State.CONFIRMED], [(day, moved[list_id, _name(day, span)]) for day in days])
            ),
            states,
        )
        for list_id, states in states_of(session, list_ids).items()
    }


def states_of(session: Session, list_ids: Collection[UUID]) -> dict[UUID, dict[State, int]]:
    """How many subscriptions each list has in each state, as far as the journal is counted."""
    found = {list_id: dict.fromkeys(State, 0) for list_id in list_ids}
    rows = session.connection().execute(
        select(
            _TALLIES.c.list_id,
            _TALLIES.c.before,
            _TALLIES.c.after,
            func.sum(_TALLIES.c.number).label("number"),
        )
        .where(_TALLIES.c.list_id.in_(list(list_ids)), _TALLIES.c.before != _TALLIES.c.after)
        .group_by(_TALLIES.c.list_id, _TALLIES.c.before, _TALLIES.c.after)
    )
    for row in rows:
        if row.before:
            found[row.list_id][State(row.before)] -= int(row.number)
        if row.after:
            found[row.list_id][State(row.after)] += int(row.number)
    return found


def _sums(
    session: Session, list_ids: Collection[UUID], part: ColumnElement[str], since: ColumnElement[bool]
) -> Iterator[Any]:
    named = part.label("part")
    yield from session.connection().execute(
        select(
            _TALLIES.c.list_id,
            named,
            _TALLIES.c.kind,
            _TALLIES.c.before,
            _TALLIES.c.after,
            func.sum(_TALLIES.c.number).label("number"),
        )
        .where(_TALLIES.c.list_id.in_(list(list_ids)), since)
        .group_by(_TALLIES.c.list_id, named, _TALLIES.c.kind, _TALLIES.c.before, _TALLIES.c.after)
    )


def _stretches(confirmed: int, moved: list[tuple[date, _Moved]]) -> Iterator[Stretch]:
    confirmed -= sum(part.net for _, part in moved)
    for day, part in moved:
        confirmed += part.net
        yield Stretch(day, part.sign_ups, part.confirmations, part.imported, part.left, part.net, confirmed)


def _beginnings(today: date, span: Span) -> Iterator[date]:
    """The first day of each stretch, the oldest first."""
    match span:
        case Span.DAYS:
            yield from (today - timedelta(days=back) for back in reversed(range(30)))
        case Span.WEEKS:
            monday = today - timedelta(days=today.weekday())
            yield from (monday - timedelta(weeks=back) for back in reversed(range(12)))
        case Span.MONTHS:
            months = today.year * 12 + today.month - 1
            yield from (
                date((months - back) // 12, (months - back) % 12 + 1, 1) for back in reversed(range(12))
            )


def _name(day: date, span: Span) -> str:
    """The beginning of a stretch as it is compared with what the database gives."""
    return day.isoformat()[: 7 if span is Span.MONTHS else 10]


_TALLIES = table_of(Tally)

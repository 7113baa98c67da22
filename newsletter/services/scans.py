"""The scanner ledger: how often links were looked at, by whom, and how soon after the mail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from newsletter.database import table_of
from newsletter.domain.scanners import Delay, Door, Effect, Kind, Look
from newsletter.models import Scan
from newsletter.queries import Query, insert_or_add

DAYS = 30


@dataclass(frozen=True)
class Row:
    """How often a door was looked at in one way, by how soon that was."""

    door: Door
    kind: Kind
    by_delay: dict[Delay, int]

    @property
    def number(self) -> int:
        return sum(self.by_delay.values())


@dataclass(frozen=True)
class Ledger:
    """The last days. `false` is how often a machine would have done what only a button may."""

    rows: tuple[Row, ...]
    looks: int
    by_machines: int
    false: dict[Door, int]


def add(session: Session, looks: Mapping[tuple[date, Look], int]) -> None:
    """Add what was counted of each day, in an order in which no two transactions wait for each other."""
    rows = [
        {
            "day": day.isoformat(),
            "door": look.door.value,
            "kind": look.kind.value,
            "delay": look.delay.value,
            "effect": look.effect.value,
            "number": number,
        }
        for (day, look), number in looks.items()
    ]
    _ADD.run(session, sorted(rows, key=lambda row: tuple(str(value) for value in row.values())))


def ledger(session: Session, now: datetime) -> Ledger:
    """The last 30 days, today's included."""
    first = now.astimezone(UTC).date() - timedelta(days=DAYS - 1)
    found: Counter[Look] = Counter()
    for door, kind, delay, effect, number in session.connection().execute(
        select(_SCANS.c.door, _SCANS.c.kind, _SCANS.c.delay, _SCANS.c.effect, func.sum(_SCANS.c.number))
        .where(_SCANS.c.day >= first.isoformat())
        .group_by(_SCANS.c.door, _SCANS.c.kind, _SCANS.c.delay, _SCANS.c.effect)
    ):
        found[Look(Door(door), Kind(kind), Delay(delay), Effect(effect))] += int(number)
    cells: Counter[tuple[Door, Kind, Delay]] = Counter()
    for look, number in found.items():
        cells[look.door, look.kind, look.delay] += number
    rows = (
        Row(door, kind, {delay: cells[door, kind, delay] for delay in Delay})
        for door in Door
        for kind in Kind
    )
    return Ledger(
        tuple(row for row in rows if row.number),
        looks=found.total(),
        by_machines=sum(number for look, number in found.items() if look.is_machine),
        false={
            door: sum(number for look, number in found.items() if look.would_be_false and look.door is door)
            for door in Door
        },
    )


_SCANS = table_of(Scan)
_ADD = Query(insert_or_add(_SCANS, "number"), columns=("day", "door", "kind", "delay", "effect", "number"))

"""How lists grow, day by day, week by week, month by month: as the events tell it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from newsletter.domain.lifecycle import State
from newsletter.services import overview
from newsletter.services.overview import Growth, Span
from tests.support.acting import reading, the_list
from tests.support.people import Person, add_people
from tests.support.service import Service

NOON = datetime(2026, 5, 14, 12, tzinfo=UTC)  # a Thursday


def grown(service: Service, span: Span) -> Growth:
    service.work()
    daily = the_list(service).id
    return reading(service, lambda session: overview.growth(session, [daily], NOON, span)[daily])


def test_days_tell_who_came_and_who_went(service: Service) -> None:
    add_people(
        service,
        [
            Person("ann@example.org", at=NOON - timedelta(days=40)),
            Person("bob@example.org", at=NOON - timedelta(days=2)),
            Person("cem@example.org", at=NOON - timedelta(days=2), state=State.UNSUBSCRIBED),
            Person("dot@example.org", at=NOON - timedelta(hours=1), state=State.PENDING),
        ],
    )
    growth = grown(service, Span.DAYS)

    assert len(growth.stretches) == 30
    told = {
        day.begins.day: (day.sign_ups, day.confirmations, day.left, day.net, day.confirmed)
        for day in growth.stretches[-3:]
    }
    assert told == {12: (2, 2, 0, 2, 3), 13: (0, 0, 1, -1, 2), 14: (1, 0, 0, 0, 2)}
    assert growth.stretches[0].confirmed == 1
    assert (growth.sign_ups, growth.confirmations, growth.left, growth.net) == (3, 2, 1, 1)
    assert growth.rate == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("span", "first", "last", "number"),
    [
        (Span.DAYS, date(2026, 4, 15), date(2026, 5, 14), 30),
        (Span.WEEKS, date(2026, 2, 23), date(2026, 5, 11), 12),
        (Span.MONTHS, date(2025, 6, 1), date(2026, 5, 1), 12),
    ],
)
def test_every_span_adds_up_to_the_same(
    service: Service, span: Span, first: date, last: date, number: int
) -> None:
    add_people(
        service,
        [
            Person(f"reader{back}@example.org", at=NOON - timedelta(days=back), state=State.UNSUBSCRIBED)
            for back in range(1, 400)
        ],
    )
    growth = grown(service, span)

    assert (growth.stretches[0].begins, growth.stretches[-1].begins) == (first, last)
    assert len(growth.stretches) == number
    since = datetime(first.year, first.month, first.day, tzinfo=UTC)
    assert growth.sign_ups == sum(NOON - timedelta(days=back) >= since for back in range(1, 400))
    assert growth.stretches[-1].confirmed == 0
    before = growth.stretches[0].confirmed - growth.stretches[0].net
    assert before + growth.net == 0


def test_a_list_without_subscribers_has_nothing_to_tell(service: Service) -> None:
    growth = grown(service, Span.MONTHS)

    assert growth.rate is None
    assert {(part.sign_ups, part.net, part.confirmed) for part in growth.stretches} == {(0, 0, 0)}


def test_many_lists_are_read_at_once(service: Service) -> None:
    service.command("lists", "add", "sport", "--name", "Sport")
    add_people(service, [Person("ann@example.org", at=NOON - timedelta(days=1))])
    add_people(service, [Person("bob@example.org", at=NOON, state=State.PENDING)], slug="sport")
    service.work()
    daily, sport = the_list(service).id, the_list(service, "sport").id

    growth = reading(service, lambda session: overview.growth(session, [daily, sport], NOON, Span.DAYS))

    assert (growth[daily].net, growth[sport].net, growth[sport].sign_ups) == (1, 0, 1)
    assert growth[daily].states[State.CONFIRMED] == 1
    assert growth[sport].states == dict.fromkeys(State, 0) | {State.PENDING: 1}

"""Which message goes next: lanes, domains and shares of the connections."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

from newsletter.mail.schedule import SLOW, Schedule
from newsletter.models.outbox import Lane

_INTERACTIVE, _TRANSACTIONAL, _BULK = Lane


def _mail(domain: str, lane: Lane = _INTERACTIVE) -> Any:
    return SimpleNamespace(id=uuid4(), domain=domain, lane=lane)


def _schedule(connections: int = 8, *, patient: bool = False) -> Schedule:
    return Schedule(connections, patient=patient, chance=random.Random(1))


def _known(schedule: Schedule, domain: str, seconds: float = 0.01, now: float = 0.0) -> None:
    """Let a domain have answered."""
    mail = _mail(domain)
    schedule.begin(mail, lambda: None)
    schedule.end(mail, seconds, now)


def _start(schedule: Schedule, clock: Callable[[], float] = lambda: 0.0) -> list[Any]:
    """Begin all that may run; `clock` tells how long each of them has waited."""
    begun = []
    while (mail := schedule.next(0.0)) is not None:
        schedule.begin(mail, clock)
        begun.append(mail)
    return begun


def _domains(mails: list[Any]) -> Counter[str]:
    return Counter(mail.domain for mail in mails)


def test_what_a_visitor_waits_for_is_next_whatever_waits_besides() -> None:
    schedule = _schedule()
    _known(schedule, "bulk.example")
    schedule.add([_mail("bulk.example", _BULK) for _ in range(50)])
    running = _start(schedule)
    fresh = _mail("new.example")
    schedule.add([fresh])

    assert len(running) == 6  # two connections are kept
    assert _start(schedule) == [fresh]


@pytest.mark.parametrize("connections", [1, 2, 3, 4, 8, 50])
def test_no_lane_waits_for_ever_and_the_first_gets_most(connections: int) -> None:
    schedule = _schedule(connections)
    for lane in Lane:
        _known(schedule, f"{lane.name}.example")
        schedule.add([_mail(f"{lane.name}.example", lane) for _ in range(100)])
    went: list[Lane] = []
    for _ in range(100):
        mail = schedule.next(0.0)
        assert mail is not None
        schedule.begin(mail, lambda: None)
        schedule.end(mail, 0.01, 0.0)
        went.append(mail.lane)

    assert Counter(went) == {_INTERACTIVE: 80, _TRANSACTIONAL: 10, _BULK: 10}


def test_a_domain_has_one_connection_until_it_has_answered_and_never_all() -> None:
    schedule = _schedule()
    schedule.add([_mail("one.example") for _ in range(20)])
    (first,) = _start(schedule)
    schedule.end(first, 0.01, 0.0)

    assert len(_start(schedule)) == 6


def test_a_slow_domain_has_one_connection_and_all_of_them_have_half() -> None:
    schedule = _schedule()
    for number in range(8):
        _known(schedule, f"slow{number}.example", seconds=30.0)
        schedule.add([_mail(f"slow{number}.example") for _ in range(2)])

    assert _domains(_start(schedule)) == {f"slow{number}.example": 1 for number in range(4)}


def test_a_domain_is_slow_as_soon_as_a_dialogue_takes_long_and_quick_again_by_its_answers() -> None:
    schedule = _schedule()
    _known(schedule, "mail.example")
    schedule.add([_mail("mail.example") for _ in range(30)])
    waited = [0.0]
    running = _start(schedule, lambda: waited[0])
    assert len(running) == 6
    waited[0] = SLOW
    assert schedule.next(0.0) is None
    assert len(schedule.surplus(1.0)) == 22  # all but the two that may wait here
    for mail in running:
        schedule.end(mail, SLOW, 1.0)
    assert len(_start(schedule)) == 1

    for _ in range(3):
        _known(schedule, "mail.example")
    schedule.add([_mail("mail.example") for _ in range(30)])
    assert len(_start(schedule)) == 5  # beside the one that runs


def test_domains_that_have_not_answered_yet_leave_connections_to_those_that_have() -> None:
    schedule = _schedule()
    _known(schedule, "known.example")
    schedule.add([_mail(f"d{number}.example") for number in range(20)])
    assert len(_start(schedule)) == 6
    schedule.add([_mail("known.example") for _ in range(3)])

    assert _domains(_start(schedule)) == {"known.example": 2}


def test_what_is_slow_beyond_its_share_is_given_up_for_what_a_visitor_waits_for() -> None:
    schedule = _schedule()
    schedule.add([_mail(f"d{number}.example") for number in range(6)])
    waited = [0.0]
    running = _start(schedule, lambda: waited[0])
    waited[0] = SLOW
    assert schedule.next(0.0) is None
    assert list(schedule.in_the_way()) == []
    schedule.add([_mail("slow.example", _BULK)])
    assert list(schedule.in_the_way()) == []
    schedule.add([_mail("new.example")])

    assert len(list(schedule.in_the_way())) == 2
    assert set(schedule.in_the_way()) < {mail.id for mail in running}


def test_messages_for_a_slow_domain_are_put_off_one_after_another_but_never_for_long() -> None:
    schedule = _schedule()
    _known(schedule, "slow.example", seconds=30.0)
    waits = [schedule.wait("slow.example", 0.0) for _ in range(100)]

    assert waits[:2] == [None, None]
    assert all(wait is not None and 15 <= wait <= 300 for wait in waits[2:])
    assert schedule.wait("other.example", 0.0) is None


def test_a_run_that_is_to_send_everything_puts_nothing_off() -> None:
    schedule = _schedule(patient=True)
    _known(schedule, "slow.example", seconds=30.0)
    assert {schedule.wait("slow.example", 0.0) for _ in range(100)} == {None}
    schedule.add([_mail("slow.example") for _ in range(100)])

    assert schedule.surplus(0.0) == []
    assert len(_start(schedule)) == 1


def test_whoever_is_behind_mails_that_wait_for_their_domain_is_claimed() -> None:
    schedule = _schedule()
    assert schedule.limits() == dict.fromkeys(Lane, 50)
    schedule.add([_mail("new.example") for _ in range(50)])
    assert schedule.limits()[_INTERACTIVE] == 0
    _start(schedule)
    assert schedule.limits()[_INTERACTIVE] == 50  # the others wait until it has answered
    schedule.add([_mail("new.example") for _ in range(450)])
    assert schedule.limits()[_INTERACTIVE] <= 1  # but not without end


def test_a_message_that_is_claimed_again_while_it_is_here_is_sent_once() -> None:
    schedule = _schedule()
    waiting, running = _mail("a.example"), _mail("b.example")
    schedule.add([running])
    assert _start(schedule) == [running]
    schedule.add([waiting])
    schedule.add([waiting, running])

    assert _start(schedule) == [waiting]


def test_what_a_domain_was_is_forgotten_after_ten_minutes() -> None:
    schedule = _schedule()
    _known(schedule, "slow.example", seconds=30.0)
    assert schedule.next(700.0) is None
    assert {schedule.wait("slow.example", 700.0) for _ in range(5)} == {None}

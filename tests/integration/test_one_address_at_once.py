"""Everything that can happen to one address, at once: to two processes' worth of requests, and to a worker that
imports a file with it and goes on with the ledger meanwhile."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import pairwise
from uuid import UUID

import pytest
from sqlalchemy.exc import OperationalError

from newsletter.domain.lifecycle import IMPORTS, MOVES, Event, State
from newsletter.models import ImportState
from newsletter.services.importing.storing import Storing
from tests.support.evidence import chain, faults
from tests.support.importing import STATED, found, imported, started
from tests.support.people import Person, add_people
from tests.support.service import Service, now

ROUNDS, EACH = 5, 3
Deed = Callable[[Service], int]


@pytest.mark.parametrize("erased", [False, True], ids=["kept", "erased"])
def test_what_comes_at_once_loses_and_doubles_nobody_and_who_left_has_left(
    service: Service, erased: bool
) -> None:
    """Sign-ups, confirmations, unsubscribing, erasing, and an import that says "confirmed" and who answers for it."""
    beside = Service(service.environ, service.sink)  # as another process: with a writer of its own
    emails = [f"ann{number}@example.org" for number in range(ROUNDS)]
    ids = add_people(service, [Person(email, state=State.PENDING) for email in emails])
    for number, (email, subscription) in enumerate(zip(emails, ids, strict=True)):
        _at_once(service, beside, email, _deeds(service, email, subscription, erased=erased), seed=number)
    chain(service)

    assert faults(service, "daily") == []
    held = Counter(service.rows("SELECT p.identity FROM subscribers p"))
    assert set(held.values()) <= {1}
    if erased:
        assert not {row[0] for row in service.rows("SELECT id FROM subscriptions")} & {
            UUID(str(key)) for key in ids
        }
        assert service.events().count("forget") >= ROUNDS
    else:
        assert set(service.states()) == set(emails)
        assert service.events().count("sign_up") == ROUNDS * (EACH + 1)
        assert {UUID(str(row[0])) for row in service.rows("SELECT id FROM subscriptions")} == set(ids)
    # Whoever left was answered, and nothing that was under way then makes them a reader again.
    assert "confirmed" not in service.states().values()
    _check_moves(service)


def _at_once(service: Service, beside: Service, email: str, deeds: list[Deed], *, seed: int) -> None:
    """Do it all at the same time, half of it beside; nothing may fail."""
    import_id = started(service, f"email,state\n{email},confirmed\n", statement=STATED)
    random.Random(seed).shuffle(deeds)
    ready = threading.Barrier(len(deeds) + 1)

    def do(number: int, deed: Deed) -> int:
        ready.wait()
        return deed((service, beside)[number % 2])

    def work() -> None:
        ready.wait()
        # What the worker does after a deadlock: the import waits for the next who takes it.
        with suppress(OperationalError):
            beside.work()

    with ThreadPoolExecutor(len(deeds) + 1) as pool:
        worked = pool.submit(work)
        answers = [pool.submit(do, number, deed) for number, deed in enumerate(deeds)]
        worked.result()
        statuses = {answer.result() for answer in answers}
    service.work()
    # 410: a link that opens nothing any more.
    assert statuses <= {200, 410}
    assert found(service, import_id).state is ImportState.DONE


def _deeds(service: Service, email: str, subscription: UUID, *, erased: bool) -> list[Deed]:
    person = service.one(
        "SELECT subscriber_id FROM subscriptions WHERE id = :id", id=_key(service, subscription)
    )
    links = service.links
    confirm = f"/confirm/{links.confirm_token(subscription, 1, now=now())}"
    leave = f"/unsubscribe/{links.unsubscribe_token(subscription)}"
    page = f"/manage/{links.manage_token(UUID(str(person)), 1, asked=True, now=now())}"
    deeds: list[Deed] = [
        lambda one: one.sign_up(email).status_code,
        lambda one: one.client.post(confirm).status_code,
        lambda one: one.client.post(leave).status_code,
    ]
    if erased:
        deeds.append(lambda one: one.client.post(page, data={"do": "erase", "sure": "yes"}).status_code)
    return deeds * EACH


def _key(service: Service, identifier: UUID) -> object:
    return identifier if service.on_postgresql else identifier.hex


def _check_moves(service: Service) -> None:
    """Each event begins where the one before ended, and is a move of the table."""
    histories: dict[object, list[tuple[str, str | None, str | None]]] = {}
    for key, kind, before, after in service.rows(
        "SELECT subscription_id, kind, before, after FROM consent_events ORDER BY id"
    ):
        histories.setdefault(key, []).append((kind, before, after))
    for history in histories.values():
        for (_, _, ended), (_, began, _) in pairwise(history):
            assert began == ended, history
        for kind, before, after in history:
            state = State(before) if before else None
            if kind == "import":
                assert after in set(IMPORTS[state].values()), history
            elif kind != "forget":
                assert after == MOVES[state, Event(kind)], history
    states = [tuple(row) for row in service.rows("SELECT id, state FROM subscriptions")]
    assert dict(states) == {
        key: history[-1][2] for key, history in histories.items() if history[-1][2] is not None
    }


def test_who_erases_themself_while_an_import_takes_their_row_stays_away(
    make_service: Callable[..., Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its look at who is suppressed and the moment when the row is its own; SQLite has no such moment."""
    service = make_service("postgresql")
    (subscription,) = add_people(service, [Person("ann@example.org")])
    erase = _deeds(service, "ann@example.org", subscription, erased=True)[3]
    insert = Storing._insert_people
    answered: list[int] = []

    def erased_meanwhile(storing: Storing) -> int:
        if not answered:
            answered.append(erase(service))
        return insert(storing)

    monkeypatch.setattr(Storing, "_insert_people", erased_meanwhile)

    imported(service, "email,state\nann@example.org,confirmed\nbob@example.org,confirmed\n", statement=STATED)

    assert answered == [200]
    assert service.states() == {"bob@example.org": "confirmed"}
    assert service.counts()["subscribers"] == 1

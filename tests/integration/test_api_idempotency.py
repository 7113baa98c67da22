"""Calls that create something, sent twice: by a program that did not get its answer, or by two at once."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from newsletter.database import Conflict, table_of, write_transaction
from newsletter.extensions import db
from newsletter.models import IdempotencyKey
from newsletter.services import audit
from newsletter.services.access import COMMAND_LINE
from newsletter.web.api.creating import Made, create
from newsletter.web.api.subscribers import Erased
from tests.support.api import Caller, caller, problem
from tests.support.service import Service

KEY = {"Idempotency-Key": "0b9a7c1e"}
HERE = "/lists/daily/subscriptions"
ANN = {"email": "ann@example.org", "statement": "by letter"}


def kept(service: Service) -> int:
    return int(service.one("SELECT count(*) FROM idempotency_keys"))


def test_the_same_call_is_answered_the_same_and_creates_nothing_again(service: Service) -> None:
    call = caller(service)
    first = call.post("/lists", json={"slug": "sport", "name": "Sport"}, headers=KEY)
    again = call.post("/lists", json={"slug": "sport", "name": "Sport"}, headers=KEY)

    assert (again.status_code, again.data) == (first.status_code, first.data) == (201, first.data)
    assert again.headers["Location"] == first.headers["Location"]
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert service.one("SELECT count(*) FROM mailing_lists WHERE slug = 'sport'") == 1


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        (HERE, {"email": "bob@example.org", "statement": "by letter"}),
        (HERE, {"email": "ann@example.org"}),
        ("/lists", {"slug": "sport", "name": "Sport"}),
    ],
)
def test_another_call_needs_another_key(service: Service, path: str, sent: dict[str, Any]) -> None:
    call = caller(service)
    call.post(HERE, json=ANN, headers=KEY)

    told = problem(call.post(path, json=sent, headers=KEY), 422)

    assert told["code"] == "idempotency_key_reused"
    assert list(told["errors"]) == ["Idempotency-Key"]
    assert service.states() == {"ann@example.org": "confirmed"}


def test_a_key_is_its_tokens_own(service: Service) -> None:
    first = caller(service).post(HERE, json=ANN, headers=KEY)
    other = caller(service).post(HERE, json=ANN, headers=KEY)

    assert (first.status_code, other.status_code) == (201, 200)
    assert kept(service) == 2


def test_where_nothing_was_created_no_key_is_kept(service: Service) -> None:
    call = caller(service)
    refused = call.post("/lists", json={"slug": "daily", "name": "Sport"}, headers=KEY)
    made = call.post("/lists", json={"slug": "sport", "name": "Sport"}, headers=KEY)

    assert (refused.status_code, made.status_code) == (409, 201)


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "ä"])
def test_a_key_that_cannot_be_kept_is_refused(service: Service, key: str) -> None:
    response = caller(service).post(HERE, json=ANN, headers={"Idempotency-Key": key})

    assert list(problem(response, 422)["errors"]) == ["Idempotency-Key"]
    assert service.counts()["subscribers"] == 0


def test_the_same_call_many_times_at_once_creates_once(service: Service) -> None:
    call = caller(service)
    answers = _at_once(call, 12, "/lists", {"slug": "sport", "name": "Sport"})

    assert {status for status, _, _ in answers} == {201}
    assert len({body for _, body, _ in answers}) == 1
    assert Counter(replayed for _, _, replayed in answers) == {None: 1, "true": 11}
    assert service.one("SELECT count(*) FROM audit_events WHERE action = 'list.added'") == 1


def test_the_same_subscription_many_times_at_once_is_added_once(service: Service) -> None:
    answers = _at_once(caller(service), 12, HERE, {"email": "ann@example.org"})

    assert {status for status, _, _ in answers} == {201}
    assert len({body for _, body, _ in answers}) == 1
    assert service.events() == ["sign_up"]
    assert service.counts()["outbox"] == 1


def test_without_a_key_the_same_list_at_once_is_made_once(service: Service) -> None:
    sent = {"slug": "sport", "name": "Sport"}
    answers = _at_once(caller(service), 8, "/lists", sent, headers={})

    assert Counter(status for status, _, _ in answers) == {201: 1, 409: 7}


def _at_once(
    call: Caller, times: int, path: str, sent: dict[str, Any], headers: dict[str, str] = KEY
) -> list[tuple[int, bytes, str | None]]:
    def post(_: int) -> tuple[int, bytes, str | None]:
        response = call.post(path, json=sent, headers=headers)
        return response.status_code, response.data, response.headers.get("Idempotency-Replayed")

    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(post, range(times)))


def test_what_conflicts_with_another_transaction_is_tried_again(service: Service) -> None:
    tries: list[datetime] = []

    def make(session: Session, now: datetime) -> Made:
        tries.append(now)
        audit.record(session, now, COMMAND_LINE, "tried")
        if len(tries) < 3:
            raise Conflict
        return Made({"subscriptions": 1, "wholly": True})

    with service.app.test_request_context("/api/v1/lists", method="POST"):
        response = create(make, Erased)

    assert response.status_code == 201
    assert service.one("SELECT count(*) FROM audit_events WHERE action = 'tried'") == 1


def test_after_a_day_a_key_is_free_again_and_the_worker_removes_it(service: Service) -> None:
    call = caller(service)
    call.post("/lists", json={"slug": "sport", "name": "Sport"}, headers=KEY)
    _age(service, timedelta(hours=23))
    assert call.post("/lists", json={"slug": "arts", "name": "Arts"}, headers=KEY).status_code == 422
    _age(service, timedelta(hours=1))
    assert call.post("/lists", json={"slug": "arts", "name": "Arts"}, headers=KEY).status_code == 201

    service.send_mail()
    assert kept(service) == 1
    _age(service, timedelta(days=1))
    service.send_mail()
    assert kept(service) == 0


def _age(service: Service, by: timedelta) -> None:
    keys = table_of(IdempotencyKey)
    with service.app.app_context(), write_transaction(db.session()):
        for key, then in db.session.execute(select(keys.c.key, keys.c.created_at)).all():
            db.session.execute(update(keys).where(keys.c.key == key).values(created_at=then - by))


def test_of_an_erased_person_no_answer_is_kept(service: Service) -> None:
    call = caller(service)
    added = call.post(HERE, json=ANN, headers=KEY).get_json()
    assert kept(service) == 1

    call.delete(f"/subscribers/{added['subscriber_id']}")

    assert kept(service) == 0

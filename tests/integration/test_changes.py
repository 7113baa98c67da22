"""The change feed: complete, in order, resumable, whatever the writers and the worker do."""

from __future__ import annotations

import json
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import pytest

from newsletter.database import write_transaction
from newsletter.domain.lifecycle import Event, State
from newsletter.extensions import db
from newsletter.services import changes, evidence, lists
from newsletter.services.changes import AheadOfJournal
from newsletter.services.evidence import Seen
from tests.support.service import Service, eventually, now, path


def feed(service: Service, since: int = 0, *, slug: str = "daily", limit: int | None = None) -> list[Any]:
    """The lines of the feed, read as a client reads them."""
    with service.app.app_context():
        text = b"".join(changes.ndjson(db.engine, _list_id(slug), since, limit=limit))
    return [json.loads(line) for line in text.splitlines()]


def _list_id(slug: str) -> UUID:
    found = lists.find(db.session(), slug)
    assert found is not None
    db.session.rollback()
    return found.id


def test_each_change_brings_what_is_held_of_the_subscriber(service: Service) -> None:
    service.confirmed("ann@example.org")
    service.work()

    first, second, last = feed(service)
    assert (first["seq"], first["event"], first["state"]) == (1, "sign_up", "pending")
    assert (second["seq"], second["event"], second["state"]) == (2, "confirm", "confirmed")
    assert second["subscriber"] == first["subscriber"]
    assert second["subscriber"] | {"created_at": 0, "confirmed_at": 0} == {
        "email": "ann@example.org", "name": None, "locale": "en", "source": "form", "created_at": 0,
        "confirmed_at": 0, "unsubscribed_at": None, "paused_until": None, "attributes": {},
    }  # fmt: skip
    assert second["subscriber"]["confirmed_at"] == second["at"]
    assert last == {"next": 2}


def test_of_who_was_forgotten_only_ids_are_told(service: Service) -> None:
    service.sign_up("ann@example.org")
    service.work()
    (before, _) = feed(service)
    service.send_mail()
    service.age(days=70)
    service.send_mail()
    service.work()

    (gone, last) = feed(service)
    assert gone | {"at": 0} == {
        "seq": 2, "at": 0, "event": "forget", "id": before["id"], "state": None, "subscriber": None,
    }  # fmt: skip
    assert last == {"next": 2}


def test_a_reader_goes_on_where_it_was(service: Service) -> None:
    for number in range(5):
        service.sign_up(f"reader-{number}@example.org")
    service.work()

    read, since = [], 0
    for _ in range(6):
        *lines, last = feed(service, since, limit=2)
        read += [line["seq"] for line in lines]
        since = last["next"]
    assert read == [1, 2, 3, 4, 5]
    assert since == 5


def test_another_lists_changes_are_not_told(service: Service) -> None:
    service.command("lists", "add", "sport", "--name", "Sport")
    service.sign_up("ann@example.org", "daily")
    service.sign_up("bob@example.org", "sport")
    service.work()

    assert [line["subscriber"]["email"] for line in feed(service, slug="sport")[:-1]] == ["bob@example.org"]
    assert [line["subscriber"]["email"] for line in feed(service, slug="daily")[:-1]] == ["ann@example.org"]
    # Both may go on from the end of what they have seen, which is the whole journal.
    assert feed(service, slug="daily")[-1] == {"next": 2}


def test_what_has_no_number_yet_is_not_told(service: Service) -> None:
    service.sign_up("ann@example.org")

    assert feed(service) == [{"next": 0}]


def test_more_than_one_batch_is_one_feed(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "_BATCH", 2)
    for number in range(4):
        service.sign_up(f"reader-{number}@example.org")
    service.work()

    assert [line.get("seq") for line in feed(service)] == [1, 2, 3, 4, None]


def test_a_number_is_never_used_again_though_the_highest_are_gone(service: Service) -> None:
    service.sign_up("ann@example.org")
    service.sign_up("bob@example.org")
    service.work()
    service.write("DELETE FROM consent_events")
    service.client.post(path(service.confirmed("cem@example.org").link("unsubscribe")))
    service.work()

    assert [line["seq"] for line in feed(service)[:-1]] == [3, 4, 5]


def test_who_has_seen_more_than_there_is_is_told_to_begin_anew(service: Service) -> None:
    service.sign_up("ann@example.org")
    service.work()

    with service.app.app_context(), pytest.raises(AheadOfJournal, match="ends at 1, before 7"):
        changes.ndjson(db.engine, _list_id("daily"), 7)


@dataclass
class Follower:
    """A client that keeps a copy: it asks again and again for what is above the last number it has."""

    service: Service
    list_id: UUID
    seen: list[tuple[int, UUID]] = field(default_factory=list)

    def read(self) -> bool:
        """Whether there was anything new."""
        with self.service.app.app_context():
            since = self.seen[-1][0] if self.seen else 0
            found = changes.changes_since(db.session(), self.list_id, since, 7)
        self.seen += [(change.seq, change.subscription_id) for change in found]
        return bool(found)

    def follow(self, stop: threading.Event) -> None:
        while not stop.is_set():
            self.read()


def _record(list_id: UUID, ids: list[UUID]) -> None:
    """A sign-up for each of these subscriptions."""
    rows = [
        evidence.event_row(list_id, one, Event.SIGN_UP, now(), Seen("form"), before=None, after=State.PENDING)
        for one in ids
    ]
    evidence.record(db.session(), rows)


def _write(service: Service, list_id: UUID, seed: int, enough: threading.Event) -> list[UUID]:
    """Events in transactions that end in another order than they began, until there are enough; returns what was
    committed."""
    chance = random.Random(seed)
    committed: list[UUID] = []
    while len(committed) < 50 or not enough.is_set():
        ids = [uuid4() for _ in range(chance.randint(1, 3))]
        with service.app.app_context():
            try:
                with write_transaction(db.session()):
                    _record(list_id, ids)
                    time.sleep(chance.random() * (0.08 if service.on_postgresql else 0.004))
                    if chance.random() < 0.1:
                        raise InterruptedError
            except InterruptedError:
                continue
        committed += ids
    return committed


def _overtake(service: Service, list_id: UUID) -> list[UUID]:
    """PostgreSQL: what began first ends after what came later has its number. SQLite has one writer."""
    if not service.on_postgresql:
        return []
    first, later = uuid4(), uuid4()
    with service.app.app_context(), write_transaction(db.session()):
        _record(list_id, [first])
        with ThreadPoolExecutor(1) as pool:
            pool.submit(_commit, service, list_id, later).result()
        numbered = "SELECT seq FROM consent_events WHERE subscription_id = :later"
        eventually(lambda: service.rows(numbered, later=later)[0].seq)
    return [first, later]


def _commit(service: Service, list_id: UUID, one: UUID) -> None:
    with service.app.app_context(), write_transaction(db.session()):
        _record(list_id, [one])


def test_a_follower_sees_every_change_once_and_in_order_though_workers_are_killed(service: Service) -> None:
    with service.app.app_context():
        list_id = _list_id("daily")
    follower, stop, enough = Follower(service, list_id), threading.Event(), threading.Event()
    following = threading.Thread(target=follower.follow, args=(stop,))
    following.start()

    with (
        service.process("worker") as first,
        service.process("worker") as second,
        ThreadPoolExecutor(8) as pool,
    ):
        eventually(lambda: service.sign_up() and service.one("SELECT seq FROM journal") > 0)
        own = {UUID(str(one)) for (one,) in service.rows("SELECT id FROM subscriptions")}
        writers = [pool.submit(_write, service, list_id, seed, enough) for seed in range(8)]
        try:
            overtaken = _overtake(service, list_id)
            for worker in (first, second):
                at = service.one("SELECT seq FROM journal")
                eventually(lambda at=at: service.one("SELECT seq FROM journal") > at + 40)  # type: ignore[misc]
                worker.kill()
        finally:
            enough.set()
        with service.process("worker"):
            committed = overtaken + [one for writer in writers for one in writer.result()]
            eventually(
                lambda: service.rows("SELECT 1 FROM consent_events WHERE seq IS NULL") == [], seconds=20
            )
    stop.set()
    following.join()
    while follower.read():
        pass

    numbers = [seq for seq, _ in follower.seen]
    assert numbers == sorted(set(numbers))
    told = [one for _, one in follower.seen if one not in own]
    assert len(told) == len(committed)
    assert set(told) == set(committed)
    if service.on_postgresql:
        ids = [number for (number,) in service.rows("SELECT id FROM consent_events ORDER BY seq")]
        assert ids != sorted(ids), "one was overtaken"

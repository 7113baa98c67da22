"""Consent events put straight into the journal and the ledger, and what verifying says of them."""

from __future__ import annotations

import hashlib
import itertools
import re
from uuid import UUID

from sqlalchemy import delete, insert, select, text
from sqlalchemy.orm import Session

from newsletter.database import snapshot, table_of, write_transaction
from newsletter.domain.ids import new_id
from newsletter.domain.lifecycle import Event, State
from newsletter.extensions import db
from newsletter.models import Subscriber, Subscription, Wording
from newsletter.queries import insert_missing
from newsletter.services import evidence, journal, ledger, lists
from newsletter.services.evidence import Seen
from newsletter.services.ledger import Checked, Fault
from tests.support.service import Service, now

_SEEN = Seen("form", "https://news.example", "https://news.example/sign-up", "192.0.2.1", "Firefox")
_WORDS = "Get daily news directly in your inbox!"
_numbers = itertools.count(1)


def new_list(service: Service) -> str:
    """A list without any history; returns its slug."""
    slug = f"list-{next(_numbers)}"
    with service.app.app_context(), write_transaction(db.session()):
        lists.add(db.session(), now(), slug=slug, name=slug)
    return slug


def list_id(service: Service, slug: str) -> UUID:
    with service.app.app_context():
        mailing_list = lists.find(db.session(), slug)
    assert mailing_list is not None
    return mailing_list.id


def sign_ups(service: Service, slug: str, number: int = 1) -> list[UUID]:
    """So many people sign up, each with all the evidence that there can be; returns their subscriptions."""
    ids = [new_id(now()) for _ in range(number)]
    whose = list_id(service, slug)
    people = [
        {
            "id": each, "address": f"{each}@example.org", "identity": f"{each}@example.org", "search": "",
            "locale": "en", "attributes": {}, "created_at": now(),
        }
        for each in ids
    ]  # fmt: skip
    subscriptions = [
        {
            "id": each, "subscriber_id": each, "list_id": whose, "state": "pending", "generation": 1,
            "source": "form", "created_at": now(), "asked_at": now(),
        }
        for each in ids
    ]  # fmt: skip
    with service.app.app_context(), write_transaction(db.session()):
        digest = _words(db.session())
        rows = [
            evidence.event_row(
                whose, each, Event.SIGN_UP, now(), _SEEN,
                before=None, after=State.PENDING, wording=digest, message_id=f"<{each}@news.example>",
            )
            for each in ids
        ]  # fmt: skip
        db.session.execute(insert(table_of(Subscriber)), people)
        db.session.execute(insert(table_of(Subscription)), subscriptions)
        evidence.record(db.session(), rows)
    return ids


def _words(session: Session) -> str:
    digest = hashlib.sha256(_WORDS.encode()).hexdigest()
    wordings = table_of(Wording)
    if session.scalar(select(wordings.c.digest).where(wordings.c.digest == digest)) is None:
        session.execute(insert_missing(wordings).values(digest=digest, text=_WORDS))
    return digest


def erase(service: Service, slug: str, subscriptions: list[UUID]) -> None:
    """What erasing and purging do to evidence."""
    whose = list_id(service, slug)
    with service.app.app_context(), write_transaction(db.session()):
        held = [(whose, each, State.PENDING) for each in subscriptions]
        evidence.forget(db.session(), now(), held, way="purge")
        db.session.execute(delete(table_of(Subscriber)).where(table_of(Subscriber).c.id.in_(subscriptions)))


def chain(service: Service, *, limit: int | None = None) -> None:
    """What the worker does with the journal, once."""
    with service.app.app_context(), write_transaction(db.session()):
        journal.number(db.session(), limit=limit)
        ledger.extend(db.session(), service.settings, limit=limit)


def checked(service: Service, slug: str) -> list[Checked]:
    whose = list_id(service, slug)
    with service.app.app_context(), snapshot(db.engine) as connection, Session(connection) as session:
        return list(ledger.verify(session, service.settings, whose))


def faults(service: Service, slug: str) -> list[Fault]:
    """What is wrong with a list."""
    return [fault for part in checked(service, slug) for fault in part.faults]


def tamper(service: Service, *statements: str, **values: object) -> None:
    """What somebody does who has the database, and lets no reference and no check be in the way."""
    own = {name: value.hex if isinstance(value, UUID) else value for name, value in values.items()}
    with service.app.app_context(), db.engine.connect() as connection:
        raw = connection.connection.driver_connection
        assert raw is not None
        if service.on_postgresql:
            own = values
            connection.execute(text("SET LOCAL session_replication_role = replica"))
        else:
            raw.execute("PRAGMA foreign_keys = OFF")
            raw.execute("PRAGMA ignore_check_constraints = ON")
        for statement in statements:
            used = {name: value for name, value in own.items() if re.search(rf":{name}\b", statement)}
            connection.execute(text(statement), used)
        connection.commit()
        if not service.on_postgresql:
            raw.execute("PRAGMA foreign_keys = ON")
            raw.execute("PRAGMA ignore_check_constraints = OFF")


def strays(service: Service) -> list[Fault]:
    """What is wrong that belongs to no list."""
    with service.app.app_context(), snapshot(db.engine) as connection, Session(connection) as session:
        return list(ledger.strays(session))


def named(service: Service, slug: str) -> list[int]:
    """The numbers of the events that are named."""
    return [fault.seq for fault in faults(service, slug) if fault.seq is not None]

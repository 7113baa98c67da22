"""Consent events put straight into the journal and the ledger, and what verifying says of them."""

from __future__ import annotations

import hashlib
import itertools
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from newsletter.database import snapshot, table_of, write_transaction
from newsletter.domain.ids import new_id
from newsletter.domain.lifecycle import Event, State
from newsletter.extensions import db
from newsletter.models import Wording
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
    with service.app.app_context(), write_transaction(db.session()):
        digest = _words(db.session())
        rows = [
            evidence.event_row(
                whose, each, Event.SIGN_UP, now(), _SEEN,
                before=None, after=State.PENDING, wording=digest, message_id=f"<{each}@news.example>",
            )
            for each in ids
        ]  # fmt: skip
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


def named(service: Service, slug: str) -> list[int]:
    """The numbers of the events that are named."""
    return [fault.seq for fault in faults(service, slug) if fault.seq is not None]

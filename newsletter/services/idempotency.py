"""Idempotency keys: a request that creates something, sent twice, creates it once.

The key is stored by the transaction that creates, before it creates: whoever sends the same key at the same
time waits for that commit, finds the key, and is told what the first was told. Where the creation fails, the
key is gone with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.orm import Session

from newsletter.database import table_of
from newsletter.models import IdempotencyKey
from newsletter.queries import insert_missing

LIFE = timedelta(hours=24)
LONGEST = 255


class OtherRequest(Exception):
    """The key was used for another request. The message says so, in one line."""


@dataclass(frozen=True)
class Call:
    """Who creates, under which key, and the SHA-256 of all that was asked."""

    token_id: UUID
    key: str
    request: str


@dataclass(frozen=True)
class Answer:
    """What was answered: the status, and the body as it was sent."""

    status: int
    body: str


def claim(session: Session, now: datetime, call: Call) -> Answer | None:
    """Take the key; None where this call is the first with it, else the answer that the first was given.

    Raises `OtherRequest`."""
    connection = session.connection()
    connection.execute(delete(_KEYS).where(_is(call), _KEYS.c.created_at <= now - LIFE))
    first = connection.execute(
        insert_missing(_KEYS, "token_id, key"),
        {
            "token_id": call.token_id,
            "key": call.key,
            "request": call.request,
            "status": 0,
            "body": "",
            "created_at": now,
        },
        execution_options={"preserve_rowcount": True},
    )
    if first.rowcount == 1:
        return None
    taken = connection.execute(select(_KEYS).where(_is(call))).one()
    if taken.request != call.request:
        raise OtherRequest(
            f"the Idempotency-Key {call.key!r} was used for another request: take a new one for each"
        )
    return Answer(taken.status, taken.body)


def keep(session: Session, call: Call, answer: Answer) -> None:
    """Store the answer under the key that this transaction has claimed."""
    session.connection().execute(
        update(_KEYS).where(_is(call)).values(status=answer.status, body=answer.body)
    )


def forget(session: Session, now: datetime) -> None:
    """Remove keys that are older than their life."""
    session.connection().execute(delete(_KEYS).where(_KEYS.c.created_at <= now - LIFE))


_KEYS = table_of(IdempotencyKey)


def _is(call: Call) -> ColumnElement[bool]:
    return (_KEYS.c.token_id == call.token_id) & (_KEYS.c.key == call.key)

"""Heads to be kept elsewhere. Who owns the database and the keys can write the ledger anew, but not so that
it still goes through a head that somebody else has kept."""

from __future__ import annotations

import json
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from newsletter.database import rfc3339
from newsletter.domain.ledger import Head
from newsletter.services.ledger.keeping import chain_of, heads
from newsletter.services.lists import ListView
from newsletter.settings import Settings


class NoHead(Exception):
    """A text is no head that this service gave out. The message says what is wrong, in one line."""


def head_text(session: Session, now: datetime, mailing_list: ListView) -> str | None:
    """Where a list's ledger ends, as one line of JSON; None where it has not begun."""
    found = heads(session, [mailing_list.id]).get(mailing_list.id)
    if found is None:
        return None
    head, seal = found
    return json.dumps(
        {
            "list": mailing_list.slug,
            "list_id": str(head.list_id),
            "entries": head.entries,
            "seq": head.seq,
            "link": head.link.hex(),
            "seal": seal.hex(),
            "at": rfc3339(now),
        }
    )


def read_head(settings: Settings, written: str) -> Head:
    """A head as `head_text` wrote it. Raises `NoHead`."""
    try:
        told = json.loads(written)
        head = Head(
            UUID(told["list_id"]), int(told["entries"]), int(told["seq"]), bytes.fromhex(told["link"])
        )
        is_ours = chain_of(settings).is_sealed(head, bytes.fromhex(told["seal"]))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise NoHead("that is no head of a ledger") from error
    if not is_ours:
        raise NoHead("the head was changed, or sealed with keys that this service does not have")
    return head

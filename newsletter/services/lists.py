"""Mailing lists: adding, editing, finding them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from sqlalchemy import RowMapping, func, insert, select, update
from sqlalchemy.orm import Session

from newsletter.domain.ids import new_id
from newsletter.domain.wording import FormWording, form_wording
from newsletter.models import MailingList, Subscription
from newsletter.settings import Sender, Settings, parse_sender

_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?")


class ListError(Exception):
    """A list cannot be made or changed as asked. The message says why, in one line."""


@dataclass(frozen=True)
class ListView:
    """A mailing list, as the other rooms see it."""

    id: UUID
    slug: str
    name: str
    headline: str | None
    invitation: str | None
    sender: str | None
    sites: tuple[str, ...]
    created_at: datetime

    @property
    def wording(self) -> FormWording:
        """The words of its form."""
        return form_wording(self.name, self.invitation)

    def sender_or(self, default: Sender) -> Sender:
        """Its own sender, else `default` under the list's name."""
        own = parse_sender(self.sender) if self.sender else None
        if own is not None:
            return Sender(own.name or self.name, own.address)
        return Sender(default.name or self.name, default.address)


COLUMNS = (
    MailingList.id,
    MailingList.slug,
    MailingList.name,
    MailingList.headline,
    MailingList.invitation,
    MailingList.sender,
    MailingList.sites,
    MailingList.created_at,
)


def view(row: RowMapping) -> ListView:
    """A row of `COLUMNS` as a `ListView`."""
    return ListView(
        **{**{column.key: row[column] for column in COLUMNS}, "sites": tuple(row[MailingList.sites])}
    )


def find(session: Session, slug: str) -> ListView | None:
    """The list with this slug."""
    return find_many(session, [slug]).get(slug)


def find_many(session: Session, slugs: Sequence[str]) -> dict[str, ListView]:
    """The lists with these slugs, by slug; unknown ones are missing."""
    rows = session.execute(select(*COLUMNS).where(MailingList.slug.in_(slugs))).mappings()
    return {row[MailingList.slug]: view(row) for row in rows}


def default(session: Session) -> ListView | None:
    """The list of the front page: the one that was made first."""
    row = (
        session.execute(select(*COLUMNS).order_by(MailingList.created_at, MailingList.id).limit(1))
        .mappings()
        .first()
    )
    return view(row) if row is not None else None


def every(session: Session) -> list[ListView]:
    """All lists, the oldest first."""
    rows = session.execute(select(*COLUMNS).order_by(MailingList.created_at, MailingList.id)).mappings()
    return [view(row) for row in rows]


def counts(session: Session, list_id: UUID) -> dict[str, int]:
    """How many subscriptions a list has in each state."""
    rows = session.execute(
        select(Subscription.state, func.count())
        .where(Subscription.list_id == list_id)
        .group_by(Subscription.state)
    )
    return {state: number for state, number in rows}


def add(
    session: Session,
    settings: Settings,
    now: datetime,
    *,
    slug: str,
    name: str,
    headline: str | None = None,
    invitation: str | None = None,
    sender: str | None = None,
    sites: Sequence[str] = (),
) -> ListView:
    """Make a list. Raises `ListError`."""
    if not _SLUG.fullmatch(slug):
        raise ListError(
            f"a list's slug has 1 to 64 of a-z, 0-9 and -, and no - at its ends, such as daily-news; not {slug!r}"
        )
    if find(session, slug) is not None:
        raise ListError(f"there is a list {slug!r} already: `newsletter lists edit {slug}` changes it")
    values = _checked(
        {"name": name, "headline": headline, "invitation": invitation, "sender": sender, "sites": list(sites)}
    )
    session.execute(
        insert(MailingList.__table__), [{"id": new_id(now), "slug": slug, "created_at": now} | values]
    )
    added = find(session, slug)
    assert added is not None
    return added


def edit(session: Session, slug: str, changes: dict[str, Any]) -> ListView:
    """Change fields of a list: name, headline, invitation, sender, sites. Raises `ListError`."""
    if find(session, slug) is None:
        raise ListError(unknown(slug))
    if changes:
        session.execute(update(MailingList).where(MailingList.slug == slug).values(**_checked(changes)))
    edited = find(session, slug)
    assert edited is not None
    return edited


def unknown(slug: str) -> str:
    """What to say where a list does not exist."""
    return f"there is no list {slug!r}: `newsletter lists show` names those there are"


def _checked(values: dict[str, Any]) -> dict[str, Any]:
    checked = dict(values)
    for field in ("name", "headline", "invitation"):
        words = checked.get(field)
        if words is None:
            continue
        words = words.strip()
        if not words and field == "name":
            raise ListError("a list needs a name, such as Daily News")
        if len(words) > 200 or not words.isprintable():
            raise ListError(f"the {field} must be one line of at most 200 characters")
        checked[field] = words or None
    sender = checked.get("sender")
    if sender is not None and (not sender.isprintable() or len(sender) > 320 or parse_sender(sender) is None):
        raise ListError(f"the sender must look like Daily News <news@example.org>, not {sender!r}")
    if "sites" in checked:
        checked["sites"] = [_origin(site) for site in checked["sites"]]
    return checked


def _origin(site: str) -> str:
    """An exact origin, as browsers write it. Raises `ListError`."""
    fault = ListError(f"a site is an origin such as https://news.example.org, without a path; not {site!r}")
    try:
        parts = urlsplit(site.strip())
        port = parts.port
    except ValueError as error:
        raise fault from error
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/"):
        raise fault
    if parts.query or parts.fragment or parts.username or not parts.hostname.isascii():
        raise fault
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    usual = {"http": 80, "https": 443}[parts.scheme]
    return f"{parts.scheme}://{host}" + (f":{port}" if port and port != usual else "")

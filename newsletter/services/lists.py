"""Mailing lists: adding, editing, finding them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session

from newsletter.database import table_of
from newsletter.domain import extra_mails, languages
from newsletter.domain.extra_mails import ExtraMailError
from newsletter.domain.ids import new_id
from newsletter.domain.wording import FormWording, form_wording
from newsletter.models import MailingList, Subscription
from newsletter.queries import Query, among
from newsletter.settings import Sender, parse_sender
from newsletter.translations import translations

_HOST = re.compile(r"[a-z0-9.-]+|[0-9a-f:.]+")  # lower case and ASCII, as browsers write it
SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?")


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
    return_urls: tuple[str, ...]
    locale: str | None
    reminder_after_hours: int | None
    welcome: str | None
    created_at: datetime

    @property
    def wording(self) -> FormWording:
        """The words of its form in English."""
        return self.wording_in(languages.DEFAULT)

    def wording_in(self, language: str) -> FormWording:
        """The words of its form, as they are shown in a language and kept as evidence."""
        return form_wording(self.name, self.invitation, translations(language).gettext)

    def sender_or(self, default: Sender) -> Sender:
        """Its own sender, else `default` under the list's name."""
        own = parse_sender(self.sender) if self.sender else None
        if own is not None:
            return Sender(own.name or self.name, own.address)
        return Sender(default.name or self.name, default.address)


_LISTS = table_of(MailingList)
# In the order of ListView's fields, so that a row becomes a view by its position.
_FIELDS = tuple(field.name for field in fields(ListView))
COLUMNS = tuple(_LISTS.c[name] for name in _FIELDS)


def view(row: Sequence[Any]) -> ListView:
    """A row that ends with `COLUMNS` as a `ListView`."""
    values = dict(zip(_FIELDS, row[-len(COLUMNS) :], strict=True))
    return ListView(**values | {"sites": tuple(values["sites"]), "return_urls": tuple(values["return_urls"])})


def find(session: Session, slug: str) -> ListView | None:
    """The list with this slug."""
    return find_many(session, [slug]).get(slug)


def find_many(session: Session, slugs: Sequence[str]) -> dict[str, ListView]:
    """The lists with these slugs, by slug; unknown ones are missing."""
    return {found.slug: found for found in map(view, _BYSLUG.rows(session, slugs=slugs))}


def default(session: Session) -> ListView | None:
    """The list of the front page: the one that was made first."""
    return next(map(view, _OLDEST.rows(session)), None)


def every(session: Session) -> list[ListView]:
    """All lists, the oldest first."""
    return [view(row) for row in session.connection().execute(_OLDEST_FIRST)]


_BYSLUG = Query(select(*COLUMNS).where(among(_LISTS.c.slug, "slugs")))
_OLDEST_FIRST = select(*COLUMNS).order_by(_LISTS.c.created_at, _LISTS.c.id)
_OLDEST = Query(_OLDEST_FIRST.limit(1))


def counts(session: Session, list_id: UUID) -> dict[str, int]:
    """How many subscriptions a list has in each state."""
    rows = session.execute(
        select(Subscription.state, func.count())
        .where(Subscription.list_id == list_id)
        .group_by(Subscription.state)
    )
    return {state: number for state, number in rows}  # noqa: C416 - rows are no pairs to the type checker


def add(
    session: Session,
    now: datetime,
    *,
    slug: str,
    name: str,
    headline: str | None = None,
    invitation: str | None = None,
    sender: str | None = None,
    sites: Sequence[str] = (),
    return_urls: Sequence[str] = (),
    locale: str | None = None,
    reminder_after_hours: int | None = None,
    welcome: str | None = None,
) -> ListView:
    """Make a list. Raises `ListError`."""
    if not SLUG.fullmatch(slug):
        raise ListError(
            f"a slug has 1 to 64 of a-z, 0-9 and -, and no - at its ends, such as daily-news; not {slug!r}"
        )
    if find(session, slug) is not None:
        raise ListError(f"there is a list {slug!r} already: `newsletter lists edit {slug}` changes it")
    values = _checked(
        {
            "name": name,
            "headline": headline,
            "invitation": invitation,
            "sender": sender,
            "sites": list(sites),
            "return_urls": list(return_urls),
            "locale": locale,
            "reminder_after_hours": reminder_after_hours,
            "welcome": welcome,
        }
    )
    session.execute(insert(_LISTS), [{"id": new_id(now), "slug": slug, "created_at": now} | values])
    added = find(session, slug)
    assert added is not None
    return added


def edit(session: Session, slug: str, changes: dict[str, Any]) -> ListView:
    """Change fields of a list: any that `add` takes, but the slug. Raises `ListError`."""
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
        checked["sites"] = list(dict.fromkeys(_origin(site) for site in checked["sites"]))
    if "return_urls" in checked:
        checked["return_urls"] = list(dict.fromkeys(_return_url(url) for url in checked["return_urls"]))
    if checked.get("locale") is not None:
        checked["locale"] = _language(checked["locale"])
    try:
        if checked.get("reminder_after_hours") is not None:
            extra_mails.check_hours(checked["reminder_after_hours"])
        if checked.get("welcome") is not None:
            checked["welcome"] = extra_mails.check_welcome(checked["welcome"])
    except ExtraMailError as error:
        raise ListError(str(error)) from error
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
    if parts.query or parts.fragment or parts.username or not _HOST.fullmatch(parts.hostname):
        raise fault
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    usual = {"http": 80, "https": 443}[parts.scheme]
    return f"{parts.scheme}://{host}" + (f":{port}" if port and port != usual else "")


def origin_of(url: str) -> str:
    """The origin of a page that is a return address."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _return_url(url: str) -> str:
    """The whole address of a page. Raises `ListError`."""
    url = url.strip()
    fault = ListError(
        f"a return address is a page's whole address such as https://news.example.org/thanks, not {url!r}"
    )
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises where it is no number
    except ValueError as error:
        raise fault from error
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.fragment:
        raise fault
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url or len(url) > 1000:
        raise fault
    return url


def _language(tag: str) -> str | None:
    """A language of ours; an empty text for the visitor's own. Raises `ListError`."""
    language = languages.known(tag)
    if tag.strip() and language is None:
        raise ListError(f"the language must be one of {', '.join(languages.LANGUAGES)}, not {tag!r}")
    return language

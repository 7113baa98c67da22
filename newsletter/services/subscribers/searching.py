"""Searching a list's subscribers, newest first, a page at a time: as fast among a million as among ten.

A needle that many have fills a page from the first thousand that are looked at; one that few have is found by
the index of trigrams. Where neither holds (many have it, but hardly anybody here) the look goes on for a
while and then stops: such a page may be short, and its `next` says where to look further. Pages follow each
other by id, so that each subscriber is shown once, whoever joins meanwhile.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    String,
    Subquery,
    Uuid,
    bindparam,
    column,
    func,
    literal_column,
    or_,
    select,
    table,
    tuple_,
    union_all,
)
from sqlalchemy.orm import Session

from newsletter.database import table_of
from newsletter.domain.lifecycle import State
from newsletter.domain.pasted_addresses import unwrap
from newsletter.domain.profiles import is_one_line
from newsletter.domain.searching import folded
from newsletter.models import Subscriber, Subscription
from newsletter.queries import Query, among

_FEW = 5000  # as many candidates of the index are sorted
_FIRST_LOOK = 1000
_FURTHER_LOOKS = (2000, 4000)
_LONGEST_NEEDLE = 600
_TRIGRAM = 3
_END = UUID(int=2**128 - 1)  # after every id
_LAST_CHARACTER = "\U0010ffff"


@dataclass(frozen=True)
class Row:
    """One subscriber among others. `id` is the subscription's."""

    id: UUID
    address: str
    name: str | None
    locale: str
    attributes: dict[str, Any]
    state: State
    source: str
    created_at: datetime
    confirmed_at: datetime | None
    unsubscribed_at: datetime | None
    paused_until: datetime | None


@dataclass(frozen=True)
class Page:
    """Some subscribers, and the cursor for those that follow; none where these were the last."""

    rows: tuple[Row, ...]
    next: UUID | None


@dataclass(frozen=True)
class _Scope:
    """Where it is searched: a list, in these states, from this source; without who is paused at a moment."""

    list_id: UUID
    states: tuple[State, ...]
    source: str | None
    without_paused_at: datetime | None


def search(
    session: Session,
    list_id: UUID,
    *,
    query: str = "",
    states: Collection[State] = (),
    source: str | None = None,
    without_paused_at: datetime | None = None,
    cursor: UUID | None = None,
    limit: int = 50,
) -> Page:
    """Subscribers of a list whose address or name holds `query`, whatever its case; the beginning of an
    address where it has less than three characters. Without `states`, in any. With a
    moment, none who are paused then."""
    scope = _Scope(
        list_id,
        tuple(state for state in State if state in states or not states),
        source,
        without_paused_at,
    )
    needle = folded(unwrap(query) if "@" in query else query.strip())
    if len(needle) > _LONGEST_NEEDLE or not is_one_line(needle) or "\0" in (source or ""):
        return Page((), None)
    if not needle:
        return _page(_look(session, scope, None, cursor or _END, limit + 1, limit), limit)
    return _search(session, scope, needle, cursor or _END, limit)


def _search(session: Session, scope: _Scope, needle: str, before: UUID, limit: int) -> Page:
    pattern = _pattern(needle)
    rows = _look(session, scope, pattern, before, _FIRST_LOOK, limit)
    if len(rows) > limit:
        return _page(rows, limit)
    end = _end_of_look(session, scope, before, _FIRST_LOOK)
    if end is None:
        return _page(rows, limit)
    candidates = _candidates(session, needle)
    if candidates is not None:
        return _page(_exactly(session, scope, pattern, candidates, before, limit), limit)
    for most in _FURTHER_LOOKS:
        rows += _look(session, scope, pattern, end, most, limit - len(rows))
        if len(rows) > limit:
            return _page(rows, limit)
        end = _end_of_look(session, scope, end, most)
        if end is None:
            return _page(rows, limit)
    return Page(tuple(map(_row, rows)), end)


def _pattern(needle: str) -> str:
    """What LIKE takes. The text that is searched begins with the address."""
    literal = needle
    for special in "!%_":
        literal = literal.replace(special, f"!{special}")
    return f"%{literal}%" if len(needle) >= _TRIGRAM else f"{literal}%"


def _page(rows: Sequence[Any], limit: int) -> Page:
    shown = tuple(map(_row, rows[:limit]))
    return Page(shown, shown[-1].id if len(rows) > limit else None)


def _row(found: Any) -> Row:
    return Row(**found._asdict() | {"state": State(found.state)})


def _look(
    session: Session, scope: _Scope, pattern: str | None, before: UUID, most: int, limit: int
) -> list[Any]:
    """Up to `limit` that match, and one more where there are more, among the first `most` of the scope."""
    query = _looking(
        scope.states,
        by_source=scope.source is not None,
        without_paused=scope.without_paused_at is not None,
        matching=pattern is not None,
    )
    return query.rows(
        session,
        list=scope.list_id,
        source=scope.source,
        now=scope.without_paused_at,
        before=before,
        most=most,
        pattern=pattern,
        limit=limit + 1,
    )


def _end_of_look(session: Session, scope: _Scope, before: UUID, most: int) -> UUID | None:
    """The last of the first `most` of the scope; None where they are all there are."""
    query = _ending(
        scope.states,
        by_source=scope.source is not None,
        without_paused=scope.without_paused_at is not None,
    )
    rows = query.rows(
        session,
        list=scope.list_id,
        source=scope.source,
        now=scope.without_paused_at,
        before=before,
        most=most,
    )
    return rows[0].id if rows and rows[0].number == most else None


def _candidates(session: Session, needle: str) -> list[UUID] | None:
    """Whose address or name holds the needle, on any list; None where they are many."""
    if not any(character.isalnum() for character in needle):
        return None  # PostgreSQL's trigrams are of letters and digits alone
    if session.connection().dialect.name == "postgresql":
        rows = _BY_TRIGRAMS.rows(session, pattern=_pattern(needle), most=_FEW + 1)
    elif len(needle) < _TRIGRAM:
        rows = _BY_PREFIX.rows(session, first=needle, last=needle + _LAST_CHARACTER, most=_FEW + 1)
    else:
        phrase = '"' + needle.replace('"', '""') + '"'
        rows = _BY_PHRASE.rows(session, phrase=phrase, most=_FEW + 1)
    return [row.id for row in rows] if len(rows) <= _FEW else None


def _exactly(
    session: Session, scope: _Scope, pattern: str, candidates: list[UUID], before: UUID, limit: int
) -> list[Any]:
    return _AMONG.rows(
        session,
        list=scope.list_id,
        states=[state.value for state in scope.states],
        source=scope.source,
        now=scope.without_paused_at,
        pattern=pattern,
        candidates=candidates,
        before=before,
        limit=limit + 1,
    )


def sources(session: Session, list_id: UUID) -> list[str]:
    """By which ways subscribers came to a list: a few steps along an index, however many there are."""
    found: list[str] = []
    while rows := _NEXT_SOURCE.rows(session, list=list_id, last=found[-1] if found else ""):
        found.append(rows[0].source)
    return found


_SUBSCRIBERS, _SUBSCRIPTIONS = table_of(Subscriber), table_of(Subscription)
_LIST, _BEFORE = bindparam("list", type_=Uuid()), bindparam("before", type_=Uuid())
_SOURCE = bindparam("source", type_=String())
_NOW = bindparam("now", type_=_SUBSCRIPTIONS.c.paused_until.type)
_IS_PAUSED_NO_MORE = or_(_SUBSCRIPTIONS.c.paused_until.is_(None), _SUBSCRIPTIONS.c.paused_until <= _NOW)
_MATCHES = _SUBSCRIBERS.c.search.like(bindparam("pattern", type_=String()), escape="!")
_OF_SUBSCRIPTION = ("state", "source", "created_at", "confirmed_at", "unsubscribed_at", "paused_until")


def _most(name: str) -> Any:
    return bindparam(name, type_=Integer())


def _shown(subscriptions: Any) -> Iterable[ColumnElement[Any]]:
    return (
        subscriptions.c.id,
        *(_SUBSCRIBERS.c[name] for name in ("address", "name", "locale", "attributes")),
        *(subscriptions.c[name] for name in _OF_SUBSCRIPTION),
    )


def _first(states: tuple[State, ...], *, by_source: bool, without_paused: bool) -> Subquery:
    """The first `most` subscriptions of a scope: each state is one stretch of an index."""
    columns = [_SUBSCRIPTIONS.c[name] for name in ("id", "subscriber_id", *_OF_SUBSCRIPTION)]
    stretches = []
    for state in states:
        this = literal_column(f"'{state.value}'", String())
        # State and id are compared and sorted together, as the index has them. Told that the state is this
        # one, PostgreSQL may look for this list's among the newest of all lists, and find none for long.
        stretch = select(*columns).where(
            _SUBSCRIPTIONS.c.list_id == _LIST,
            tuple_(_SUBSCRIPTIONS.c.state, _SUBSCRIPTIONS.c.id) < tuple_(this, _BEFORE),
            _SUBSCRIPTIONS.c.state >= this,
        )
        if by_source:
            stretch = stretch.where(_SUBSCRIPTIONS.c.source == _SOURCE)
        if without_paused:
            stretch = stretch.where(_IS_PAUSED_NO_MORE)
        ordered = stretch.order_by(_SUBSCRIPTIONS.c.state.desc(), _SUBSCRIPTIONS.c.id.desc())
        stretches.append(ordered.limit(_most("most")))
    if len(stretches) == 1:
        return stretches[0].subquery()
    together = union_all(*(select(stretch.subquery()) for stretch in stretches)).subquery()
    return select(together).order_by(together.c.id.desc()).limit(_most("most")).subquery()


@cache
def _looking(states: tuple[State, ...], *, by_source: bool, without_paused: bool, matching: bool) -> Query:
    first = _first(states, by_source=by_source, without_paused=without_paused)
    query: Select[Any] = select(*_shown(first)).join(_SUBSCRIBERS, _SUBSCRIBERS.c.id == first.c.subscriber_id)
    if matching:
        query = query.where(_MATCHES)
    return Query(query.order_by(first.c.id.desc()).limit(_most("limit")))


@cache
def _ending(states: tuple[State, ...], *, by_source: bool, without_paused: bool) -> Query:
    first = _first(states, by_source=by_source, without_paused=without_paused)
    return Query(select(first.c.id, func.count().over().label("number")).order_by(first.c.id).limit(1))


_AMONG = Query(
    select(*_shown(_SUBSCRIPTIONS))
    .join(_SUBSCRIBERS, _SUBSCRIBERS.c.id == _SUBSCRIPTIONS.c.subscriber_id)
    .where(
        _SUBSCRIPTIONS.c.list_id == _LIST,
        among(_SUBSCRIPTIONS.c.subscriber_id, "candidates"),
        among(_SUBSCRIPTIONS.c.state, "states"),
        or_(_SOURCE.is_(None), _SUBSCRIPTIONS.c.source == _SOURCE),
        or_(_NOW.is_(None), _IS_PAUSED_NO_MORE),
        _SUBSCRIPTIONS.c.id < _BEFORE,
        _MATCHES,
    )
    .order_by(_SUBSCRIPTIONS.c.id.desc())
    .limit(_most("limit"))
)
_BY_TRIGRAMS = Query(select(_SUBSCRIBERS.c.id).where(_MATCHES).limit(_most("most")))
_BY_PREFIX = Query(
    select(_SUBSCRIBERS.c.id)
    .where(
        _SUBSCRIBERS.c.identity >= bindparam("first", type_=String()),
        _SUBSCRIBERS.c.identity < bindparam("last", type_=String()),
    )
    .limit(_most("most"))
)
# The tables of migration 0003 that only SQLite has.
_NUMBERS = table("subscriber_numbers", column("number"), column("subscriber_id", Uuid()))
_PHRASES = table("subscribers_search", column("rowid"), column("subscribers_search"))
_BY_PHRASE = Query(
    select(_NUMBERS.c.subscriber_id.label("id"))
    .join(_PHRASES, _PHRASES.c.rowid == _NUMBERS.c.number)
    .where(_PHRASES.c.subscribers_search.op("MATCH")(bindparam("phrase", type_=String())))
    .limit(_most("most"))
)
_NEXT_SOURCE = Query(
    select(_SUBSCRIPTIONS.c.source)
    .where(_SUBSCRIPTIONS.c.list_id == _LIST, _SUBSCRIPTIONS.c.source > bindparam("last", type_=String()))
    .order_by(_SUBSCRIPTIONS.c.source)
    .limit(1)
)

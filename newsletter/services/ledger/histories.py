"""What the chain alone does not show: subscriptions and events that do not fit each other, and what has no
place in the ledger at all.

Each list is checked by itself, `strays` finds what belongs to none."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import and_, bindparam, func, literal_column, or_, select
from sqlalchemy.orm import Session

from newsletter.database import table_of
from newsletter.domain.lifecycle import Event, is_step
from newsletter.models import Journal, LedgerHead, LedgerPage, MailingList, Subscription
from newsletter.queries import Query, among
from newsletter.services.ledger.content import EVENTS, told
from newsletter.services.ledger.faults import Fault
from newsletter.services.ledger.reading import Reader

_AT_ONCE = 2000


def unplaced(session: Session, list_id: UUID) -> Iterator[Fault]:
    """Events and pages of a list with a number that the journal does not give."""
    on_sqlite = session.get_bind().dialect.name == "sqlite"
    for table, what in ((EVENTS, "event"), (_PAGES, "page of the ledger")):
        number = table.c.seq
        is_odd = or_(number < 1, func.typeof(number).not_in(("integer", "null"))) if on_sqlite else number < 1
        found = session.execute(
            select(literal_column("count(*)"), func.min(number)).where(table.c.list_id == list_id, is_odd)
        ).one()
        if found[0]:
            yield Fault(None, f"{found[0]:,} × {what} with a number that is none, such as {found[1]!r}")


def states(session: Session, list_id: UUID) -> Iterator[Fault]:
    """Subscriptions that are not as their events left them, or whose events do not lead from one to the
    next."""
    reader = Reader(session)
    found = session.execute(_SUBSCRIBED, {"list": list_id}, execution_options={"yield_per": _AT_ONCE})
    for rows in found.partitions():
        histories: defaultdict[str, list[Any]] = defaultdict(list)
        ids = [UUID(row.id) for row in rows if _is_id(row.id)]
        for event in reader.rows(_HISTORIES, ids=ids):
            if event.list == list_id.hex:
                histories[event.subscription].append(event)
        for row in rows:
            yield from _history(row, sorted(histories[row.id], key=lambda event: event.id))


def _history(subscription: Any, events: Sequence[Any]) -> Iterator[Fault]:
    name, state = f"the subscription {subscription.id}", subscription.state
    if not events:
        yield Fault(None, f"{name} is {state}, but it has no event")
        return
    stands = None
    for event in events:
        if event.before != stands or not is_step(event.kind, event.before, event.after):
            step = f"{event.kind} from {event.before or 'nothing'} to {event.after or 'nothing'}"
            yield Fault(_number(event), f"{name}: no rule leads here ({step}) from {stands or 'nothing'}")
        stands = event.after
    if stands != state:
        yield Fault(
            _number(events[-1]), f"{name} is {state}, but its newest event left it {stands or 'erased'}"
        )


def lost(session: Session, list_id: UUID) -> Iterator[Fault]:
    """Subscriptions that are gone though nothing says that they were erased, or here though it does."""
    found = session.execute(_LOST, {"list": list_id}, execution_options={"yield_per": _AT_ONCE})
    for row in found:
        name = f"the subscription {row.subscription}"
        if row.here:
            yield Fault(_number(row), f"{name} is here, but an event says that it was erased")
        else:
            yield Fault(_number(row), f"{name} was removed, but not its events")


def strays(session: Session) -> Iterator[Fault]:
    """What belongs to no list, and a journal that cannot be."""
    journal = session.execute(select(_JOURNAL.c.seq, _JOURNAL.c.chained)).all()
    if len(journal) != 1 or not all(isinstance(number, int) for number in journal[0]):
        yield Fault(None, "the row that says how far the journal goes was removed, doubled or altered")
    elif not 0 <= journal[0].chained <= journal[0].seq:
        yield Fault(None, "the journal is numbered less far than the ledger goes")
    for table, what in (
        (EVENTS, "event"),
        (_SUBSCRIPTIONS, "subscription"),
        (_PAGES, "page of the ledger"),
        (table_of(LedgerHead), "seal of a ledger’s end"),
    ):
        whose = told(table.c.list_id).label("whose")
        is_known = select(_LISTS.c.id).where(_LISTS.c.id == table.c.list_id).exists()
        counted = select(whose, func.count().label("number")).select_from(table)
        for row in session.execute(counted.where(~is_known).group_by(table.c.list_id)):
            yield Fault(None, f"{row.number:,} × {what} of a list that is not there: {row.whose}")


def _number(row: Any) -> int | None:
    return row.seq if isinstance(row.seq, int) else None


def _is_id(text: Any) -> bool:
    try:
        return bool(UUID(text).hex == text)
    except (ValueError, TypeError, AttributeError):
        return False


_JOURNAL, _PAGES, _LISTS = table_of(Journal), table_of(LedgerPage), table_of(MailingList)
_SUBSCRIPTIONS = table_of(Subscription)
_IS_FORGET = EVENTS.c.kind == Event.FORGET.value
_SUBSCRIBED = select(told(_SUBSCRIPTIONS.c.id).label("id"), _SUBSCRIPTIONS.c.state).where(
    _SUBSCRIPTIONS.c.list_id == bindparam("list", type_=_SUBSCRIPTIONS.c.list_id.type)
)
# All, and not the newest alone: without statistics, PostgreSQL looks for that by walking all events. So does
# SQLite where the list is asked for, too.
_HISTORIES = Query(
    select(
        told(EVENTS.c.list_id).label("list"),
        told(EVENTS.c.subscription_id).label("subscription"),
        EVENTS.c.id,
        EVENTS.c.seq,
        EVENTS.c.kind,
        EVENTS.c.before,
        EVENTS.c.after,
    ).where(among(EVENTS.c.subscription_id, "ids"))
)
_IS_HERE = _SUBSCRIPTIONS.c.id.is_not(None)
_EVENTS_AND_SUBSCRIPTIONS = EVENTS.outerjoin(
    _SUBSCRIPTIONS,
    and_(_SUBSCRIPTIONS.c.id == EVENTS.c.subscription_id, _SUBSCRIPTIONS.c.list_id == EVENTS.c.list_id),
)
_LOST = (
    select(
        told(EVENTS.c.subscription_id).label("subscription"),
        func.min(EVENTS.c.seq).label("seq"),
        func.count(_SUBSCRIPTIONS.c.id).label("here"),
    )
    .select_from(_EVENTS_AND_SUBSCRIPTIONS)
    .where(EVENTS.c.list_id == bindparam("list"), _IS_HERE == _IS_FORGET)
    .group_by(EVENTS.c.subscription_id)
)

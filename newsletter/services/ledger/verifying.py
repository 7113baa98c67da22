"""Checking the ledger: every page against the one before, every event against its line, the end against the
seal, and every subscription against its events. It reads a stretch at a time, so memory stays flat however
long the journal is.

An event that is missing is a fault, unless a `forget` event with a later number says that it was erased, and
nothing else of its subscription is left: that is how erasing leaves it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Integer, bindparam, case, func, or_, select
from sqlalchemy.orm import Session

from newsletter.database import table_of
from newsletter.domain.ledger import SALT_BYTES, START, Chain, Head, Line, Page, commitment, unpack
from newsletter.domain.lifecycle import Event
from newsletter.models import Journal, LedgerPage, Subscription, Wording
from newsletter.queries import Query, among
from newsletter.services.ledger.content import CONTENT, EVENTS, told
from newsletter.services.ledger.faults import Checked, Fault
from newsletter.services.ledger.histories import lost, states, unplaced
from newsletter.services.ledger.keeping import chain_of, heads, is_sealed
from newsletter.services.ledger.reading import Reader
from newsletter.settings import Settings

_EVENTS_AT_ONCE = 2000
_PAGES_AT_ONCE = 100
_WORDS_KEPT = 10_000
_LAST = 2**63 - 1  # the end of what a number can be


def verify(
    session: Session, settings: Settings, list_id: UUID, kept: Head | None = None
) -> Iterator[Checked]:
    """Check a list from its first event to its last, page by page; `session` sees one moment of the database.
    With `kept`, a head that was kept elsewhere, also that the list's history still goes through it."""
    yield from _Check(session, chain_of(settings), list_id, kept).run()


class _Check:
    """One list's check, and how far it is."""

    def __init__(self, session: Session, chain: Chain, list_id: UUID, kept: Head | None) -> None:
        self._session = session
        self._chain = chain
        self._list_id = list_id
        self._kept = kept
        self._words = _Words(session)
        self._events = _Events(session, list_id)
        self._waiting = _waiting(session)
        self._entries = 0
        self._seq = 0
        self._link = START

    def run(self) -> Iterator[Checked]:
        for row in _pages(self._session, self._list_id):
            yield self._page(row)
        yield Checked(0, 0, tuple(self._end()))
        for further in (unplaced, states, lost):
            for fault in further(self._session, self._list_id):
                yield Checked(0, 0, (fault,))

    def _page(self, row: Any) -> Checked:
        try:
            lines = unpack(row.lines)
            page = Page(self._list_id, row.entries, row.seq, row.lines)
            missing = page.entries - len(lines) - self._entries
            is_linked = self._chain.is_linked(self._link, page, row.link)
            salts = bytes(row.salts)
        except (ValueError, TypeError, OverflowError):
            return self._unreadable(row)
        faults: list[Fault] = []
        if missing:
            faults.append(Fault(lines[0].seq, _missing(missing)))
        elif not is_linked:
            faults.append(Fault(lines[-1].seq, _unlinked(lines)))
        before, self._seq = self._seq, page.seq
        self._entries, self._link = page.entries, row.link
        faults += self._against_kept(before)
        checked = self._lines(lines, salts)
        return Checked(checked.intact, checked.erased, (*faults, *checked.faults))

    def _unreadable(self, row: Any) -> Checked:
        """The next page is still held against what there is of this one."""
        self._seq = row.seq
        self._entries = row.entries if isinstance(row.entries, int) else self._entries
        self._link = row.link if isinstance(row.link, bytes) else START
        return Checked(0, 0, (Fault(row.seq, "the page of the ledger that ends here is no page"),))

    def _lines(self, lines: Sequence[Line], salts: bytes) -> Checked:
        faults: list[Fault] = []
        found: list[tuple[Line, Any]] = []
        for place, line in enumerate(lines):
            faults += [Fault(event.seq, _INSERTED) for event in self._events.before(line.seq)]
            event, *others = self._events.at(line.seq) or (None,)
            faults += [Fault(line.seq, _INSERTED) for _ in others]
            salt = salts[place * SALT_BYTES : (place + 1) * SALT_BYTES]
            if event is not None and not _is_intact(event, line, salt):
                faults.append(Fault(line.seq, "the event was altered"))
            else:
                found.append((line, event))
        erased, still_here = self._erased([line for line, event in found if event is None])
        words = self._words.intact({event.wording for _, event in found if event is not None})
        intact = 0
        for line, event in found:
            if event is None and line.seq in still_here:
                faults.append(
                    Fault(
                        line.seq,
                        "the event was removed as if erased, but its subscription left more than that",
                    )
                )
            elif event is None and line.seq not in erased:
                faults.append(Fault(line.seq, "the event was removed"))
            elif event is not None and event.wording not in words:
                faults.append(Fault(line.seq, "the words that were shown were altered or removed"))
            else:
                intact += event is not None
        return Checked(intact, len(erased), tuple(sorted(faults, key=lambda fault: fault.seq or 0)))

    def _erased(self, gone: Sequence[Line]) -> tuple[set[int], set[int]]:
        """The numbers of those whose erasure the journal tells of, and of those of which it only says so."""
        if not gone:
            return set(), set()
        whose = {UUID(bytes=line.subscription) for line in gone}
        forgotten = {
            row.subscription_id.bytes: row
            for row in _FORGOTTEN.rows(self._session, ids=list(whose), last=_LAST)
            if row.list == self._list_id.hex
        }
        named = [
            (line.seq, forgotten[line.subscription].remains)
            for line in gone
            if line.subscription in forgotten
            and isinstance(forgotten[line.subscription].seq, int)
            and line.seq < forgotten[line.subscription].seq
        ]
        return {seq for seq, remains in named if not remains}, {seq for seq, remains in named if remains}

    def _against_kept(self, begins: int) -> list[Fault]:
        kept = self._kept
        if kept is None or not begins < kept.seq <= self._seq:
            return []
        self._kept = None
        if (kept.seq, kept.entries, kept.link) == (self._seq, self._entries, self._link):
            return []
        return [Fault(kept.seq, "the history up to here is another than that of the head that was kept")]

    def _end(self) -> Iterator[Fault]:
        for event in self._events.rest():
            if event.seq not in self._waiting:
                yield Fault(event.seq, _INSERTED)
        if self._kept is not None:
            yield Fault(self._kept.seq, "the ledger ends before the head that was kept")
        found = heads(self._session, [self._list_id]).get(self._list_id)
        if found is None:
            if self._entries:
                yield Fault(self._seq, "the seal of the ledger’s end was removed")
            return
        head, seal = found
        if not is_sealed(self._chain, head, seal):
            yield Fault(self._seq, "the seal of the ledger’s end was altered")
        elif head.entries > self._entries:
            cut = head.entries - self._entries
            yield Fault(head.seq, f"{_events(cut)} up to this one went missing at the end of the ledger")
        elif (head.entries, head.seq, head.link) != (self._entries, self._seq, self._link):
            yield Fault(head.seq, "the ledger does not end where its seal says")


class _Events:
    """The events of a list in their order, read a stretch at a time, taken by whoever knows how far. Those
    with numbers that the journal does not give are `unplaced`."""

    def __init__(self, session: Session, list_id: UUID) -> None:
        self._rows = self._read(session, list_id)
        self._next = next(self._rows, None)

    @staticmethod
    def _read(session: Session, list_id: UUID) -> Iterator[Any]:
        reader, since, last = Reader(session), 0, _LAST
        while rows := reader.rows(_EVENTS, list=list_id, since=since, last=last, most=_EVENTS_AT_ONCE):
            yield from (row for row in rows if isinstance(row.seq, int))
            since, last = rows[-1].seq, rows[-1].id

    def before(self, seq: int) -> Iterator[Any]:
        """Those below this number."""
        while self._next is not None and self._next.seq < seq:
            yield self._take()

    def at(self, seq: int) -> list[Any]:
        """Those of this number; there should be one."""
        found = []
        while self._next is not None and self._next.seq == seq:
            found.append(self._take())
        return found

    def rest(self) -> Iterator[Any]:
        while self._next is not None:
            yield self._take()

    def _take(self) -> Any:
        taken, self._next = self._next, next(self._rows, None)
        return taken


class _Words:
    """Looks whether words are what their digest says, and remembers which it has seen."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._seen: set[str | None] = {None}

    def intact(self, digests: set[str | None]) -> set[str | None]:
        """Those of the digests whose words are there, and are theirs. None stands for no words."""
        if len(self._seen) > _WORDS_KEPT:
            self._seen = {None}
        unseen = [digest for digest in digests - self._seen if digest is not None]
        if unseen:
            self._seen |= {
                row.digest
                for row in Reader(self._session).rows(_WORDS, digests=unseen)
                if hashlib.sha256(str(row.text).encode("utf-8", "replace")).hexdigest() == row.digest
            }
        return digests & self._seen


def _waiting(session: Session) -> range:
    """The numbers that are not in the ledger yet. Where they are not known, `strays` says so."""
    journal = session.execute(select(_JOURNAL.c.chained, _JOURNAL.c.seq)).first()
    if journal is None or not all(isinstance(number, int) for number in journal):
        return range(0)
    return range(journal.chained + 1, journal.seq + 1)


def _pages(session: Session, list_id: UUID) -> Iterator[Any]:
    since = 0
    while rows := _PAGES.rows(session, list=list_id, since=since, most=_PAGES_AT_ONCE):
        yield from (row for row in rows if isinstance(row.seq, int))
        since = rows[-1].seq


def _is_intact(event: Any, line: Line, salt: bytes) -> bool:
    try:
        return event.subscription == line.subscription.hex() and commitment(salt, event) == line.commitment
    except TypeError:  # bytes in the place of text
        return False


def _missing(number: int) -> str:
    if number < 0:
        return "a page of the ledger stands here that does not belong here"
    return f"before this one {_events(number)} went missing, and with them their lines in the ledger"


def _events(number: int) -> str:
    return "an event" if number == 1 else f"{number:,} events"


def _unlinked(lines: Sequence[Line]) -> str:
    return (
        f"what the ledger says of the events from {lines[0].seq} to here was altered, "
        "or made with keys that are neither in NEWSLETTER_SECRET_KEYS nor in NEWSLETTER_RETIRED_KEYS"
    )


_INSERTED = "the event was inserted: the ledger does not know it"
_JOURNAL, _LEDGER, _WORDINGS = table_of(Journal), table_of(LedgerPage), table_of(Wording)
_SUBSCRIPTIONS = table_of(Subscription)
_IS_FORGET = EVENTS.c.kind == Event.FORGET.value
_PAGES = Query(
    select(_LEDGER.c.seq, _LEDGER.c.entries, _LEDGER.c.lines, _LEDGER.c.salts, _LEDGER.c.link)
    .where(_LEDGER.c.list_id == bindparam("list"), _LEDGER.c.seq > bindparam("since", type_=BigInteger))
    .order_by(_LEDGER.c.seq)
    .limit(bindparam("most", type_=Integer))
)
# By number, and by id where somebody gave a number twice.
_EVENTS = Query(
    select(*CONTENT)
    .where(
        EVENTS.c.list_id == bindparam("list"),
        EVENTS.c.seq >= bindparam("since", type_=BigInteger),
        or_(
            EVENTS.c.seq > bindparam("since", type_=BigInteger),
            EVENTS.c.id > bindparam("last", type_=BigInteger),
        ),
    )
    .order_by(EVENTS.c.seq, EVENTS.c.id)
    .limit(bindparam("most", type_=Integer))
)
# One that has no number yet was made after all that have one. What `remains` of the subscription beside it:
# erasing leaves nothing. Not by list: SQLite would walk all events of it, at each page.
_FORGOTTEN = Query(
    select(
        told(EVENTS.c.list_id).label("list"),
        EVENTS.c.subscription_id,
        func.max(case((_IS_FORGET, func.coalesce(EVENTS.c.seq, bindparam("last", type_=BigInteger))))).label(
            "seq"
        ),
        (func.count() - 1 + func.count(_SUBSCRIPTIONS.c.id)).label("remains"),
    )
    .outerjoin(_SUBSCRIPTIONS, _SUBSCRIPTIONS.c.id == EVENTS.c.subscription_id)
    .where(among(EVENTS.c.subscription_id, "ids"))
    .group_by(EVENTS.c.list_id, EVENTS.c.subscription_id)
    .having(func.max(case((_IS_FORGET, 1))) == 1)
)
_WORDS = Query(select(_WORDINGS.c.digest, _WORDINGS.c.text).where(among(_WORDINGS.c.digest, "digests")))

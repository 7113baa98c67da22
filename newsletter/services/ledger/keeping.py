"""Writing the ledger: events that were numbered become pages, each chained to the one before of its list.

The worker does it in the transaction that numbers, so a sign-up pays nothing. What an older version numbered
is caught up with in the same way, batch by batch. What has its line gets no second one."""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import BigInteger, bindparam, insert, select, text, update
from sqlalchemy.orm import Session

from newsletter.database import table_of
from newsletter.domain.ledger import SALT_BYTES, START, Chain, Head, Page, commitment, pack, unpack
from newsletter.models import Journal, LedgerHead, LedgerPage, MailingList
from newsletter.queries import Query, among
from newsletter.services.ledger.content import CONTENT, EVENTS
from newsletter.settings import Settings

_BATCHES = {"sqlite": 1000, "postgresql": 5000}  # as the journal's
# Lines of a page: erasing one event writes the salts of its page anew.
_LONGEST = 500
_NO_SALT = bytes(SALT_BYTES)

log = structlog.get_logger()


class LedgerStopped(Exception):
    """The end of a list's chain is not as it was sealed. Nothing is chained to it before somebody has looked:
    it would hide what was done."""

    def __init__(self, list_id: UUID) -> None:
        super().__init__(
            f"the ledger of list {list_id} does not end as it was sealed: run `newsletter verify-ledger`"
        )


def chain_of(settings: Settings) -> Chain:
    """The chain by the keys of this service."""
    return Chain(settings.secret_keys, settings.retired_keys)


def is_behind(session: Session) -> bool:
    """Whether there are numbered events that are not in the ledger: a look that locks nothing."""
    return bool(_BEHIND.rows(session))


def extend(
    session: Session, settings: Settings, *, limit: int | None = None, over_breaks: bool = False
) -> int:
    """Take up to `limit` numbers further; returns how many, 0 where nothing is left or another worker is at
    it. Raises `LedgerStopped`, unless it goes on `over_breaks`, in such a way that verifying shows them."""
    limit = limit or _BATCHES[session.get_bind().dialect.name]
    held = session.execute(
        select(_JOURNAL.c.seq, _JOURNAL.c.chained).with_for_update(skip_locked=True)
    ).one_or_none()
    if held is None or held.chained >= held.seq:
        return 0
    upto = min(held.chained + limit, held.seq)
    # Lists are named, so that the index by list and number finds a stretch of numbers over all of them.
    lists = [row.id for row in _LISTS.rows(session)]
    of_list: defaultdict[str, list[Any]] = defaultdict(list)
    for row in _NUMBERED.rows(session, lists=lists, since=held.chained, upto=upto):
        of_list[row.list].append(row)
    chain = chain_of(settings)
    ends = _ends(session, chain, [UUID(key) for key in of_list], over_breaks=over_breaks)
    _append(session, chain, ends, {UUID(key): rows for key, rows in of_list.items()})
    session.execute(update(_JOURNAL).values(chained=upto))
    return int(upto - held.chained)


def _ends(session: Session, chain: Chain, lists: Sequence[UUID], *, over_breaks: bool) -> dict[UUID, Head]:
    """Where lists that have pages already go on."""
    ends = {}
    for list_id, (head, seal) in heads(session, lists).items():
        if is_sealed(chain, head, seal):
            ends[list_id] = head
        elif over_breaks:
            # Chained to nothing, and counted as if one was missing: whatever is there, this does not fit.
            ends[list_id] = Head(list_id, 1, 0, START)
        else:
            raise LedgerStopped(list_id)
    return ends


def is_sealed(chain: Chain, head: Head, seal: bytes) -> bool:
    """Whether the pages of a list did go so far; SQLite keeps anything in any column."""
    try:
        return chain.is_sealed(head, seal)
    except (ValueError, TypeError):
        return False


def _append(
    session: Session, chain: Chain, known: Mapping[UUID, Head], of_list: Mapping[UUID, list[Any]]
) -> None:
    pages: list[dict[str, Any]] = []
    first: list[dict[str, Any]] = []
    further: list[dict[str, Any]] = []
    for list_id, rows in sorted(of_list.items()):
        head = known.get(list_id) or Head(list_id, 0, 0, START)
        rows = _fresh(rows, head.seq)  # noqa: PLW2901
        if not rows:
            continue
        for start in range(0, len(rows), _LONGEST):
            page, salts = _page(head, rows[start : start + _LONGEST])
            head = Head(list_id, page.entries, page.seq, chain.link(head.link, page))
            pages.append(
                {
                    "list_id": list_id,
                    "seq": page.seq,
                    "entries": page.entries,
                    "lines": page.lines,
                    "salts": salts,
                    "link": head.link,
                }
            )
        moved = {
            "list": list_id,
            "seq": head.seq,
            "entries": head.entries,
            "link": head.link,
            "seal": chain.seal(head),
        }
        if list_id not in known:
            log.info("ledger_begins", list=str(list_id), seq=rows[0].seq)
        (further if list_id in known else first).append(moved)
    _APPEND.run(session, pages)
    _FIRST_HEAD.run(session, first)
    _NEXT_HEAD.run(session, further)


def _fresh(rows: Sequence[Any], above: int) -> list[Any]:
    """Those that have no line yet, each number once: what took another event's number, verifying tells."""
    by_number = {row.seq: row for row in reversed(rows)}
    return [by_number[seq] for seq in sorted(by_number) if seq > above]


def _page(head: Head, rows: Sequence[Any]) -> tuple[Page, bytes]:
    """The next page, and its salts."""
    salts = secrets.token_bytes(SALT_BYTES * len(rows))
    lines = b"".join(
        [
            pack(
                row.seq,
                bytes.fromhex(row.subscription),
                commitment(salts[start : start + SALT_BYTES], row),
            )
            for start, row in zip(range(0, len(salts), SALT_BYTES), rows, strict=True)
        ]
    )
    return Page(head.list_id, head.entries + len(rows), rows[-1].seq, lines), salts


def heads(session: Session, lists: Sequence[UUID]) -> dict[UUID, tuple[Head, bytes]]:
    """How far the pages of lists go, each with its seal."""
    return {
        row.list_id: (Head(row.list_id, row.entries, row.seq, row.link), row.seal)
        for row in _HEADS.rows(session, lists=lists)
    }


def forget(session: Session, events: Iterable[tuple[UUID, int]]) -> None:
    """Remove what could still tell something of events (each its list and its number) that are erased. Their
    lines stay, and keep the chain whole."""
    wanted: defaultdict[UUID, list[int]] = defaultdict(list)
    for list_id, seq in events:
        wanted[list_id].append(seq)
    for list_id, numbers in sorted(wanted.items()):
        left = set(numbers)
        while left:
            (page,) = _PAGE_WITH.rows(session, list=list_id, number=min(left)) or (None,)
            if page is None:
                break  # they are not in the ledger yet, and never will be
            salts = bytearray(page.salts)
            for place, line in enumerate(unpack(page.lines)):
                if line.seq in left:
                    salts[place * SALT_BYTES : (place + 1) * SALT_BYTES] = _NO_SALT
            _FORGET.run(session, [{"list": list_id, "number": page.seq, "salts": bytes(salts)}])
            left = {seq for seq in left if seq > page.seq}


_JOURNAL = table_of(Journal)
_PAGES, _HEADS_TABLE = table_of(LedgerPage), table_of(LedgerHead)
_BEHIND = Query(select(_JOURNAL.c.id).where(text("chained < seq")))
_LISTS = Query(select(table_of(MailingList).c.id))
# Locked, so that none gets its line that is just being erased (newsletter.services.evidence), in the order in
# which erasing locks them.
_NUMBERED = Query(
    select(*CONTENT)
    .where(
        among(EVENTS.c.list_id, "lists"),
        EVENTS.c.seq > bindparam("since", type_=BigInteger),
        EVENTS.c.seq <= bindparam("upto", type_=BigInteger),
    )
    .order_by(EVENTS.c.id)
    .with_for_update(read=True, key_share=True)
)
_APPEND = Query(insert(_PAGES), columns=("list_id", "seq", "entries", "lines", "salts", "link"))
_HEADS = Query(select(_HEADS_TABLE).where(among(_HEADS_TABLE.c.list_id, "lists")))
_FIRST_HEAD = Query(
    insert(_HEADS_TABLE).values(list_id=bindparam("list")), columns=("seq", "entries", "link", "seal")
)
_NEXT_HEAD = Query(
    update(_HEADS_TABLE).where(_HEADS_TABLE.c.list_id == bindparam("list")),
    columns=("seq", "entries", "link", "seal"),
)
_PAGE_WITH = Query(
    select(_PAGES.c.seq, _PAGES.c.lines, _PAGES.c.salts)
    .where(
        _PAGES.c.list_id == bindparam("list"),
        _PAGES.c.seq >= bindparam("number", type_=BigInteger),
    )
    .order_by(_PAGES.c.seq)
    .limit(1)
    .with_for_update()
)
_FORGET = Query(
    update(_PAGES).where(
        _PAGES.c.list_id == bindparam("list"), _PAGES.c.seq == bindparam("number", type_=BigInteger)
    ),
    columns=("salts",),
)

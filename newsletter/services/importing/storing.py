"""From staged rows to subscribers: set by set, by the same statements on both databases.

`survey` finds how each row stands with what is there, and `tell` makes the report of it. A check ends here. A
run first adds the people that are new, so that nobody else can add them meanwhile, and surveys then."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from newsletter.database import rfc3339
from newsletter.domain.lifecycle import IMPORTS, State
from newsletter.domain.searching import search_text
from newsletter.domain.suppressing import LIFTABLE
from newsletter.models.outbox import IS_OPEN
from newsletter.services import evidence, outbox
from newsletter.services.importing.attributes import attributes_json
from newsletter.services.importing.staging import BATCH, Staging
from newsletter.services.importing.standing import Refused

_GONE = (State.UNSUBSCRIBED, State.BOUNCED, State.COMPLAINED)
_WANTS_MAIL = "('pending', 'confirmed')"
# Who left, and has been signed up again since, by whomever: a file is no more their consent than before, so
# only they confirm it.
_LEFT_ONCE = "x.state = 'pending' AND x.unsubscribed_at IS NOT NULL"
# The ids of new subscriptions: their own where they bring one that is free.
_ID = "coalesce(s.own_id, s.subscription_id)"
_LIFTABLE = ", ".join(f"'{reason}'" for reason in sorted(LIFTABLE))
_NEW = (
    "FROM staged s LEFT JOIN known k ON k.line = s.line LEFT JOIN barred b ON b.line = s.line "
    "WHERE b.line IS NULL AND k.subscription IS NULL"
)


# Rows whose person is not there, though everybody was added.
_MISSING = (
    "SELECT 1 FROM staged s LEFT JOIN subscribers p ON p.identity = s.identity "
    "WHERE p.id IS NULL AND NOT EXISTS (SELECT 1 FROM barred b WHERE b.line = s.line)"
)


@dataclass(frozen=True)
class Terms:
    """What holds for all rows of an import. `wording` is the digest of the operator's statement. Where its
    starter does not see `all_lists`, it touches nothing but its list, and tells nothing of others."""

    import_id: UUID
    list_id: UUID
    now: datetime
    all_lists: bool
    wording: str | None
    statement: str | None
    ask_per_hour: int | None
    sender_domain: str


class Storing:
    """Stores what is staged, in the transaction of its connection."""

    def __init__(self, staging: Staging, terms: Terms, go_on: Callable[[], None] = lambda: None) -> None:
        """`go_on` is asked before each statement, and raises where the work must end."""
        self._staging = staging
        self._go_on = go_on
        self._terms = terms
        self._on_postgresql = staging.on_postgresql
        self._session = Session(staging.connection)
        moment = "timestamptz" if self._on_postgresql else "text"
        self._now = f"CAST(:now AS {moment})"
        self._list = "CAST(:list AS uuid)" if self._on_postgresql else ":list"
        self._values = {"now": rfc3339(terms.now), "list": terms.list_id.hex}

    def survey(self, *, writing: bool) -> None:
        """Find who is suppressed and who is known. With `writing`, who is known is locked."""
        if writing or self._terms.all_lists:
            # What a check tells must not tell whom other lists suppress.
            self._bar()
        if writing:
            anybody_known = self._add_people()
            if self._on_postgresql:
                self._bar_meanwhile()
            if not anybody_known:
                return
        self._run(
            "INSERT INTO known (line, person, subscription, before, after) "  # noqa: S608
            "SELECT s.line, p.id, x.id, x.state, "
            f"CASE WHEN b.line IS NOT NULL AND s.state IN {_WANTS_MAIL} THEN x.state "
            f"WHEN {_LEFT_ONCE} AND s.state = 'confirmed' THEN x.state "
            f"ELSE {_after('x.state', 's.state')} END "
            "FROM staged s JOIN subscribers p ON p.identity = s.identity "
            f"LEFT JOIN subscriptions x ON x.subscriber_id = p.id AND x.list_id = {self._list} "
            "LEFT JOIN barred b ON b.line = s.line WHERE p.id <> s.subscriber_id"
        )
        if self._on_postgresql:
            self._run("ANALYZE known")
        self._fill(writing=writing)

    def _bar(self) -> None:
        """Find who is suppressed. An archive's own suppressed come back as they were, whichever of its lists
        comes first: their mail is kept away all the same. Of whom nothing is held here, they were erased."""
        for rows in ("staged d", "staged s JOIN staged_digests d ON d.line = s.line"):
            self._run(
                f"INSERT INTO barred SELECT d.line, x.reason FROM {rows} "  # noqa: S608
                "JOIN suppressions x ON x.digest = d.digest WHERE 1 = 1 ON CONFLICT (line) DO NOTHING"
            )
        if self._staging.with_history:
            self._run(
                "DELETE FROM barred WHERE line IN (SELECT s.line FROM staged s JOIN barred b "
                "ON b.line = s.line AND b.reason = s.suppressed "
                "JOIN subscribers p ON p.identity = s.identity AND p.id <> s.subscriber_id "
                "WHERE s.line IN (SELECT line FROM staged_events))"
            )

    def _bar_meanwhile(self) -> None:
        """Find who erased themself between the first look and the moment when their row was ours. They were
        added anew then, which is taken back: nobody has seen it."""
        self._bar()
        self._run(
            "DELETE FROM subscribers WHERE id IN "
            "(SELECT s.subscriber_id FROM staged s JOIN barred b ON b.line = s.line)"
        )

    def store(self) -> int:
        """Store all of it; returns how many are asked to confirm."""
        self.survey(writing=True)
        self._remember_statement()
        if self._staging.with_ids:
            # The id of who was erased is not free either: the journal has told that it is gone.
            self._run(
                "UPDATE staged SET own_id = NULL WHERE own_id IN (SELECT id FROM subscriptions) "
                "OR EXISTS (SELECT 1 FROM consent_events e WHERE e.subscription_id = staged.own_id)"
            )
        self._subscribe()
        self._move()
        self._record()
        self._tell_others()
        if self._terms.all_lists:
            self._suppress()
            self._complain_elsewhere()
        return self._ask() if self._terms.ask_per_hour else 0

    def tell(self) -> dict[str, Any]:
        """What becomes of the rows, counted."""
        added: Counter[str] = Counter()
        changed: Counter[str] = Counter()
        skipped: Counter[str] = Counter()
        unchanged = filled = demoted = 0
        for before, after, wanted, barred, fills, lowered, number in self._staging.connection.execute(
            text(
                "SELECT k.before, k.after, s.state, CASE WHEN b.line IS NULL THEN 0 ELSE 1 END, "
                "coalesce(k.filled, 0), s.demoted, count(*) FROM staged s "
                "LEFT JOIN known k ON k.line = s.line LEFT JOIN barred b ON b.line = s.line "
                "GROUP BY 1, 2, 3, 4, 5, 6"
            )
        ):
            if barred and (before is None or wanted in (State.PENDING, State.CONFIRMED)):
                skipped["suppressed"] += number
                continue
            demoted += number * lowered
            filled += number * fills
            if before is None:
                added[wanted] += number
            elif after != before:
                changed[after] += number
            elif fills:
                continue
            elif before in _GONE and wanted in (State.PENDING, State.CONFIRMED):
                skipped[before] += number
            else:
                unchanged += number
        return self._staging.counts() | {
            "added": dict(added),
            "changed": dict(changed),
            "filled": filled,
            "unchanged": unchanged,
            "skipped": dict(skipped),
            "demoted": demoted,
        }

    def _add_people(self) -> bool:
        """Add who is not known, and hold who is; returns whether anybody may be known."""
        added = self._insert_people()
        if not self._on_postgresql:
            return True
        if added == self._staging.rows - self._staging.refused:
            return False
        self._lock()
        while self._count(_MISSING):
            # They were erased or purged between the two statements.
            self._insert_people()
            self._lock()
        return True

    def _insert_people(self) -> int:
        # In order of identity, as sign-ups do it, so that neither waits for the other for ever.
        order = ' ORDER BY s.identity COLLATE "C"' if self._on_postgresql else ""
        return self._run(
            "INSERT INTO subscribers (id, address, identity, name, search, locale, attributes, created_at) "  # noqa: S608
            "SELECT s.subscriber_id, s.address, s.identity, s.name, s.search, s.locale, s.attributes, "
            f"coalesce(s.person_created_at, s.created_at, {self._now}) FROM staged s "
            f"WHERE NOT EXISTS (SELECT 1 FROM barred b WHERE b.line = s.line){order} "
            "ON CONFLICT (identity) DO NOTHING"
        )

    def _lock(self) -> None:
        """Who is known is ours until the commit, in the order in which everybody takes them: what is read
        next is as it stays. So are their subscriptions, those of other lists, too: see `_tell_others`."""
        people = "FROM staged s JOIN subscribers p ON p.identity = s.identity"
        locked = self._count(
            f"SELECT 1 {people} WHERE p.id <> s.subscriber_id ORDER BY p.identity FOR UPDATE OF p"
        )
        if locked:
            self._count(
                f"SELECT 1 {people} JOIN subscriptions x ON x.subscriber_id = p.id "
                "WHERE p.id <> s.subscriber_id ORDER BY x.id FOR UPDATE OF x"
            )

    def _count(self, rows: str) -> int:
        self._go_on()
        named = {"list": self._values["list"]} if ":list" in rows else {}
        number = self._staging.connection.scalar(text(f"SELECT count(*) FROM ({rows}) found"), named)  # noqa: S608
        return int(number or 0)

    def _fill(self, *, writing: bool) -> None:
        """Give who is known a name, and attributes, where they have none of that key."""
        session, last = self._session, -1
        whom = "" if self._terms.all_lists else "AND k.subscription IS NOT NULL "
        while True:
            rows = session.execute(
                text(
                    "SELECT k.line, k.person, p.address, p.name, CAST(p.attributes AS text) AS has, "  # noqa: S608
                    "s.name AS new_name, CAST(s.attributes AS text) AS brings "
                    "FROM known k JOIN staged s ON s.line = k.line JOIN subscribers p ON p.id = k.person "
                    "WHERE k.line > :last AND NOT EXISTS (SELECT 1 FROM barred b WHERE b.line = k.line) "
                    "AND ((coalesce(p.name, '') = '' AND s.name IS NOT NULL) "
                    f"OR CAST(s.attributes AS text) <> '{{}}') {whom}ORDER BY k.line LIMIT :most"
                ),
                {"last": last, "most": BATCH},
            ).all()
            if not rows:
                return
            last = rows[-1].line
            filled = [row for row in map(_filled, rows) if row is not None]
            if filled:
                session.execute(text("UPDATE known SET filled = 1 WHERE line = :line"), filled)
            if filled and writing:
                json_type = "json" if self._on_postgresql else "text"
                session.execute(
                    text(
                        "UPDATE subscribers SET name = :name, search = :search, "  # noqa: S608
                        f"attributes = CAST(:attributes AS {json_type}) WHERE id = :person"
                    ),
                    filled,
                )

    def _remember_statement(self) -> None:
        if self._terms.wording is not None:
            self._run(
                "INSERT INTO wordings (digest, text) VALUES (:digest, :words) "
                "ON CONFLICT (digest) DO NOTHING",
                digest=self._terms.wording,
                words=self._terms.statement,
            )

    def _subscribe(self) -> None:
        self._run(
            "INSERT INTO subscriptions (id, subscriber_id, list_id, state, generation, source, created_at, "
            "asked_at, confirmed_at, unsubscribed_at, paused_until) "
            f"SELECT {_ID}, coalesce(k.person, s.subscriber_id), {self._list}, s.state, s.generation, "
            f"s.source, coalesce(s.created_at, {self._now}), coalesce(s.asked_at, {self._now}), "
            f"CASE WHEN s.state = 'confirmed' THEN coalesce(s.confirmed_at, {self._now}) "
            "ELSE s.confirmed_at END, "
            f"CASE WHEN s.state = 'unsubscribed' THEN coalesce(s.unsubscribed_at, {self._now}) "
            f"ELSE s.unsubscribed_at END, s.paused_until {_NEW}"
        )

    def _move(self) -> None:
        """Change the subscriptions that were there, and take back the mail of who leaves."""
        self._run(
            "UPDATE subscriptions SET state = k.after, "  # noqa: S608
            f"confirmed_at = CASE WHEN k.after = 'confirmed' THEN coalesce(s.confirmed_at, {self._now}) "
            "ELSE subscriptions.confirmed_at END, "
            "unsubscribed_at = CASE WHEN k.after = 'unsubscribed' "
            f"THEN coalesce(s.unsubscribed_at, {self._now}) "
            "ELSE subscriptions.unsubscribed_at END "
            "FROM known k JOIN staged s ON s.line = k.line "
            "WHERE subscriptions.id = k.subscription AND k.after <> k.before"
        )
        self._run(
            f"UPDATE outbox SET status = 'cancelled' WHERE {IS_OPEN} AND subscription_id IN "  # noqa: S608
            "(SELECT subscription FROM known WHERE after <> before "
            "AND after IN ('unsubscribed', 'bounced', 'complained'))"
        )

    def _record(self) -> None:
        """What an archive brings of the past, then one event for each subscription that is new or changed."""
        columns = "list_id, subscription_id, kind, before, after, at, way, wording"
        if self._staging.with_history:
            more = "origin, page, network, agent, message_id"
            self._run(
                "INSERT INTO wordings (digest, text) SELECT DISTINCT digest, words FROM staged_wordings "
                "WHERE 1 = 1 ON CONFLICT (digest) DO NOTHING"
            )
            self._run(
                f"INSERT INTO consent_events ({columns}, {more}) "  # noqa: S608
                f"SELECT {self._list}, {_ID}, e.kind, e.before, e.after, e.at, e.way, e.wording, "
                "e.origin, e.page, e.network, e.agent, e.message_id "
                "FROM staged_events e JOIN staged s ON s.line = e.line "
                "LEFT JOIN known k ON k.line = s.line LEFT JOIN barred b ON b.line = s.line "
                "WHERE b.line IS NULL AND k.subscription IS NULL ORDER BY e.line, e.place"
            )
        told = "EXISTS (SELECT 1 FROM staged_events e WHERE e.line = s.line)"
        stood = f"CASE WHEN {told} THEN s.state END" if self._staging.with_history else "NULL"
        wording = "CAST(:wording AS text)"
        self._run(
            f"INSERT INTO consent_events ({columns}) "
            f"SELECT {self._list}, {_ID}, 'import', {stood}, s.state, {self._now}, 'import', {wording} "
            f"{_NEW} "
            "ORDER BY s.line",
            wording=self._terms.wording,
        )
        self._run(
            f"INSERT INTO consent_events ({columns}) "  # noqa: S608
            f"SELECT {self._list}, k.subscription, 'import', k.before, k.after, {self._now}, 'import', "
            f"{wording} "
            "FROM known k WHERE k.subscription IS NOT NULL AND (k.after <> k.before OR k.filled = 1) "
            "ORDER BY k.line",
            wording=self._terms.wording,
        )

    def _tell_others(self) -> None:
        """A name belongs to the person, so the journals of their other lists tell of it, too."""
        self._run(
            "INSERT INTO consent_events (list_id, subscription_id, kind, before, after, at, way) "  # noqa: S608
            f"SELECT x.list_id, x.id, 'edit', x.state, x.state, {self._now}, 'import' "
            "FROM known k JOIN subscriptions x ON x.subscriber_id = k.person "
            f"WHERE k.filled = 1 AND x.list_id <> {self._list} ORDER BY x.id"
        )

    def _suppress(self) -> None:
        self._run(
            "INSERT INTO suppressions (digest, reason, created_at) "  # noqa: S608
            f"SELECT s.digest, coalesce(s.suppressed, 'complaint'), {self._now} FROM staged s "
            "WHERE s.state = 'complained' OR s.suppressed IS NOT NULL ON CONFLICT (digest) DO UPDATE "
            # What nobody can lift takes the place of what they could.
            f"SET reason = excluded.reason WHERE suppressions.reason IN ({_LIFTABLE}) "
            f"AND excluded.reason NOT IN ({_LIFTABLE})"
        )

    def _complain_elsewhere(self) -> None:
        """A complaint ends all that the person holds, as one that comes by mail does: exports of their other
        lists would hand them out. An archive tells of each of its lists itself."""
        told = "AND s.line NOT IN (SELECT line FROM staged_events) " if self._staging.with_history else ""
        held = (
            "FROM staged s JOIN known k ON k.line = s.line "
            "JOIN subscriptions x ON x.subscriber_id = k.person "
            f"WHERE s.state = 'complained' AND x.list_id <> {self._list} AND x.state <> 'complained' {told}"
        )
        self._run(
            f"UPDATE outbox SET status = 'cancelled' WHERE {IS_OPEN} AND subscription_id IN "  # noqa: S608
            f"(SELECT x.id {held})"
        )
        self._run(
            "INSERT INTO consent_events (list_id, subscription_id, kind, before, after, at, way) "
            f"SELECT x.list_id, x.id, 'complain', x.state, 'complained', {self._now}, 'import' {held}"
            "ORDER BY x.id"
        )
        self._run(f"UPDATE subscriptions SET state = 'complained' WHERE id IN (SELECT x.id {held})")  # noqa: S608

    def _ask(self) -> int:
        """Put a confirmation into the outbox for each new pending subscription, so many an hour, after those
        that the list asks already. Its sign-up lapses counted from when it is asked."""
        terms = self._terms
        assert terms.ask_per_hour is not None
        apart = timedelta(hours=1) / terms.ask_per_hour
        if self._on_postgresql:
            # Of two imports that end at once, the later begins where the other ends.
            self._run(f"SELECT 1 FROM mailing_lists WHERE id = {self._list} FOR NO KEY UPDATE")  # noqa: S608
        last = outbox.last_ask(self._session, terms.list_id)
        begin = terms.now if last is None else max(terms.now, last + apart)
        self._run(
            f"INSERT INTO asked (place, subscription, generation) "
            f"SELECT row_number() OVER (ORDER BY s.line), {_ID}, s.generation {_NEW} "
            "AND s.state = 'pending' AND s.suppressed IS NULL"
        )
        place = asked = 0
        while True:
            rows = self._session.execute(
                text(
                    "SELECT place, subscription, generation FROM asked WHERE place > :last "
                    "ORDER BY place LIMIT :most"
                ),
                {"last": place, "most": BATCH},
            ).all()
            if not rows:
                return asked
            changes, messages = [], []
            for place, subscription, generation in rows:
                identifier = subscription if isinstance(subscription, UUID) else UUID(subscription)
                due = begin + apart * (place - 1)
                changes.append({"subscription": identifier, "asked_at": due})
                messages.append(
                    outbox.import_row(
                        terms.import_id, identifier, generation, due=due, sender_domain=terms.sender_domain
                    )
                )
            evidence.change(self._session, changes)
            outbox.enqueue(self._session, messages)
            asked += len(rows)

    def _run(self, sql: str, **values: Any) -> int:
        self._go_on()
        named = {name: value for name, value in (self._values | values).items() if f":{name}" in sql}
        return self._staging.run(sql, **named)


def _after(before: str, wanted: str) -> str:
    """The table of what an import makes of a state, as an SQL expression."""
    cases = " ".join(
        f"WHEN '{there} {named}' THEN '{result}'"
        for there, moves in IMPORTS.items()
        if there is not None
        for named, result in moves.items()
    )
    return f"CASE {before} || ' ' || {wanted} {cases} END"


def _filled(row: Any) -> dict[str, Any] | None:
    """New columns of a person, or None where nothing is empty that the file fills."""
    has, brings = json.loads(row.has), json.loads(row.brings)
    missing = {key: value for key, value in brings.items() if key not in has}
    name = row.name or row.new_name
    if not missing and name == row.name:
        return None
    try:
        attributes = attributes_json(has | missing)
    except Refused:
        attributes = row.has
        if name == row.name:
            return None
    return {
        "line": row.line,
        "person": row.person,
        "name": name,
        "search": search_text(row.address, name),
        "attributes": attributes,
    }

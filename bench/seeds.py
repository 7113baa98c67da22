"""Fills databases with subscribers by set-wise SQL: a million rows through the service would take minutes.

Subscriber and subscription number `n` have ids made from `n`, so that links to them can be written without
asking the database.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg

from newsletter.domain.links import Links

# The ids have the form of a version 7 UUID, and grow as the service's do.
SUBSCRIBER = "01900000-0000-7000-8000-"
SUBSCRIPTION = "01900001-0000-7000-8000-"
_MESSAGE = "01900002-0000-7000-8000-"
OTHER_LISTS = 9
_WORDING = "bench"

Connection = psycopg.Connection[Any]


def subscription_id(number: int) -> UUID:
    """The id of seeded subscription `number`."""
    return UUID(f"{SUBSCRIPTION}{number:012x}")


def pg_id(prefix: str, number: str) -> str:
    """An SQL expression for the id made from the SQL expression `number`."""
    return f"('{prefix}' || lpad(to_hex({number}::bigint), 12, '0'))::uuid"


def fill_postgres(connection: Connection, numbers: range, *, state: str, mail: str = "sent") -> None:
    """Subscribers `numbers` of the list `daily`, each with the evidence and the mail of a sign-up."""
    confirmed_at = "now()" if state == "confirmed" else "NULL"
    sent_at = "now()" if mail == "sent" else "NULL"
    series = f"generate_series({numbers.start}::bigint, {numbers.stop - 1}::bigint) n"
    subscriber, subscription = pg_id(SUBSCRIBER, "n"), pg_id(SUBSCRIPTION, "n")
    prepare_wording(connection)
    for statement in (
        f"""INSERT INTO subscribers (id, address, identity, name, search, locale, attributes, created_at)
            SELECT {subscriber}, 'reader' || n || '@example.org', 'reader' || n || '@example.org',
                'Reader ' || n, 'reader' || n || '@example.org reader ' || n, 'en', '{{}}', now()
            FROM {series}""",
        f"""INSERT INTO subscriptions (id, subscriber_id, list_id, state, generation, source, created_at,
                asked_at, confirmed_at)
            SELECT {subscription}, {subscriber}, l.id, '{state}', 1, 'form', now(), now(), {confirmed_at}
            FROM {series}, (SELECT id FROM mailing_lists WHERE slug = 'daily') l""",
        f"""INSERT INTO consent_events (list_id, subscription_id, kind, after, at, way, wording, network, seq)
            SELECT l.id, {subscription}, 'sign_up', '{state}', now(), 'form', '{_WORDING}', '127.0.0.1', n
            FROM {series}, (SELECT id FROM mailing_lists WHERE slug = 'daily') l""",
        # As if the worker had done its work: what is measured is not how it catches up.
        "UPDATE journal SET (seq, chained) = (SELECT max(seq), max(seq) FROM consent_events)",
        "DELETE FROM tallies",
        """INSERT INTO tallies (list_id, day, kind, before, after, number)
            SELECT list_id, to_char(at, 'YYYY-MM-DD'), kind, coalesce(before, ''), coalesce(after, ''),
                count(*)
            FROM consent_events GROUP BY 1, 2, 3, 4, 5""",
        f"""INSERT INTO outbox (id, subscription_id, kind, status, attempts, next_attempt_at, message_id,
                idempotency_key, created_at, sent_at)
            SELECT {pg_id(_MESSAGE, "n")}, {subscription}, 'confirmation', '{mail}', 0, now(),
                '<' || n || '@example.org>', 'seed:' || n, now(), {sent_at} FROM {series}""",
    ):
        connection.execute(statement.encode())


def waiting_mails(count: int, domain: str, lane: int, *, on_postgres: bool) -> Iterator[str]:
    """Statements that make `count` unconfirmed people at a domain, each with a confirmation in a lane, due
    now."""
    series = f"WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {count})"
    moment = "now()" if on_postgres else "strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')"
    address = f"'reader' || n || '@{domain}'"

    def id_of(prefix: str) -> str:
        if on_postgres:
            return pg_id(prefix, "n")
        return f"printf('{prefix.replace('-', '')}%012x', n)"

    person, subscription = id_of(SUBSCRIBER), id_of(SUBSCRIPTION)
    yield f"""INSERT INTO subscribers (id, address, identity, search, locale, attributes, created_at)
        {series} SELECT {person}, {address}, {address}, {address}, 'en', '{{}}', {moment} FROM c"""
    yield f"""INSERT INTO subscriptions (id, subscriber_id, list_id, state, generation, source, created_at,
            asked_at)
        {series} SELECT {subscription}, {person}, (SELECT id FROM mailing_lists WHERE slug = 'daily'),
            'pending', 1, 'import', {moment}, {moment} FROM c"""
    yield f"""INSERT INTO outbox (id, subscription_id, kind, status, lane, attempts, next_attempt_at,
            message_id, idempotency_key, created_at)
        {series} SELECT {id_of(_MESSAGE)}, {subscription}, 'confirmation', 'queued', {lane}, 0, {moment},
            '<' || n || '@example.org>', 'seed:' || n, {moment} FROM c"""


def prepare_wording(connection: Connection) -> None:
    """The words that seeded and raw sign-ups refer to."""
    connection.execute(f"INSERT INTO wordings VALUES ('{_WORDING}', 'words') ON CONFLICT DO NOTHING".encode())


def spread_over_lists(connection: Connection) -> None:
    """Nine more lists, each with every tenth subscriber, beside the one that holds all."""
    connection.execute(
        f"""INSERT INTO mailing_lists (id, slug, name, sites, return_urls, created_at)
            SELECT gen_random_uuid(), 'list-' || k, 'List ' || k, '[]', '[]', now()
            FROM generate_series(1, {OTHER_LISTS}) k""".encode()
    )
    connection.execute(
        b"""INSERT INTO subscriptions (id, subscriber_id, list_id, state, generation, source, created_at,
                asked_at, confirmed_at)
            SELECT gen_random_uuid(), s.subscriber_id, l.id, 'confirmed', 1, 'form', now(), now(), now()
            FROM (SELECT subscriber_id, row_number() OVER (ORDER BY id) % 10 AS k FROM subscriptions) s
            JOIN mailing_lists l ON l.slug = 'list-' || s.k"""
    )


def settle(connection: Connection) -> None:
    """What autovacuum and the checkpointer would do in time, so that they do not do it while we measure."""
    connection.execute(b"VACUUM ANALYZE")
    connection.execute(b"CHECKPOINT")


def fill_sqlite(path: Path, count: int) -> None:
    """Confirmed subscribers of the list `daily`, in a database that nobody else has open."""
    now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    series = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < ?)"
    # SQLite keeps a UUID as its 32 digits.
    subscriber = f"printf('{SUBSCRIBER.replace('-', '')}%012x', n)"
    subscription = f"printf('{SUBSCRIPTION.replace('-', '')}%012x', n)"
    connection = sqlite3.connect(path)
    try:
        connection.execute(
            f"""INSERT INTO subscribers (id, address, identity, name, search, locale, attributes, created_at)
                {series} SELECT {subscriber}, 'reader' || n || '@example.org',
                    'reader' || n || '@example.org', 'Reader ' || n,
                    'reader' || n || '@example.org reader ' || n, 'en', '{{}}', ? FROM c""",
            [count, now],
        )
        connection.execute(
            f"""INSERT INTO subscriptions (id, subscriber_id, list_id, state, generation, source, created_at,
                    asked_at, confirmed_at)
                {series} SELECT {subscription}, {subscriber}, (SELECT id FROM mailing_lists),
                    'confirmed', 1, 'form', ?, ?, ? FROM c""",
            [count, now, now, now],
        )
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("ANALYZE")
    finally:
        connection.close()


def fill_sqlite_evidence(path: Path, count: int, tallies: Iterable[str]) -> None:
    """Evidence and mail of the subscribers that `fill_sqlite` made, and what `tallies` counts of them."""
    now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    series = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < ?)"
    subscription, message = (
        f"printf('{prefix.replace('-', '')}%012x', n)" for prefix in (SUBSCRIPTION, _MESSAGE)
    )
    connection = sqlite3.connect(path)
    try:
        connection.execute("INSERT INTO wordings VALUES (?, 'words')", [_WORDING])
        connection.execute(
            f"""INSERT INTO consent_events (list_id, subscription_id, kind, after, at, way, wording, network,
                    seq)
                {series} SELECT (SELECT id FROM mailing_lists), {subscription}, 'sign_up', 'confirmed', ?,
                    'form', '{_WORDING}', '127.0.0.1', n FROM c""",
            [count, now],
        )
        connection.execute(
            f"""INSERT INTO outbox (id, subscription_id, kind, status, attempts, next_attempt_at, message_id,
                    idempotency_key, created_at, sent_at)
                {series} SELECT {message}, {subscription}, 'confirmation', 'sent', 1, ?,
                    '<' || n || '@example.org>', 'seed:' || n, ?, ? FROM c""",
            [count, now, now, now],
        )
        connection.execute("UPDATE journal SET seq = ?, chained = ?", [count, count])
        connection.execute(
            "INSERT INTO tallies (list_id, day, kind, before, after, number) "
            "SELECT id, ?, 'sign_up', '', 'confirmed', ? FROM mailing_lists",
            [now[:10], count],
        )
        for statement in tallies:
            connection.execute(statement.format(day="date('now', -k || ' days')"))
        connection.commit()
        connection.execute("ANALYZE")
    finally:
        connection.close()


def keys(data_dir: Path) -> list[str]:
    """The keys of an installation, in its data directory."""
    return (data_dir / "secret_keys").read_text("ascii").split()


def links(data_dir: Path) -> Links:
    """The maker of links of an installation."""
    return Links(keys(data_dir))


def unsubscribe_paths(made_by: Links, numbers: range) -> Iterator[str]:
    """The one-click paths of seeded subscriptions."""
    for number in numbers:
        yield f"/unsubscribe/{made_by.unsubscribe_token(subscription_id(number))}"


def confirm_paths(made_by: Links, numbers: range) -> Iterator[str]:
    """The paths that confirm seeded subscriptions."""
    now = datetime.now(UTC)
    for number in numbers:
        yield f"/confirm/{made_by.confirm_token(subscription_id(number), 1, now=now)}"

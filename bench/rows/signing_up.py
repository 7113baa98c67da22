"""Signing up over HTTP, against the same four inserts made by the database's own tools."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Callable
from pathlib import Path
from statistics import median

from bench import loads, seeds, servers
from bench.ground import Ground
from bench.seeds import pg_id
from bench.servers import Service
from bench.table import Line, Pairs, at_most, rates
from bench.tools import Broken

_LEAST = 0.28
_P99 = 25  # milliseconds
_SLOWEST = 150
_LEAST_SQLITE = {"normal": 3000, "full": 2000}

# The ids are made from one number, for md5 and the like would cost the server more than the insert does.
_PERSON, _SUBSCRIPTION, _MAIL = (pg_id(f"0290000{room}-0000-7000-8000-", ":n") for room in range(3))
_FOUR_INSERTS = f"""
\\set n random(1, 100000000000000)
BEGIN;
INSERT INTO subscribers (id, address, identity, search, locale, attributes, created_at)
  VALUES ({_PERSON}, 'raw' || :n::text || '@example.org', 'raw' || :n::text || '@example.org',
    'raw' || :n::text || '@example.org', 'en',
    '{{}}', now());
INSERT INTO subscriptions (id, subscriber_id, list_id, state, generation, source, created_at, asked_at)
  VALUES ({_SUBSCRIPTION}, {_PERSON}, (SELECT id FROM mailing_lists WHERE slug = 'daily'), 'pending', 1,
    'form', now(), now());
INSERT INTO consent_events (list_id, subscription_id, kind, after, at, way, wording, network)
  VALUES ((SELECT id FROM mailing_lists WHERE slug = 'daily'), {_SUBSCRIPTION}, 'sign_up', 'pending', now(),
    'form', 'bench', '127.0.0.1');
INSERT INTO outbox (id, subscription_id, kind, status, attempts, next_attempt_at, message_id,
    idempotency_key, created_at)
  VALUES ({_MAIL}, {_SUBSCRIPTION}, 'confirmation', 'queued', 0, now(), '<' || :n::text || '@example.org>',
    'raw:' || :n::text, now());
COMMIT;
"""


def on_postgresql(ground: Ground) -> list[Line]:
    """Against pgbench."""
    site = ground.on_postgres()
    taken: list[loads.Answers] = []
    unprepared: list[float] = []
    with ground.postgres.connect(site.database) as connection, servers.service(site.environ) as service:
        seeds.prepare_wording(connection)
        loads.sign_ups(service, ground.folder, 1)

        def limit() -> float:
            unprepared.append(pgbench(mode="simple"))
            return pgbench(mode="prepared")

        def pgbench(*, mode: str) -> float:
            return loads.pgbench(
                ground.postgres, site.database, ground.folder, ground.seconds, _FOUR_INSERTS, mode=mode
            )

        def ours() -> float:
            taken.append(_sign_ups(ground, service, stored))
            return taken[-1].rate

        def stored() -> tuple[int, ...]:
            row = connection.execute(_COUNTS.encode()).fetchone()
            assert row is not None
            return tuple(int(str(count)) for count in row)

        pairs = ground.pairs(limit, ours)
    simple = Pairs(unprepared, pairs.ours)
    count = sum(answers.sent for answers in taken)
    name = "sign-up over HTTP, PostgreSQL"
    return [
        rates(
            name,
            pairs,
            least=_LEAST,
            note=f"limit: pgbench -M prepared; ratio to -M simple {simple.ratio:.2f}; "
            f"all {count:,} answers stored exactly once",
        ),
        at_most(f"{name}: p99", median(answers.p99 for answers in taken), _P99, "ms"),
    ]


def on_sqlite(ground: Ground) -> list[Line]:
    """Against the sqlite3 shell, at both of the settings for how a commit reaches the disk."""
    return [line for synchronous in ("full", "normal") for line in _on_sqlite(ground, synchronous)]


def _on_sqlite(ground: Ground, synchronous: str) -> list[Line]:
    site = ground.on_sqlite(NEWSLETTER_SQLITE_SYNCHRONOUS=synchronous)
    raw = ground.on_sqlite().data_dir / "newsletter.sqlite3"
    taken: list[loads.Answers] = []
    with servers.service(site.environ) as service:
        loads.sign_ups(service, ground.folder, 1)

        def limit() -> float:
            count = 1500 * ground.seconds
            script = ground.folder / "sign-ups.sql"
            _write_inserts(script, count, synchronous)
            return count / loads.shell(raw, script)

        def ours() -> float:
            taken.append(_sign_ups(ground, service, stored))
            return taken[-1].rate

        def stored() -> tuple[int, ...]:
            connection = sqlite3.connect(site.data_dir / "newsletter.sqlite3")
            try:
                return tuple(map(int, connection.execute(_COUNTS).fetchone()))
            finally:
                connection.close()

        pairs = ground.pairs(limit, ours)
    count = sum(answers.sent for answers in taken)
    least = _LEAST_SQLITE[synchronous]
    name = f"sign-up over HTTP, SQLite, synchronous={synchronous.upper()}"
    return [
        _sqlite_line(
            name, pairs, least, note=f"limit: sqlite3 shell; all {count:,} answers stored exactly once"
        ),
        at_most(f"{name}: slowest answer", max(answers.slowest for answers in taken), _SLOWEST, "ms"),
    ]


def _sqlite_line(name: str, pairs: Pairs, least: int, *, note: str) -> Line:
    ours = pairs.middle_ours
    return Line(
        name,
        f"{ours:,.0f}/s",
        f"{pairs.middle_limit:,.0f}/s",
        f"{pairs.ratio:.2f}",
        f"≥ {least:,}/s",
        ours >= least,
        note,
    )


_COUNTS = (
    "SELECT (SELECT count(*) FROM subscribers), (SELECT count(*) FROM subscriptions), "
    "(SELECT count(*) FROM consent_events), (SELECT count(*) FROM outbox)"
)


def _sign_ups(ground: Ground, service: Service, stored: Callable[[], tuple[int, ...]]) -> loads.Answers:
    """One load. Every address is new, so each answer must leave one row in each of the four tables."""
    before = stored()
    answers = loads.sign_ups(service, ground.folder, ground.seconds)
    added = [later - earlier for earlier, later in zip(before, stored(), strict=True)]
    if added != [answers.answered] * len(added):
        raise Broken(f"{answers.answered} answers left {added} subscribers, subscriptions, events and mails")
    return answers


def _write_inserts(script: Path, count: int, synchronous: str) -> None:
    """Sign-ups as the sqlite3 shell takes them: the same rows, one transaction each."""
    moment = "2026-01-01T00:00:00.000000Z"
    with script.open("w") as file:
        file.write(f"PRAGMA synchronous={synchronous};\nPRAGMA foreign_keys=ON;\nPRAGMA cache_size=-16000;\n")
        file.write("CREATE TEMP TABLE l AS SELECT id FROM mailing_lists;\n")
        file.write("INSERT OR IGNORE INTO wordings VALUES ('bench', 'words');\n")
        for _ in range(count):
            person, subscription, mail = (uuid.uuid4().hex for _ in range(3))
            address = f"raw{person[:12]}@example.org"
            file.write(
                f"""BEGIN IMMEDIATE;
INSERT INTO subscribers (id, address, identity, search, locale, attributes, created_at)
  VALUES ('{person}', '{address}', '{address}', '{address}', 'en', '{{}}', '{moment}');
INSERT INTO subscriptions (id, subscriber_id, list_id, state, generation, source, created_at, asked_at)
  VALUES ('{subscription}', '{person}', (SELECT id FROM l), 'pending', 1, 'form', '{moment}', '{moment}');
INSERT INTO consent_events (list_id, subscription_id, kind, after, at, way, wording, network)
  VALUES ((SELECT id FROM l), '{subscription}', 'sign_up', 'pending', '{moment}', 'form', 'bench',
    '127.0.0.1');
INSERT INTO outbox (id, subscription_id, kind, status, attempts, next_attempt_at, message_id,
    idempotency_key, created_at)
  VALUES ('{mail}', '{subscription}', 'confirmation', 'queued', 0, '{moment}', '<{mail}@example.org>',
    'raw:{mail}', '{moment}');
COMMIT;
"""
            )

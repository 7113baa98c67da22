"""Importing many subscribers, against the databases' own ways of taking the same rows without looking at
them: the same tables, indexes and triggers, one transaction."""

from __future__ import annotations

import csv
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from bench import loads, servers
from bench.ground import Ground, Site
from bench.table import Line, Pairs, at_most
from bench.tools import Broken, find

_LEAST = {"PostgreSQL": 0.65, "SQLite": 0.5}
_PEAK = 256  # MiB
_STATEMENT = "Signed up on paper."

_RAW_POSTGRES = """
BEGIN;
INSERT INTO wordings VALUES ('bench', 'words');
CREATE TEMPORARY TABLE raw (n bigserial, email text, name text) ON COMMIT DROP;
\\copy raw (email, name) FROM '{file}' (FORMAT csv, HEADER)
INSERT INTO subscribers (id, address, identity, name, search, locale, attributes, created_at)
    SELECT ('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, email, email, name,
        email || ' ' || lower(name), 'en', '{{}}', now() FROM raw ON CONFLICT (identity) DO NOTHING;
INSERT INTO subscriptions (id, subscriber_id, list_id, state, generation, source, created_at, asked_at,
        confirmed_at)
    SELECT ('01900001-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, s.id, l.id, 'confirmed', 1,
        'import', now(), now(), now() FROM raw JOIN subscribers s ON s.identity = raw.email, mailing_lists l
    ON CONFLICT (subscriber_id, list_id) DO NOTHING;
INSERT INTO consent_events (list_id, subscription_id, kind, after, at, way, wording)
    SELECT list_id, id, 'import', 'confirmed', now(), 'import', 'bench' FROM subscriptions;
COMMIT;
"""


def into_postgresql(ground: Ground) -> list[Line]:
    """Against `\\copy` and INSERT … ON CONFLICT."""
    file, psql = _file(ground), find("psql")

    def raw(site: Site) -> None:
        script = ground.folder / "raw.sql"
        script.write_text(_RAW_POSTGRES.format(file=file), "utf-8")
        command = [psql, "-X", "-q", "-v", "ON_ERROR_STOP=1", *ground.postgres.options(site.database)]
        subprocess.run([*command, "-f", str(script)], check=True, capture_output=True, timeout=900)

    return _compare(ground, "PostgreSQL", ground.on_postgres, raw, file, "limit: \\copy + INSERT ON CONFLICT")


def into_sqlite(ground: Ground) -> list[Line]:
    """Against `executemany`."""
    file = _file(ground)

    def raw(site: Site) -> None:
        connection = sqlite3.connect(site.data_dir / "newsletter.sqlite3")
        (list_id,) = connection.execute("SELECT id FROM mailing_lists").fetchone()
        now = "2026-01-31T08:00:00.000000Z"
        connection.execute("INSERT INTO wordings VALUES ('bench', 'words')")
        connection.executemany(
            "INSERT INTO subscribers (id, address, identity, name, search, locale, attributes, created_at) "
            "VALUES (?, ?, ?, ?, ?, 'en', '{}', ?) ON CONFLICT (identity) DO NOTHING",
            (
                (f"0190000000007{number:019x}", email, email, name, f"{email} {name.lower()}", now)
                for number, (email, name) in _rows(file)
            ),
        )
        connection.executemany(
            "INSERT INTO subscriptions (id, subscriber_id, list_id, state, generation, source, created_at, "
            "asked_at, confirmed_at) VALUES (?, ?, ?, 'confirmed', 1, 'import', ?, ?, ?)",
            (
                (f"0190000100007{number:019x}", f"0190000000007{number:019x}", list_id, now, now, now)
                for number, _ in _rows(file)
            ),
        )
        connection.executemany(
            "INSERT INTO consent_events (list_id, subscription_id, kind, after, at, way, wording) "
            "VALUES (?, ?, 'import', 'confirmed', ?, 'import', 'bench')",
            ((list_id, f"0190000100007{number:019x}", now) for number, _ in _rows(file)),
        )
        connection.commit()
        connection.close()

    return _compare(ground, "SQLite", ground.on_sqlite, raw, file, "limit: executemany in one transaction")


def _compare(
    ground: Ground,
    database: str,
    make: Callable[[], Site],
    raw: Callable[[Site], None],
    file: Path,
    note: str,
) -> list[Line]:
    """Each time on a fresh installation: what is there already is another work."""
    outputs: list[loads.Output] = []

    def limit() -> float:
        site = make()
        began = time.perf_counter()
        raw(site)
        return time.perf_counter() - began

    def ours() -> float:
        command = servers.newsletter("import", "daily", str(file), "--statement", _STATEMENT)
        outputs.append(loads.read_all(command, make().environ))
        return outputs[-1].seconds

    # A million rows take their minutes: once is steady enough.
    pairs = ground.pairs(limit, ours) if ground.quick else Pairs([limit()], [ours()])
    if outputs[-1].lines != 2:
        raise Broken(f"not all rows were taken: {outputs[-1]}")
    peak = max(output.peak for output in outputs)
    ratio = pairs.middle_limit / pairs.middle_ours
    name = f"import of {ground.many:,}, {database}"
    return [
        Line(
            name,
            f"{pairs.middle_ours:.1f} s",
            f"{pairs.middle_limit:.1f} s",
            f"{ratio:.2f}",
            f"≥ {_LEAST[database]:.2f}",
            ratio >= _LEAST[database],
            note,
        ),
        at_most(f"{name}: peak memory", peak, _PEAK, "MiB", note="RSS of the command"),
    ]


def _file(ground: Ground) -> Path:
    """Subscribers in no order, as real ones are."""
    path = ground.folder / "people.csv"
    if not path.exists():
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("email", "name"))
            for number in range(1, ground.many + 1):
                writer.writerow((f"r{number * 7919 % 9_999_991}.{number}@example.org", f"Reader {number}"))
        path.chmod(0o644)
        ground.folder.chmod(0o755)
    return path


def _rows(file: Path) -> Iterator[tuple[int, list[str]]]:
    with file.open(encoding="utf-8", newline="") as stream:
        rows = csv.reader(stream)
        next(rows)
        yield from enumerate(rows, start=1)

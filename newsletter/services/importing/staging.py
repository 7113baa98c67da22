"""Rows that were checked, in tables of this connection alone: what is staged touches nothing else and holds
up nobody. PostgreSQL takes them by COPY, SQLite in batches.

PostgreSQL stores them all at once. SQLite has one writer, whose log grows until it commits: there, `staged`
becomes a view of at most `PART` rows of the table `staged_file` at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, text

from newsletter.database import rfc3339
from newsletter.queries import driver_cursor
from newsletter.services.importing.history import Past
from newsletter.services.importing.reading import Bad
from newsletter.services.importing.validating import Checked

BATCH = 5000
# What SQLite stores at once: three or four seconds, and some 160 MB of its log.
PART, PART_BYTES = 60_000, 24 * 1024 * 1024  # rows; bytes of the file
MOST_REFUSALS = 100_000  # that are kept one by one; all are counted

# What is about the rows of one part.
_OF_A_PART = ("barred", "known", "asked")
# `{…}` are the types that the databases call differently.
_TABLES = {
    "staged": """line {number} {key}, identity text NOT NULL, address text NOT NULL, name text,
        search text NOT NULL, locale text NOT NULL, attributes {json} NOT NULL, state text NOT NULL,
        source text NOT NULL, created_at {moment}, confirmed_at {moment}, unsubscribed_at {moment},
        subscriber_id {id} NOT NULL, subscription_id {id} NOT NULL, own_id {id}, generation integer NOT NULL,
        asked_at {moment}, person_created_at {moment}, suppressed text, demoted integer NOT NULL,
        paused_until {moment}, digest text NOT NULL""",
    # The digests of the same addresses under older keys.
    "staged_digests": "line {number} NOT NULL, digest text NOT NULL",
    "staged_events": """line {number} NOT NULL, place integer NOT NULL, kind text NOT NULL, before text,
        after text, at {moment} NOT NULL, way text NOT NULL, origin text, page text, network text, agent text,
        message_id text, wording text""",
    "staged_wordings": "digest text NOT NULL, words text NOT NULL",
    "refused": "line {number} NOT NULL, excerpt text NOT NULL, reason text NOT NULL",
    # Those rows whole, once they are read for the second time.
    "refused_records": "line {number} PRIMARY KEY, record text",
    # Rows whose address others have, too; of those the one that counts; how much each has left.
    "several": """line {number} PRIMARY KEY, counts {number} NOT NULL, rank integer NOT NULL,
        best integer NOT NULL, suppressed text""",
    # Rows whose address is suppressed, and why it is.
    "barred": "line {number} PRIMARY KEY, reason text NOT NULL",
    # Rows whose person is known already, and how they stand with the list.
    "known": """line {number} PRIMARY KEY, person {id} NOT NULL, subscription {id}, before text, after text,
        filled integer NOT NULL DEFAULT 0""",
    # Who is to be asked, in which place of the queue.
    "asked": "place {number} PRIMARY KEY, subscription {id} NOT NULL, generation integer NOT NULL",
}
_TYPES = {
    "postgresql": {
        "number": "bigint",
        "key": "NOT NULL",
        "json": "json",
        "moment": "timestamptz",
        "id": "uuid",
    },
    "sqlite": {"number": "INTEGER", "key": "PRIMARY KEY", "json": "text", "moment": "text", "id": "text"},
}
# Of several rows of one address, the lowest counts: a file that disagrees with itself subscribes nobody.
_RANK = "CASE s.state WHEN 'complained' THEN 0 WHEN 'unsubscribed' THEN 1 WHEN 'bounced' THEN 2 ELSE 3 END"
_EVENT = (
    "kind", "before", "after", "at", "way", "origin", "page", "network", "agent", "message_id", "wording",
)  # fmt: skip


class Staging:
    """The tables of one import, on one connection."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.on_postgresql = connection.dialect.name == "postgresql"
        self.rows = 0
        self.refused = 0
        self.overruled = 0  # refused, because another row of the same address says that it left
        self.with_ids = False
        self.with_history = False

    def make(self) -> None:
        """Make the tables. On PostgreSQL they end with the transaction."""
        if self.on_postgresql:
            # The plans of foreign keys, made anew for every row, would take most of the time.
            self.run("SET LOCAL plan_cache_mode = force_generic_plan")
            end = " ON COMMIT DROP"
        else:
            self.drop()
            end = ""
        for name, columns in _TABLES.items():
            types = _TYPES[self.connection.dialect.name]
            self.run(f"CREATE TEMPORARY TABLE {name} ({columns.format(**types)}){end}")

    def drop(self) -> None:
        tables = (
            "SELECT type, name FROM sqlite_temp_master WHERE type IN ('view', 'table') ORDER BY type DESC"
        )
        for kind, name in self.connection.execute(text(tables)).all():
            self.run(f"DROP {kind} temp.{name}")

    def add(self, rows: Sequence[tuple[Checked, tuple[str, ...], Past | None]], bad: Sequence[Bad]) -> None:
        """Put down rows that are taken, and rows that are not."""
        self.rows += len(rows) + len(bad)
        self._put("staged", Checked._fields, [row for row, _, _ in rows])
        older = [(row.line, digest) for row, digests, _ in rows for digest in digests]
        self._put("staged_digests", ("line", "digest"), older)
        self.with_ids |= any(row.own_id for row, _, _ in rows)
        pasts = [(row.line, past) for row, _, past in rows if past is not None]
        if pasts:
            self.with_history = True
            self._put("staged_events", ("line", "place", *_EVENT), list(_events(pasts)))
            words = {item for _, past in pasts for item in past.wordings.items()}
            self._put("staged_wordings", ("digest", "words"), sorted(words))
        self._put("refused", ("line", "excerpt", "reason"), bad[: max(0, MOST_REFUSALS - self.refused)])
        self.refused += len(bad)

    def settle(self) -> None:
        """All rows are there: keep one for each address, and look at what there is."""
        if self.on_postgresql:
            self.run("ANALYZE staged")
        several = self.run(
            "INSERT INTO several (line, counts, rank, best, suppressed) "  # noqa: S608
            f"SELECT s.line, first_value(s.line) OVER own, {_RANK}, first_value({_RANK}) OVER own, "
            "max(s.suppressed) OVER (PARTITION BY s.identity) FROM staged s "
            "WHERE s.identity IN (SELECT identity FROM staged GROUP BY identity HAVING count(*) > 1) "
            f"WINDOW own AS (PARTITION BY s.identity ORDER BY {_RANK}, s.line)"
        )
        if several:
            self._keep_one()
        if self.with_ids:
            self.run(
                "UPDATE staged SET own_id = NULL WHERE own_id IS NOT NULL AND line NOT IN "
                "(SELECT min(line) FROM staged WHERE own_id IS NOT NULL GROUP BY own_id)"
            )

    def refused_lines(self) -> list[int]:
        """The lines whose refusals are kept, in order."""
        lines = text(f"SELECT line FROM refused ORDER BY line LIMIT {MOST_REFUSALS}")  # noqa: S608
        return list(self.connection.scalars(lines))

    def add_records(self, records: Sequence[tuple[int, str | None]]) -> None:
        """Put down rows that are refused, whole."""
        self._put("refused_records", ("line", "record"), records)

    def part(self, size: int) -> int:
        """How many rows of a file with so many bytes make one part."""
        return max(1, min(PART, PART_BYTES * self.rows // size))

    def parts(self, after: int, size: int) -> Iterator[int]:
        """Let one part of the rows after the line `after` stand in `staged` after the other, in the
        order of their lines; gives the last line of each. Nothing else is staged any more."""
        for name in ("staged_digests", "staged_events"):
            self.run(f"CREATE INDEX IF NOT EXISTS temp.ix_{name} ON {name} (line)")
        self.run("ALTER TABLE temp.staged RENAME TO staged_file")
        self.run("CREATE TEMPORARY TABLE staged_part (after_line INTEGER, last_line INTEGER)")
        self.run(
            "CREATE TEMPORARY VIEW staged AS SELECT * FROM staged_file WHERE "
            "line > (SELECT after_line FROM staged_part) AND line <= (SELECT last_line FROM staged_part)"
        )
        self.run(
            "CREATE TEMPORARY TRIGGER own_id_of_staged INSTEAD OF UPDATE OF own_id ON staged "
            "BEGIN UPDATE staged_file SET own_id = NEW.own_id WHERE line = NEW.line; END"
        )
        while True:
            last = self.connection.scalar(
                text(
                    "SELECT max(line) FROM "
                    "(SELECT line FROM staged_file WHERE line > :after ORDER BY line LIMIT :size)"
                ),
                {"after": after, "size": size},
            )
            if last is None:
                return
            for name in ("staged_part", *_OF_A_PART):
                self.run(f"DELETE FROM temp.{name}")  # noqa: S608
            self.run("INSERT INTO staged_part VALUES (:after, :last)", after=after, last=last)
            yield last
            after = last

    def _keep_one(self) -> None:
        """Of the rows of one address the first counts that says that it left, else the first. Suppressed is
        whoever any of them says is."""
        self.run(
            "UPDATE staged SET suppressed = m.suppressed FROM several m "
            "WHERE m.line = staged.line AND m.line = m.counts"
        )
        self.refused += self.run(
            "INSERT INTO refused (line, excerpt, reason) "
            "SELECT m.line, s.address, 'the address is in line ' || m.counts || "
            "CASE WHEN m.best < m.rank THEN ' as well, which says that it left' ELSE ' already' END "
            "FROM several m JOIN staged s ON s.line = m.line WHERE m.line <> m.counts"
        )
        overruled = text("SELECT count(*) FROM several WHERE best < rank")
        self.overruled = self.connection.scalar(overruled) or 0
        self.run("DELETE FROM staged WHERE line IN (SELECT line FROM several WHERE line <> counts)")

    def counts(self) -> dict[str, int]:
        """What is known of the whole file, whatever becomes of its rows."""
        return {"rows": self.rows, "refused": self.refused, "overruled": self.overruled}

    def run(self, sql: str, **values: Any) -> int:
        """Run a statement; returns how many rows it touched."""
        return self.connection.execute(text(sql), values).rowcount

    def _put(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        rows = list(rows)
        if not rows:
            return
        names = ", ".join(columns)
        with driver_cursor(self.connection) as cursor:
            if not self.on_postgresql:
                marks = ", ".join("?" for _ in columns)
                cursor.executemany(f"INSERT INTO temp.{table} ({names}) VALUES ({marks})", rows)  # noqa: S608
                return
            with cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)


def _events(pasts: Iterable[tuple[int, Past]]) -> Iterable[tuple[Any, ...]]:
    for line, past in pasts:
        for place, event in enumerate(past.events):
            told = event | {"at": rfc3339(event["at"])}
            yield (line, place, *(told[key] for key in _EVENT))

"""Exporting many subscribers, against the databases' own tools writing the same rows."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from bench import loads, seeds, servers
from bench.ground import Ground
from bench.loads import Output
from bench.table import Line, at_most
from bench.tools import Broken, find
from newsletter.services.exports import DEFAULT_COLUMNS

_FEW = 10_000
_LEAST = {"PostgreSQL": 0.9, "SQLite": 0.4}
_LEAST_SAFE = 0.65
_FILTERED = 1.3
_GROWTH = 10  # MiB
_FIRST_BYTE = 1  # seconds

# What the export selects; `_check_same` sees to it that it is.
_TIME = """to_char(s.{0} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""
_SELECT = (
    "SELECT s.id, p.address, p.name, s.state, p.locale, s.source, "
    f"{_TIME.format('created_at')}, {_TIME.format('confirmed_at')}, {_TIME.format('unsubscribed_at')}, "
    "p.attributes::text FROM subscriptions s JOIN subscribers p ON p.id = s.subscriber_id "
    "WHERE s.list_id = (SELECT id FROM mailing_lists WHERE slug = '{slug}') AND s.state IN ('confirmed') "
    "ORDER BY s.id"
)
_SELECT_SQLITE = (
    "SELECT printf('%.8s-%.4s-%.4s-%.4s-%s', s.id, substr(s.id, 9), substr(s.id, 13), substr(s.id, 17), "
    "substr(s.id, 21)), p.address, p.name, s.state, p.locale, s.source, s.created_at, s.confirmed_at, "
    "s.unsubscribed_at, p.attributes FROM subscriptions s JOIN subscribers p ON p.id = s.subscriber_id "
    "WHERE s.list_id = (SELECT id FROM mailing_lists) AND s.state IN ('confirmed') ORDER BY s.id"
)


def from_postgresql(ground: Ground) -> list[Line]:
    """Against `\\copy` of the same select."""
    psql = find("psql")
    site, few = ground.large(), ground.on_postgres()
    with ground.postgres.connect(few.database) as connection:
        seeds.fill_postgres(connection, range(1, _FEW + 1), state="confirmed")
        seeds.settle(connection)

    def copy(slug: str) -> list[str]:
        select = _SELECT.replace("{slug}", slug)
        options = ground.postgres.options(site.database)
        return [psql, "-X", "-q", *options, "-c", f"\\copy ({select}) TO STDOUT (FORMAT csv)"]

    whole = _compare(ground, "PostgreSQL", copy("daily"), site.environ, few.environ, "limit: psql \\copy")
    limit, ours = _in_turns(ground, copy("list-1"), site.environ, "list-1")
    slower = ours.seconds / limit.seconds
    filtered = Line(
        f"export of one list of {seeds.OTHER_LISTS + 1} ({limit.lines:,}), PostgreSQL",
        f"{ours.seconds:.2f} s",
        f"{limit.seconds:.2f} s",
        f"{slower:.2f}×",
        f"≤ {_FILTERED}×",
        slower <= _FILTERED,
        f"limit: its own \\copy; {_start(ground, few.environ):.2f} s of ours is starting",
    )
    return [*whole, filtered, _safe(ground, copy("daily"), site.environ, few.environ)]


def _safe(ground: Ground, raw: list[str], many: Mapping[str, str], few: Mapping[str, str]) -> Line:
    """Formulas defused, which no seeded subscriber has: the bytes are those of `raw` all the same."""
    limit, ours = _in_turns(ground, raw, many, "daily", "--safe")
    start = _start(ground, few)
    ratio, after_start = limit.seconds / ours.seconds, limit.seconds / (ours.seconds - start)
    return Line(
        f"export of {limit.lines:,} with --safe, PostgreSQL",
        f"{ours.seconds:.2f} s",
        f"{limit.seconds:.2f} s",
        f"{ratio:.2f}",
        f"≥ {_LEAST_SAFE:.2f}",
        ratio >= _LEAST_SAFE,
        f"limit: psql \\copy, raw; ratio without starting {after_start:.2f}",
    )


def from_sqlite(ground: Ground) -> list[Line]:
    """Against `sqlite3 -csv`."""
    sqlite3 = find("sqlite3")
    site, few = ground.on_sqlite(), ground.on_sqlite()
    seeds.fill_sqlite(_file(site.data_dir), ground.many)
    seeds.fill_sqlite(_file(few.data_dir), _FEW)
    raw = [sqlite3, "-csv", str(_file(site.data_dir)), _SELECT_SQLITE]
    return _compare(ground, "SQLite", raw, site.environ, few.environ, "limit: sqlite3 -csv")


def _file(data_dir: Path) -> Path:
    return data_dir / "newsletter.sqlite3"


def _compare(
    ground: Ground, database: str, raw: list[str], many: Mapping[str, str], few: Mapping[str, str], note: str
) -> list[Line]:
    limit, ours = _in_turns(ground, raw, many, "daily")
    little = loads.read_all(servers.newsletter("export", "daily"), few)
    start = _start(ground, few)
    ratio, after_start = limit.seconds / ours.seconds, limit.seconds / (ours.seconds - start)
    name = f"export of {limit.lines:,}, {database}"
    return [
        Line(
            name,
            f"{ours.seconds:.2f} s",
            f"{limit.seconds:.2f} s",
            f"{ratio:.2f}",
            f"≥ {_LEAST[database]:.2f}",
            ratio >= _LEAST[database],
            f"{note}; {start:.2f} s of ours is starting, ratio without it {after_start:.2f}",
        ),
        at_most(
            f"{name}: memory above that of {_FEW:,}", ours.peak - little.peak, _GROWTH, "MiB", digits=1,
            note=f"peak {ours.peak:.0f} MiB of RSS, psql or sqlite3 {limit.peak:.0f} MiB",
        ),
        at_most(
            f"{name}: first byte", ours.first_byte, _FIRST_BYTE, "s", digits=2,
            note=f"from its start; {max(ours.first_byte - start, 0):.2f} s without",
        ),
    ]  # fmt: skip


def _in_turns(
    ground: Ground, raw: list[str], environ: Mapping[str, str], *arguments: str
) -> tuple[Output, Output]:
    """Limit and ours, three times in turns: the middle one of each, by its seconds."""
    limits: list[Output] = []
    exports: list[Output] = []

    def limit() -> float:
        limits.append(loads.read_all(raw, dict(os.environ)))
        return limits[-1].seconds

    def ours() -> float:
        exports.append(loads.read_all(servers.newsletter("export", *arguments), environ))
        return exports[-1].seconds

    ground.pairs(limit, ours)
    _check_same(limits[-1], exports[-1])
    return _middle(limits), _middle(exports)


def _middle(outputs: list[Output]) -> Output:
    return sorted(outputs, key=lambda output: output.seconds)[len(outputs) // 2]


def _check_same(limit: Output, ours: Output) -> None:
    """The same rows, after our heading. Byte for byte only where both quote alike, but for the CR that psql
    leaves out: the sqlite3 shell puts quotes around every text with a space."""
    heading = len(",".join(DEFAULT_COLUMNS)) + 2
    if ours.lines != limit.lines + 1:
        raise Broken(f"not the same rows: {limit} and {ours}")
    if limit.program == "psql" and ours.size != heading + limit.size + limit.lines:
        raise Broken(f"not the same bytes: {limit} and {ours}")


def _start(ground: Ground, environ: Mapping[str, str]) -> float:
    """Seconds that the command needs before it reads the first row: those of an empty export."""
    return _middle(
        [
            loads.read_all(servers.newsletter("export", "daily", "--state", "bounced"), environ)
            for _ in range(3 if ground.quick else 5)
        ]
    ).seconds

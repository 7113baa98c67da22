"""The console's pages at a million subscribers: server time, with the plans of their queries kept beside."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from flask import Flask
from flask.testing import FlaskClient

from bench import seeds
from bench.ground import Ground, Site
from bench.plans import plans
from bench.table import Line, at_most
from bench.tools import Broken
from newsletter import create_app
from newsletter.database import write_transaction
from newsletter.domain.roles import Role
from newsletter.extensions import db
from newsletter.services import logins, operators
from newsletter.services.access import COMMAND_LINE
from newsletter.services.evidence import Seen
from newsletter.settings import Settings

_MOST = 50.0  # milliseconds
_TIMES = 15
_LIST = "/operator/lists/daily"
_PLANS = Path(__file__).parents[1] / "out" / "plans.txt"


def on_postgresql(ground: Ground) -> list[Line]:
    """On PostgreSQL, where the subscribers are spread over ten lists, too."""
    site = ground.large()
    with ground.postgres.connect(site.database) as connection:
        for statement in _A_YEAR:
            connection.execute(
                statement.format(day="to_char(now() - k * interval '1 day', 'YYYY-MM-DD')").encode()
            )
        seeds.settle(connection)
    return _measure(ground, site, "PostgreSQL")


def on_sqlite(ground: Ground) -> list[Line]:
    """On SQLite, with one list."""
    site = ground.on_sqlite()
    seeds.fill_sqlite(site.data_dir / "newsletter.sqlite3", ground.many)
    seeds.fill_sqlite_evidence(site.data_dir / "newsletter.sqlite3", ground.many, _A_YEAR)
    return _measure(ground, site, "SQLite")


# What a list of some years tallied; as many came as went, so that the states are those of the subscriptions.
_A_YEAR = tuple(
    f"""INSERT INTO tallies (list_id, day, kind, before, after, number)
        SELECT l.id, {{day}}, '{kind}', '{before}', '{after}', 100 + k % 9
        FROM mailing_lists l, (WITH RECURSIVE days(k) AS
            (SELECT 1 UNION ALL SELECT k + 1 FROM days WHERE k < 1500) SELECT k FROM days) d
        WHERE l.slug = 'daily'"""
    for kind, before, after in (
        ("sign_up", "", "pending"),
        ("confirm", "pending", "confirmed"),
        ("unsubscribe", "confirmed", "unsubscribed"),
        ("forget", "unsubscribed", ""),
    )
)


def _measure(ground: Ground, site: Site, database: str) -> list[Line]:
    app = create_app(Settings.from_environment(site.environ))
    some = seeds.subscription_id(ground.many // 2)
    rare, prefix = f"reader{ground.many // 3}", f"r{ground.many // 3}"
    pages = {
        "all lists": "/operator/",
        "a list's year": f"{_LIST}?span=months",
        "subscribers": f"{_LIST}/subscribers",
        "subscribers, from the middle": f"{_LIST}/subscribers?before={some}",
        "subscribers of one state": f"{_LIST}/subscribers?state=confirmed",
        "subscribers who came by one way": f"{_LIST}/subscribers?source=form",
        "search: all have it": f"{_LIST}/subscribers?q=reader",
        "search: one of 1,000 has it": f"{_LIST}/subscribers?q=777@",
        "search: one has it": f"{_LIST}/subscribers?q={rare}@",
        "search: nobody has it": f"{_LIST}/subscribers?q={prefix}@",
        "search: two letters": f"{_LIST}/subscribers?q=re",
        "a subscriber": f"{_LIST}/subscribers/{some}",
        "the outbox": f"{_LIST}/outbox",
    }
    lines, told = [], [f"# {database}, {ground.many:,} subscribers"]
    with _logged_in(app) as client:
        for name, path in pages.items():
            taken = [_once(client, path) for _ in range(_TIMES)]
            lines.append(
                at_most(
                    f"console: {name}, {database}", median(taken), _MOST, "ms", digits=1,
                    note=f"server time of the whole page; slowest of {_TIMES}: {max(taken):.0f} ms",
                )
            )  # fmt: skip
            told += [f"\n## {name}: {path}", *_plans(app, client, path)]
    _keep(told, database)
    return lines


@contextmanager
def _logged_in(app: Flask) -> Iterator[FlaskClient]:
    """The browser of an owner."""
    now = datetime.now(UTC)
    with app.app_context():
        session = db.session()
        with write_transaction(session):
            owner = operators.add(
                session, now, COMMAND_LINE, address="owner@example.org", role=Role.OWNER, lists=None
            )
            key = logins.open_session(session, now, owner, Seen("bench"))
    client = app.test_client()
    with client.session_transaction(path="/operator/") as kept:
        kept["key"] = key
    yield client
    with app.app_context():
        db.session.remove()
        db.engine.dispose()


def _once(client: FlaskClient, path: str) -> float:
    began = time.perf_counter()
    answer = client.get(path)
    taken = (time.perf_counter() - began) * 1000
    if answer.status_code != 200:
        raise Broken(f"{path} answered {answer.status_code}")
    return taken


def _plans(app: Flask, client: FlaskClient, path: str) -> list[str]:
    with app.app_context():
        engine = db.engine
    get: Callable[[], object] = lambda: client.get(path)  # noqa: E731
    return list(plans(engine, get))


def _keep(told: list[str], database: str) -> None:
    """Beside those of the other database, in the file of this run."""
    _PLANS.parent.mkdir(exist_ok=True)
    there = _PLANS.read_text("utf-8") if _PLANS.exists() else ""
    others = [part for part in there.split("\f") if part.strip() and not part.startswith(f"# {database}")]
    _PLANS.write_text("\f".join([*others, "\n".join(told) + "\n"]), "utf-8")

"""Cost as work grows: the same short loads, in turns, with few and with many subscribers in the database."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median

from bench import loads, seeds, servers
from bench.ground import Ground, Site
from bench.servers import Service
from bench.table import Line

_FEW = 1000
_MOST = 1.2
_TURNS = 9


def growth(ground: Ground) -> list[Line]:
    """Sign-ups for a second, then a thousand one-clicks. What they leave is taken back between turns, so that
    few stay few."""
    few, many = ground.on_postgres(), ground.large()
    with ground.postgres.connect(few.database) as connection:
        seeds.fill_postgres(connection, range(1, _FEW + 1), state="confirmed")
        seeds.settle(connection)
    with servers.service(few.environ) as at_few, servers.service(many.environ) as at_many:

        def sign_ups(site: Site, service: Service) -> float:
            answers = loads.sign_ups(service, ground.folder, 1)
            with ground.postgres.connect(site.database) as connection:
                connection.execute(
                    b"DELETE FROM subscribers WHERE id >= '01900001-0000-7000-8000-000000000000'"
                )
                _tidy(connection)
            return answers.rate

        def clicks(site: Site, service: Service) -> float:
            paths = seeds.unsubscribe_paths(seeds.links(site.data_dir), range(1, _FEW + 1))
            answers = loads.posts(service, ground.folder, 1, paths)
            with ground.postgres.connect(site.database) as connection:
                connection.execute(
                    b"UPDATE subscriptions SET state = 'confirmed', unsubscribed_at = NULL "
                    b"WHERE state = 'unsubscribed'"
                )
                _tidy(connection)
            return answers.rate

        return [
            _line(ground, name, lambda load=load: (load(few, at_few), load(many, at_many)))  # type: ignore[misc]
            for name, load in (("sign-up", sign_ups), ("one-click", clicks))
        ]


def _tidy(connection: seeds.Connection) -> None:
    for table in ("subscribers", "subscriptions", "consent_events", "outbox"):
        connection.execute(f"VACUUM {table}".encode())


def _line(ground: Ground, name: str, turn: Callable[[], tuple[float, float]]) -> Line:
    turn()  # warms both up
    taken = [turn() for _ in range(_TURNS)]
    slower = median(few / many for few, many in taken)
    return Line(
        f"{name}: {_FEW:,} against {ground.many:,} subscribers, PostgreSQL",
        f"{median(many for _, many in taken):,.0f}/s",
        f"{median(few for few, _ in taken):,.0f}/s",
        f"{slower:.2f}×",
        f"≤ {_MOST}×",
        slower <= _MOST,
        f"limit: the same with {_FEW:,}; median of {_TURNS} short loads in turns",
    )

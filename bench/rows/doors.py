"""Confirming and one-click unsubscribing over HTTP, against pgbench updating a subscription by its key."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from statistics import median

from bench import loads, seeds, servers
from bench.ground import Ground
from bench.seeds import pg_id
from bench.table import Line, rates
from bench.tools import Broken
from newsletter.domain.links import Links

_LEAST = {"one-click": 0.15, "confirm": 0.12}
_FASTEST = 6000  # requests a second that links are written for: each is used once


def one_click(ground: Ground) -> list[Line]:
    """Leaving: each subscription once."""
    return [_measure(ground, "one-click", "confirmed", "unsubscribed", seeds.unsubscribe_paths)]


def confirm(ground: Ground) -> list[Line]:
    """Confirming: each subscription once."""
    return [_measure(ground, "confirm", "pending", "confirmed", seeds.confirm_paths)]


def _measure(
    ground: Ground, name: str, before: str, after: str, paths: Callable[[Links, range], Iterator[str]]
) -> Line:
    site = ground.on_postgres()
    links = seeds.links(site.data_dir)
    each = _FASTEST * ground.seconds
    warm_up = _FASTEST
    turns = iter(range(warm_up + 1 + turn * each, warm_up + 1 + (turn + 1) * each) for turn in range(3))
    first_raw = warm_up + 1 + 3 * each
    raw = (
        f"\\set n random({first_raw}, {first_raw + each - 1})\n"
        f"UPDATE subscriptions SET state = '{after}', {after}_at = now() "
        f"WHERE id = {pg_id(seeds.SUBSCRIPTION, ':n')};\n"
    )
    taken: list[loads.Answers] = []
    with ground.postgres.connect(site.database) as connection, servers.service(site.environ) as service:
        seeds.fill_postgres(connection, range(1, first_raw + each), state=before)
        seeds.settle(connection)
        loads.posts(service, ground.folder, 1, paths(links, range(1, warm_up + 1)))

        def limit() -> float:
            return loads.pgbench(ground.postgres, site.database, ground.folder, ground.seconds, raw)

        def ours() -> float:
            turn = next(turns)
            taken.append(loads.posts(service, ground.folder, ground.seconds, paths(links, turn)))
            row = connection.execute(
                (
                    f"SELECT count(*) FROM subscriptions WHERE state = '{after}' AND id BETWEEN "
                    f"'{seeds.subscription_id(turn.start)}' AND '{seeds.subscription_id(turn.stop - 1)}'"
                ).encode()
            ).fetchone()
            if row != (taken[-1].answered,):
                raise Broken(f"{taken[-1].answered} answers left {row} subscriptions {after}")
            return taken[-1].rate

        pairs = ground.pairs(limit, ours)
    p99 = median(answers.p99 for answers in taken)
    return rates(
        f"{name} over HTTP, PostgreSQL",
        pairs,
        least=_LEAST[name],
        note=f"limit: pgbench UPDATE by key; p99 {p99:.0f} ms; every answer stored",
    )

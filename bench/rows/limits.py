"""What the limits add to a sign-up: the same short loads, in turns, with them and without."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median

from bench import loads, servers
from bench.ground import Ground, Site
from bench.table import Line

_MOST = 1.15
_TURNS = 10
# So high that nobody reaches them, for each sign-up is to be stored. The load comes as through a proxy,
# from a network for each sign-up, as the sign-ups of readers do.
_OFF = {"NEWSLETTER_TRUSTED_PROXIES": "1"}
_ON = _OFF | {
    "NEWSLETTER_SIGNUP_LIMIT": "1000000/hour",
    "NEWSLETTER_SURGE_LIMIT": "1000000/hour",
}


def limits(ground: Ground) -> list[Line]:
    """On both databases."""
    return [
        _line(ground, name, make(**_OFF), make(**_ON))
        for name, make in (("PostgreSQL", ground.on_postgres), ("SQLite", ground.on_sqlite))
    ]


def _line(ground: Ground, name: str, without: Site, limited: Site) -> Line:
    seconds = max(1, ground.seconds // 2)
    with servers.service(without.environ) as at_off, servers.service(limited.environ) as at_on:

        def off() -> float:
            return loads.sign_ups(at_off, ground.folder, seconds).rate

        def on() -> float:
            return loads.sign_ups(at_on, ground.folder, seconds).rate

        _turn(off, on)  # warms both up
        taken = [_turn(off, on) if turn % 2 else _turn(on, off)[::-1] for turn in range(_TURNS)]
    cost = median(off / on for off, on in taken)
    return Line(
        f"sign-up with limits against none, {name}",
        f"{median(on for _, on in taken):,.0f}/s",
        f"{median(off for off, _ in taken):,.0f}/s",
        f"{cost:.2f}×",
        f"≤ {_MOST}×",
        cost <= _MOST,
        f"limit: the same without limits; median of {_TURNS} short loads in turns",
    )


def _turn(first: Callable[[], float], second: Callable[[], float]) -> tuple[float, float]:
    return first(), second()

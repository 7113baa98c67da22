"""Mail that a visitor waits for, while others make us wait: beside a destination that takes 30 seconds for
every answer, and behind 20,000 mails of an import. One worker, from the start of a sign-up's request to its
mail's last byte."""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any

from aiosmtpd.controller import Controller

from bench import seeds, servers
from bench.ground import Ground, Site
from bench.table import Line, at_most
from bench.tools import Broken

_PAUSE = 30.0  # seconds for each answer about a recipient
_SLOW, _MANY = 2_000, 20_000  # mails that wait
_BESIDE, _BEHIND = 5, 2  # seconds
_PATIENCE = 120.0  # seconds after which a mail counts as lost
_SLOW_DOMAIN = "slow.example"
_SETTLES = 3.0  # seconds that the worker is at what waits before the next visitor comes


def lanes(ground: Ground) -> list[Line]:
    """Both, on both databases."""
    lines = []
    for kind, make in (("PostgreSQL", ground.on_postgres), ("SQLite", ground.on_sqlite)):
        for name, count, domain, lane, most in (
            (f"beside {_SLOW:,} to a destination that takes {_PAUSE:.0f} s an answer",
             _SLOW, _SLOW_DOMAIN, 1, _BESIDE),
            (f"behind {_MANY:,} mails of an import", _MANY, "bulk.example", 3, _BEHIND),
        ):  # fmt: skip
            taken = [_measure(ground, make, count, domain, lane) for _ in range(1 if ground.quick else 3)]
            note = f"slowest of {3 * len(taken)} sign-ups"
            lines.append(
                at_most(f"confirmation {name}, {kind}", max(max(taken)), most, "s", digits=2, note=note)
            )
    return lines


def _measure(
    ground: Ground, make: Callable[..., Site], count: int, domain: str, lane: int
) -> tuple[float, ...]:
    """Seconds that three sign-ups took, the first soon after the worker has begun."""
    arrivals: queue.Queue[str] = queue.Queue()
    controller = Controller(_Handler(arrivals), hostname="127.0.0.1", port=servers.free_port())
    controller.start()
    try:
        site = make(NEWSLETTER_SMTP_URL=f"smtp://127.0.0.1:{controller.port}")
        _fill(ground, site, count, domain, lane)
        with servers.service(site.environ, with_worker=True) as service:
            taken = []
            for number in range(3):
                time.sleep(_SETTLES)
                taken.append(_sign_up(service.origin, f"ann{number}@fresh{number}.example", arrivals))
    finally:
        controller.stop()
    return tuple(taken)


def _sign_up(origin: str, address: str, arrivals: queue.Queue[str]) -> float:
    body = urllib.parse.urlencode({"email": address}).encode()
    began = time.perf_counter()
    with urllib.request.urlopen(f"{origin}/lists/daily/subscriptions", body, timeout=30):
        pass
    while time.perf_counter() - began < _PATIENCE:
        try:
            if arrivals.get(timeout=_PATIENCE) == address:
                return time.perf_counter() - began
        except queue.Empty:
            break
    raise Broken(f"a confirmation did not arrive within {_PATIENCE:.0f} s")


def _fill(ground: Ground, site: Site, count: int, domain: str, lane: int) -> None:
    if site.database:
        with ground.postgres.connect(site.database) as server:
            for statement in seeds.waiting_mails(count, domain, lane, on_postgres=True):
                server.execute(statement.encode())
            seeds.settle(server)
        return
    file = sqlite3.connect(site.data_dir / "newsletter.sqlite3")
    try:
        for statement in seeds.waiting_mails(count, domain, lane, on_postgres=False):
            file.execute(statement)
        file.commit()
    finally:
        file.close()


class _Handler:
    """Notes for whom mail arrived; takes its time for one domain."""

    def __init__(self, arrivals: queue.Queue[str]) -> None:
        self._arrivals = arrivals

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: list[str]
    ) -> str:
        await self._wait(address)
        envelope.rcpt_tos.append(address)
        return "250 taken"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        await self._wait(envelope.rcpt_tos[0])
        self._arrivals.put(envelope.rcpt_tos[0])
        return "250 taken"

    async def _wait(self, address: str) -> None:
        if address.endswith(f"@{_SLOW_DOMAIN}"):
            await asyncio.sleep(_PAUSE)

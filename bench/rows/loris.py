"""Slow clients (checklist A14): how long sign-ups take while thousands of connections dribble.

Each of these asks for as much patience as HTTP grants: a request's head that never ends, or a body that
arrives byte by byte. Where the service hangs up, they call again.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from urllib.parse import urlencode, urlsplit

from bench import loads, servers
from bench.ground import REPEATS, Ground
from bench.servers import Service
from bench.table import Line
from bench.tools import Broken
from newsletter.file_limit import raise_file_limit

_MANY = 2000
_MOST = 3
_IN_A_ROW = 1000
_LONGEST = 1.0  # seconds
_PAUSE = (2.0, 5.0)  # seconds between two bytes
_HEAD = b"POST /lists/daily/subscriptions HTTP/1.1\r\nHost: 127.0.0.1\r\n"
_BODY = _HEAD + b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000\r\n\r\nemail=slow"
# What is sent first, and what is sent then, again and again.
_KINDS = {"heads": (_HEAD, b"X-Slow: 1\r\n"), "bodies": (_BODY, b"a")}


def loris(ground: Ground) -> list[Line]:
    """Slow heads and slow bodies, in turns with none."""
    raise_file_limit()
    site = ground.on_postgres()
    alone: list[float] = []
    disturbed: dict[str, list[float]] = {kind: [] for kind in _KINDS}
    with servers.service(site.environ) as service:
        loads.sign_ups(service, ground.folder, 1)
        with _slow_clients(service, *_KINDS["bodies"]):
            slowest = _slowest(service)
        for _ in range(REPEATS):
            alone.append(loads.sign_ups(service, ground.folder, ground.seconds).p99)
            for kind, sent in _KINDS.items():
                with _slow_clients(service, *sent):
                    disturbed[kind].append(loads.sign_ups(service, ground.folder, ground.seconds).p99)
    in_a_row = Line(
        f"slowest of {_IN_A_ROW:,} sign-ups in a row beside {_MANY:,} slow bodies, PostgreSQL",
        f"{slowest * 1000:,.0f} ms",
        target=f"≤ {_LONGEST:.0f} s",
        met=slowest <= _LONGEST,
        note="each on a connection of its own",
    )
    return [in_a_row, *(_line(kind, alone, taken) for kind, taken in disturbed.items())]


def _slowest(service: Service) -> float:
    """The longest that one of many sign-ups takes, in seconds, from connecting to the end of the answer.
    Raises `Broken` unless all are answered by 200."""
    slowest, url = 0.0, f"{service.origin}/lists/daily/subscriptions"
    for number in range(_IN_A_ROW):
        form = urlencode({"email": f"row-{number}@example.org"}).encode()
        began = time.perf_counter()
        with urllib.request.urlopen(url, form, timeout=60) as answer:
            answer.read()
            if answer.status != 200:
                raise Broken(f"sign-up {number} was answered by {answer.status}")
        slowest = max(slowest, time.perf_counter() - began)
    return slowest


def _line(kind: str, alone: list[float], disturbed: list[float]) -> Line:
    times = median(slow / quiet for slow, quiet in zip(disturbed, alone, strict=True))
    return Line(
        f"sign-up p99 under {_MANY:,} slow {kind}, PostgreSQL",
        f"{median(disturbed):,.0f} ms",
        f"{median(alone):,.0f} ms",
        f"{times:.2f}×",
        f"< {_MOST}×",
        times < _MOST,
        f"limit: the same without; {REPEATS} loads of each in turns",
    )


@contextmanager
def _slow_clients(service: Service, first: bytes, then: bytes) -> Iterator[None]:
    """Hold the connections open while the block runs. Raises `Broken` unless they are held from its beginning
    to its end, but for those that call again right then: the service hangs up on many at the same moment."""
    clients = _Clients(urlsplit(service.origin).port or 0, first, then)
    thread = threading.Thread(target=lambda: asyncio.run(clients.run()))
    thread.start()
    try:
        clients.wait_until_held()
        time.sleep(1)
        yield
        clients.wait_until_held(seconds=2)
    finally:
        clients.ended.set()
        thread.join()


class _Clients:
    def __init__(self, port: int, first: bytes, then: bytes) -> None:
        self._port, self._first, self._then = port, first, then
        self.held = 0
        self.ended = threading.Event()

    def wait_until_held(self, *, seconds: float = 20) -> None:
        deadline = time.monotonic() + seconds
        while self.held < _MANY * 0.9:
            if time.monotonic() > deadline:
                raise Broken(f"only {self.held} of {_MANY} slow connections were held")
            time.sleep(0.05)

    async def run(self) -> None:
        tasks = [asyncio.create_task(self._client()) for _ in range(_MANY)]
        while not self.ended.is_set():
            await asyncio.sleep(0.1)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _client(self) -> None:
        while True:
            with contextlib.suppress(OSError):
                await self._dribble()
            await asyncio.sleep(0.1)

    async def _dribble(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        self.held += 1
        try:
            writer.write(self._first)
            while not reader.at_eof():
                await writer.drain()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(random.uniform(*_PAUSE)):
                        await reader.read(4096)  # an answer, or the end: whoever is patient gets neither
                writer.write(self._then)
        finally:
            self.held -= 1
            writer.close()

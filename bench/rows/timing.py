"""Whether the time of an answer tells what is known of an address (checklist A7).

Sign-ups of addresses in every state, one at a time on one connection, in random order. The distribution of
their times is held against that of unknown addresses by the two-sample Kolmogorov-Smirnov test.
"""

from __future__ import annotations

import random
import socket
import sqlite3
import time
from bisect import bisect_right
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from math import log, sqrt
from statistics import median
from urllib.parse import urlsplit
from uuid import uuid4

from bench import seeds, servers
from bench.ground import Ground, Site
from bench.servers import Service
from bench.table import Line
from bench.tools import Broken
from newsletter.database import rfc3339
from newsletter.domain.suppressing import digests

_EACH = 200  # requests a state
_WARM_UP = 200
_LEVEL = 0.01
_UNKNOWN = "unknown"
# What is stored of an address: its subscription's state, and whether it was mailed just now or long ago.
_KNOWN = {
    "pending": "pending",
    "pending, mailed just now": "pending",
    "confirmed": "confirmed",
    "unsubscribed": "unsubscribed",
    "complained": "complained",
    "suppressed": "bounced",
}
# Everything that may make a difference is at work, and no limit is reached.
_SETTINGS = {
    "NEWSLETTER_TRUSTED_PROXIES": "1",
    "NEWSLETTER_SIGNUP_LIMIT": "1000000/hour",
    "NEWSLETTER_SURGE_LIMIT": "1000000/hour",
}

Write = Callable[[str], object]


def timing(ground: Ground) -> list[Line]:
    """On both databases."""
    on_sqlite, on_postgres = ground.on_sqlite(**_SETTINGS), ground.on_postgres(**_SETTINGS)
    with closing(sqlite3.connect(on_sqlite.data_dir / "newsletter.sqlite3", isolation_level=None)) as file:
        lines = [_line("SQLite", on_sqlite, file.execute)]
    with ground.postgres.connect(on_postgres.database) as connection:
        lines.append(_line("PostgreSQL", on_postgres, lambda sql: connection.execute(sql.encode())))
        return lines


def _line(name: str, site: Site, write: Write) -> Line:
    with servers.service(site.environ) as service, closing(_Visitor(service)) as visitor:
        for _ in range(_WARM_UP):
            visitor.sign_up(_address())
        addresses = {state: _known(visitor, site, write, state) for state in _KNOWN}
        addresses[_UNKNOWN] = [_address() for _ in range(_EACH)]
        for _ in range(_WARM_UP):
            visitor.sign_up(_address())
        asked = [(state, address) for state, those in addresses.items() for address in those]
        random.Random(7).shuffle(asked)
        times: dict[str, list[float]] = {state: [] for state in addresses}
        for state, address in asked:
            times[state].append(visitor.sign_up(address))
    unknown = times.pop(_UNKNOWN)
    distance, state = max((_distance(unknown, taken), state) for state, taken in times.items())
    critical = _critical(_EACH, _EACH, level=_LEVEL / len(times))
    medians = ", ".join(f"{known} {median(taken) * 1000:.2f}" for known, taken in times.items())
    return Line(
        f"answers to {_EACH} sign-ups a state against unknown, {name}: largest D",
        f"{distance:.3f}",
        f"{critical:.3f}",
        target=f"< {critical:.3f}",
        met=distance < critical,
        note=f"limit: the critical value at {_LEVEL:.0%} for {len(times)} pairs; largest for {state}; "
        f"medians in ms: unknown {median(unknown) * 1000:.2f}, {medians}",
    )


def _distance(first: Sequence[float], second: Sequence[float]) -> float:
    """The Kolmogorov-Smirnov D: how far the two empirical distribution functions are apart at most."""
    first, second = sorted(first), sorted(second)
    return max(
        abs(bisect_right(first, value) / len(first) - bisect_right(second, value) / len(second))
        for value in (*first, *second)
    )


def _critical(first: int, second: int, *, level: float) -> float:
    """The D that two samples of one distribution exceed with a probability of `level`."""
    return sqrt(-log(level / 2) / 2 * (first + second) / (first * second))


def _address() -> str:
    """An address that nobody has used. All are of one length, and so are their requests."""
    return f"{uuid4().hex}@example.org"


def _known(visitor: _Visitor, site: Site, write: Write, state: str) -> list[str]:
    """Addresses that are in a state, by a sign-up of each and what may have come of it long ago."""
    addresses = [_address() for _ in range(_EACH)]
    for address in addresses:
        visitor.sign_up(address)
    those = ", ".join(f"'{address}'" for address in addresses)
    people = f"SELECT id FROM subscribers WHERE identity IN ({those})"
    subscriptions = f"SELECT id FROM subscriptions WHERE subscriber_id IN ({people})"
    now = datetime.now(UTC)
    then = now if "just now" in state else now - timedelta(days=20)
    at = f"'{rfc3339(then)}'"
    stored = _KNOWN[state]
    stamped = {"confirmed": f", confirmed_at = {at}", "unsubscribed": f", unsubscribed_at = {at}"}
    write(
        f"UPDATE outbox SET status = 'sent', created_at = {at}, sent_at = {at}, "
        f"idempotency_key = 'aged ' || CAST(id AS VARCHAR) WHERE subscription_id IN ({subscriptions})"
    )
    write(f"UPDATE consent_events SET at = {at} WHERE subscription_id IN ({subscriptions})")
    write(
        f"UPDATE subscriptions SET state = '{stored}', created_at = {at}, asked_at = {at}"
        f"{stamped.get(stored, '')} WHERE id IN ({subscriptions})"
    )
    if state == "suppressed":
        keys = seeds.keys(site.data_dir)
        rows = ", ".join(f"('{digests(address, keys)[-1]}', 'bounced', {at})" for address in addresses)
        write(f"INSERT INTO suppressions (digest, reason, created_at) VALUES {rows}")
    return addresses


class _Visitor:
    """One connection, on which one request follows the other; each comes from a network of its own."""

    def __init__(self, service: Service) -> None:
        self._socket = socket.create_connection(("127.0.0.1", urlsplit(service.origin).port or 0), timeout=30)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sent = 0

    def sign_up(self, address: str) -> float:
        """The seconds from the request's first byte to the answer's last. Raises `Broken` unless 200."""
        self._sent += 1
        body = f"email={address.replace('@', '%40')}"
        request = (
            "POST /lists/daily/subscriptions HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"X-Forwarded-For: 10.10.{100 + self._sent // 100}.{100 + self._sent % 100}\r\n"
            f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        ).encode()
        began = time.perf_counter()
        self._socket.sendall(request)
        head, _, content = self._read_until(b"", b"\r\n\r\n").partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        while len(content) < length:
            content += self._read()
        seconds = time.perf_counter() - began
        if b" 200 " not in head.partition(b"\r\n")[0]:
            raise Broken(f"a sign-up was answered by {head[:100]!r}")
        return seconds

    def close(self) -> None:
        self._socket.close()

    def _read_until(self, read: bytes, mark: bytes) -> bytes:
        while mark not in read:
            read += self._read()
        return read

    def _read(self) -> bytes:
        data = self._socket.recv(65536)
        if not data:
            raise Broken("the service hung up")
        return data

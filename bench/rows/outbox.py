"""Mail: how fast the outbox empties into a sink, and how soon the first mail leaves after a sign-up."""

from __future__ import annotations

import queue
import random
import time
import urllib.parse
import urllib.request
from statistics import median
from typing import Any

from aiosmtpd.controller import Controller

from bench import seeds, servers
from bench.ground import Ground
from bench.table import Line, at_most, rates
from bench.tools import Broken, find, run

_LEAST = 1.0
_SIZE = 11 * 1024
_SESSIONS = 16
_SOON = 1  # seconds


def throughput(ground: Ground) -> list[Line]:
    """One `newsletter worker --once`, against smtp-source and the same sink."""
    source = find("smtp-source")
    messages = 150 * ground.seconds
    with servers.smtp_sink() as port:
        site = ground.on_postgres(NEWSLETTER_SMTP_URL=f"smtp://127.0.0.1:{port}")
        turns = iter(range(1 + turn * messages, 1 + (turn + 1) * messages) for turn in range(3))
        with ground.postgres.connect(site.database) as connection:

            def limit() -> float:
                count = messages * 10
                began = time.perf_counter()
                run(
                    [source, "-s", str(_SESSIONS), "-m", str(count), "-l", str(_SIZE),
                     "-f", "news@example.org", "-t", "reader@example.org", f"127.0.0.1:{port}"],
                )  # fmt: skip
                return count / (time.perf_counter() - began)

            def ours() -> float:
                turn = next(turns)
                seeds.fill_postgres(connection, turn, state="pending", mail="queued")
                seeds.settle(connection)
                servers.command(site.environ, "worker", "--once")
                first, last = f"'seed:{turn.start}'", f"'seed:{turn.stop - 1}'"
                row: Any = connection.execute(
                    (
                        "SELECT count(*), extract(epoch FROM max(sent_at) - min(sent_at)) FROM outbox "
                        "WHERE status = 'sent' AND created_at >= (SELECT min(created_at) FROM outbox "
                        f"WHERE idempotency_key IN ({first}, {last}))"
                    ).encode()
                ).fetchone()
                if row[0] != messages:
                    raise Broken(f"{row[0]} of {messages} mails were sent")
                return messages / float(row[1])

            pairs = ground.pairs(limit, ours)
    note = f"limit: smtp-source, {_SESSIONS} sessions, {_SIZE // 1024} KiB each; ours: confirmations"
    return [rates("mails to a local sink, one worker, PostgreSQL", pairs, least=_LEAST, note=note)]


def first_mail(ground: Ground) -> list[Line]:
    """From the start of a sign-up's request to its mail's last byte, the service being idle."""
    arrivals: queue.Queue[tuple[float, int]] = queue.Queue()
    controller = Controller(_Handler(arrivals), hostname="127.0.0.1", port=servers.free_port())
    controller.start()
    taken: list[float] = []
    try:
        site = ground.on_sqlite(NEWSLETTER_SMTP_URL=f"smtp://127.0.0.1:{controller.port}")
        pause = random.Random(1)
        with servers.service(site.environ, with_worker=True) as service:
            time.sleep(3)  # the worker starts beside the web processes
            for number in range(6 if ground.quick else 20):
                time.sleep(pause.uniform(0.2, 0.8))
                body = urllib.parse.urlencode({"email": f"ann{number}@example.org"}).encode()
                began = time.perf_counter()
                with urllib.request.urlopen(f"{service.origin}/lists/daily/subscriptions", body, timeout=10):
                    pass
                try:
                    arrived, size = arrivals.get(timeout=15)
                except queue.Empty as error:
                    raise Broken("a confirmation did not arrive within 15 s") from error
                taken.append(arrived - began)
    finally:
        controller.stop()
    note = f"slowest of {len(taken)}, median {median(taken):.2f} s; one mail is {size / 1024:.1f} KiB; SQLite"
    return [at_most("first mail after a sign-up, idle", max(taken), _SOON, "s", digits=2, note=note)]


class _Handler:
    """Notes when each mail arrived, and its size."""

    def __init__(self, arrivals: queue.Queue[tuple[float, int]]) -> None:
        self._arrivals = arrivals

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        self._arrivals.put((time.perf_counter(), len(envelope.content)))
        return "250 taken"

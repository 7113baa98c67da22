"""What is counted for Prometheus. Each of these functions counts one thing that has happened: it is called
after the commit, by whoever committed, and costs a few microseconds.

Figures of what is stored, such as how much mail waits, are not counted but read when they are asked for
(newsletter.services.figures).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from newsletter.counted.processes import begin, prepare
from newsletter.counted.series import WAYS, series
from newsletter.counted.showing import exposition, show_at
from newsletter.domain.lifecycle import Event

__all__ = [
    "answered", "begin", "exposition", "happened", "judged", "mailed", "prepare", "returned", "scanned",
    "show_at", "told",
]  # fmt: skip


def judged(way: str, answer: str) -> None:
    """A sign-up was tried: taken, asked for one more step, or told to wait."""
    series().tried.labels(way, answer).inc()


def happened(events: Iterable[tuple[Event, str]]) -> None:
    """Consent events were numbered: what each was, and by which way."""
    counts = series()
    known = ((event, way if way in WAYS else "other") for event, way in events)
    for (event, way), number in Counter(known).items():
        named = {
            Event.SIGN_UP: counts.sign_ups,
            Event.CONFIRM: counts.confirmations,
            Event.UNSUBSCRIBE: counts.unsubscribes,
        }.get(event)
        child = named.labels(way) if named is not None else counts.other_events.labels(event.value, way)
        child.inc(number)


def mailed(kind: str, result: str) -> None:
    """A mail was handed to the relay: sent, delayed, failed or withdrawn."""
    series().mails.labels(kind, result).inc()


def returned(kind: str, way: str, *, times: int = 1) -> None:
    """Something came back: a kind of newsletter.domain.returns.ReturnKind, and how it reached us."""
    series().returns.labels(kind, way).inc(times)


def scanned(door: str, kind: str, delay: str, *, falsely: bool) -> None:
    """A link was looked at. `falsely`: where that alone acted, it would have been false."""
    counts = series()
    counts.scans.labels(door, kind, delay).inc()
    if falsely:
        counts.false_presses.labels(door).inc()


def told(result: str) -> None:
    """A webhook was told something: delivered, delayed or failed."""
    series().webhooks.labels(result).inc()


def answered(group: str, status: int, seconds: float) -> None:
    """A request was answered."""
    latency, statuses = series().of_group(group)
    latency.observe(seconds)
    statuses[status // 100 - 1].inc()

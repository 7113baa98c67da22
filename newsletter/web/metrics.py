"""Figures for Prometheus: what was counted by all processes of this machine, and what waits in the database.

A scrape always answers in a few seconds. Where the database does not, it says so, and tells what is known
without it."""

from __future__ import annotations

import ipaddress
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

import structlog
from flask import Blueprint, Flask, Response, abort, current_app, request
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Metric, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError

from newsletter import counted
from newsletter.database import first_line
from newsletter.extensions import db
from newsletter.models.outbox import Lane
from newsletter.parts import parts
from newsletter.services import figures
from newsletter.services.figures import Figures, Waiting
from newsletter.services.guard import Surge
from newsletter.version import __version__
from newsletter.web.limiting import limits

metrics = Blueprint("metrics", __name__)

_PATIENCE = 3.0  # seconds that a scrape waits for the database

log = structlog.get_logger()


@metrics.before_request
def _only_near() -> None:
    """Not for the public: asked from this machine or a private network."""
    try:
        near = ipaddress.ip_address(request.remote_addr or "").is_private
    except ValueError:
        near = False
    if not near:
        abort(404)


@metrics.get("/metrics")
def show() -> Response:
    """The figures, in Prometheus's text format."""
    found = cast("Reading", current_app.extensions["newsletter.reading"]).take()
    registry = CollectorRegistry()
    registry.register(_ReadNow("sqlite" if parts().settings.on_sqlite else "postgresql", found))
    return Response(counted.exposition() + generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


@dataclass(frozen=True)
class Standing:
    """What was read: the figures, and how high a surge is; None where limits are off."""

    figures: Figures
    surge: Surge | None


class Reading:
    """Reads the database for one scrape at a time, in a thread, so that none waits longer than it should."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._lock = threading.Lock()
        self._running: _Run | None = None

    def take(self) -> Standing | None:
        """What is read now; None where the database does not answer in time. While one waits for it in vain,
        all wait for the same."""
        with self._lock:
            run = self._running
            if run is None or not run.is_alive():
                run = self._running = _Run(self._app)
                run.start()
        run.join(_PATIENCE)
        return run.found


class _Run(threading.Thread):
    def __init__(self, app: Flask) -> None:
        super().__init__(name="metrics", daemon=True)
        self._app = app
        self.found: Standing | None = None

    def run(self) -> None:
        try:
            with self._app.app_context():
                self.found = Standing(figures.look(db.session(), datetime.now(UTC)), limits().surge())
        except SQLAlchemyError as error:
            log.error("metrics_without_database", error=first_line(error))


class _ReadNow(Collector):
    """What was read, as metrics. Made as they are shown: what is counted belongs to a process and is kept."""

    def __init__(self, database: str, found: Standing | None) -> None:
        self._database = database
        self._found = found

    def collect(self) -> Iterable[Metric]:
        build = GaugeMetricFamily("newsletter_build_info", "What runs.", labels=["version", "database"])
        build.add_metric([__version__, self._database], 1)
        yield build
        yield _gauge("database_up", "Whether the database answered this scrape.", self._found is not None)
        if self._found is None:
            return
        seen, surge = self._found.figures, self._found.surge
        yield from _waiting("outbox", "Mails", seen.outbox)
        yield from _by_lane(seen.lanes)
        yield from _waiting("journal", "Events without a number", seen.journal)
        yield from _waiting("webhooks", "Messages to webhooks", seen.webhooks)
        yield _gauge("outbox_failed", "Mails that were given up, up to 100,000.", seen.failed)
        if surge is not None:
            yield _gauge(
                "surge_demand", "Sign-ups tried in the stretch of time that the fuse looks at.", surge.demand
            )
            yield _gauge("surge_limit", "How many of them are usual (NEWSLETTER_SURGE_LIMIT).", surge.limit)
            yield _gauge("surge_height", "How high the surge is: 0 is calm, 4 is the highest.", surge.level)


def _gauge(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(f"newsletter_{name}", meaning, value=float(value))


def _by_lane(lanes: dict[Lane, Waiting]) -> Iterable[Metric]:
    waiting = GaugeMetricFamily(
        "newsletter_outbox_lane_waiting",
        "Mails that wait, up to 100,000 each.",
        labels=["lane"],
    )
    oldest = GaugeMetricFamily(
        "newsletter_outbox_lane_oldest_seconds",
        "Mails that wait: for how long the oldest of each lane has.",
        labels=["lane"],
    )
    for lane, waits in lanes.items():
        waiting.add_metric([lane.name.lower()], waits.number)
        oldest.add_metric([lane.name.lower()], waits.oldest_seconds)
    return waiting, oldest


def _waiting(name: str, what: str, waits: Waiting) -> Iterable[Metric]:
    yield _gauge(f"{name}_waiting", f"{what} that wait, up to 100,000.", waits.number)
    yield _gauge(
        f"{name}_oldest_seconds", f"{what} that wait: for how long the oldest has.", waits.oldest_seconds
    )

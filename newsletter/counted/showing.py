"""All counts of all processes, in Prometheus's text format."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from prometheus_client import CollectorRegistry, Metric, generate_latest, start_http_server
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from newsletter.counted.processes import bury, shared_folder
from newsletter.counted.series import Series, series


def exposition() -> bytes:
    """What was counted so far. Names that nothing was counted for yet stand there without a value."""
    own = series()
    folder = shared_folder()
    if folder is None:
        return generate_latest(own.registry)
    bury(folder)
    registry = CollectorRegistry()
    registry.register(_Together(own, folder))
    return generate_latest(registry)


def show_at(host: str, port: int) -> None:
    """Show what this process counts at an address of its own. Raises `OSError` where it cannot."""
    start_http_server(port, host, series().registry)


class _Together(Collector):
    """What all processes counted, in the order of our own series."""

    def __init__(self, own: Series, folder: Path) -> None:
        self._own = own
        self._all = MultiProcessCollector(None, str(folder))  # type: ignore[no-untyped-call]

    def collect(self) -> Iterable[Metric]:
        counted = {metric.name: metric for metric in self._all.collect()}  # type: ignore[no-untyped-call]
        for metric in self._own.registry.collect():
            yield counted.get(metric.name) or Metric(metric.name, metric.documentation, metric.type)

"""The series that this process counts, made when the first thing is counted.

Not before: the server forks its web processes, and each must have its own. Labels are few words of ours,
never what somebody sent: no path, no address, no token."""

from __future__ import annotations

import threading
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

_SECONDS = (0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
# What a request can be about; newsletter.web.latency says which is which.
GROUPS = (
    "sign_up", "code", "confirm_page", "confirm", "unsubscribe_page", "unsubscribe", "own_page", "pages",
    "embed", "console", "api", "static", "health", "other",
)  # fmt: skip
# By which way things happen. An archive that is imported brings any others.
WAYS = frozenset({
    "form", "script", "element", "frame", "page", "code", "one-click", "subscriber", "mailto",
    "mail", "arf", "smtp", "ses", "postmark", "mailgun", "sendgrid",
    "operator", "api", "command", "import", "purge",
})  # fmt: skip
_lock = threading.Lock()
disable_created_metrics()  # type: ignore[no-untyped-call]  # one more series for each, which nobody reads


class Series:
    """All that is counted."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()

        def counter(name: str, meaning: str, *labels: str) -> Counter:
            return Counter(f"newsletter_{name}", meaning, labels, registry=registry)

        self.tried = counter("sign_ups_tried", "Sign-ups that came in, by the answer.", "way", "answer")
        self.sign_ups = counter("sign_ups", "Sign-ups that were stored.", "way")
        self.confirmations = counter("confirmations", "Subscriptions that were confirmed.", "way")
        self.unsubscribes = counter("unsubscribes", "Subscriptions that were ended by their reader.", "way")
        self.other_events = counter(
            "other_events", "What else happened to subscriptions: imports, bounces, edits.", "event", "way"
        )
        self.mails = counter("mails", "Mails, by what became of handing them to the relay.", "kind", "result")
        self.returns = counter("returns", "What came back: bounces, complaints and the like.", "kind", "way")
        self.scans = counter(
            "scans", "Links of mails that were looked at without a press.", "door", "kind", "delay"
        )
        self.false_presses = counter(
            "false_presses_avoided", "Looks by machines that would have acted, if looking did.", "door"
        )
        self.webhooks = counter("webhook_deliveries", "Messages to webhooks, by result.", "result")
        self._seconds = Histogram(
            "newsletter_request_seconds",
            "How long requests took until their answer was made.",
            ("group",),
            registry=registry,
            buckets=_SECONDS,
        )
        self._requests = counter("requests", "Requests, by the first digit of the answer.", "group", "status")
        self.processes = Gauge(
            "newsletter_processes",
            "Processes that are alive.",
            ("role",),
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._groups: dict[str, tuple[Histogram, list[Counter]]] = {}
        self._begin_at_nothing()

    def of_group(self, group: str) -> tuple[Histogram, list[Counter]]:
        """The latency of a group of requests, and its answers by their first digit, 1 to 5."""
        found = self._groups.get(group)
        if found is None:
            statuses = [self._requests.labels(group, f"{digit}xx") for digit in range(1, 6)]
            found = self._groups[group] = (self._seconds.labels(group), statuses)
        return found

    def _begin_at_nothing(self) -> None:
        """A series that is there from the start shows its first event as a rise; one that appears with it
        does not."""
        for way in ("form", "script", "element", "frame"):
            self.sign_ups.labels(way)
        for way in ("page", "code"):
            self.confirmations.labels(way)
        for way in ("page", "one-click"):
            self.unsubscribes.labels(way)
        for result in ("sent", "delayed", "failed"):
            self.mails.labels("confirmation", result)
        for result in ("delivered", "delayed", "failed"):
            self.webhooks.labels(result)
        for door in ("confirm", "unsubscribe", "new_address", "stop_change", "not_me"):
            self.false_presses.labels(door)


def series() -> Series:
    """Those of this process."""
    with _lock:
        return _made()


@cache
def _made() -> Series:
    return Series()


def forget() -> None:
    """Begin anew, as a process does that shares its counts from now on."""
    with _lock:
        _made.cache_clear()

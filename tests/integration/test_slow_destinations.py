"""A destination that takes its time, or many mails that wait, hold up nobody else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from newsletter.mail import connections, schedule
from newsletter.models.outbox import Kind, Lane
from tests.support.outbox import fill
from tests.support.service import Service, eventually
from tests.support.smtp import Sink
from tests.support.working import working


class Slow:
    """Destinations whose answers at one step wait until they are let go."""

    def __init__(self, sink: Sink, step: str, *domains: str) -> None:
        self.released = threading.Event()
        self.held: set[str] = set()
        self._step, self._domains = step, domains
        sink.holds = self._holds

    def _holds(self, step: str, recipient: str) -> bool:
        domain = recipient.partition("@")[2]
        if self.released.is_set() or step != self._step or domain not in self._domains:
            return False
        self.held.add(domain)
        return True


@pytest.fixture
def slow(service: Service) -> Iterator[Callable[..., Slow]]:
    made: list[Slow] = []

    def make(step: str, *domains: str) -> Slow:
        made.append(Slow(service.sink, step, *domains))
        return made[-1]

    yield make
    for one in made:
        one.released.set()


@pytest.mark.parametrize("step", ["rcpt", "dot"])
def test_a_fresh_confirmation_leaves_while_a_destination_keeps_us_waiting(
    service: Service, slow: Callable[..., Slow], step: str
) -> None:
    destination = slow(step, "slow.example")
    fill(service, 1200, lane=Lane.INTERACTIVE, domain="slow.example")
    with working(service):
        eventually(lambda: destination.held)
        service.sign_up("ann@example.org")
        eventually(lambda: service.sink.to("ann@example.org"))
        assert len(service.sink.mails) == 1
        destination.released.set()
        eventually(lambda: len(service.sink.mails) > 1)

    # Of those that were put off or given back none has lost an attempt.
    assert service.one("SELECT max(attempts) FROM outbox WHERE status <> 'sent'") == 0


def test_more_slow_destinations_than_connections_give_way_before_their_mail_has_left(
    service: Service, slow: Callable[..., Slow], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule, "SLOW", 0.3)
    domains = [f"slow{number}.example" for number in range(1, 21)]
    destination = slow("rcpt", *domains)
    fill(service, len(domains), lane=Lane.INTERACTIVE, domain="slow{n}.example")
    with working(service) as stop:
        eventually(lambda: len(destination.held) >= 6)
        service.sign_up("ann@example.org")
        eventually(lambda: service.sink.to("ann@example.org"))
        assert len(service.sink.mails) == 1
        stop.set()
        destination.released.set()

    assert service.one("SELECT max(attempts) FROM outbox WHERE status <> 'sent'") == 0


def test_a_fresh_confirmation_leaves_before_an_import_that_waits(service: Service) -> None:
    fill(service, 20_000)
    with working(service) as stop:
        eventually(lambda: len(service.sink.mails) > 10)
        service.sign_up("ann@example.org")
        seen = len(service.sink.mails)
        eventually(lambda: service.sink.to("ann@example.org"), every=0.005)
        stop.set()
    place = [mail.recipient for mail in service.sink.mails].index("ann@example.org")

    # Between two looks into the outbox, and behind what the connections have in hand.
    assert place - seen <= 1_000
    assert service.one("SELECT count(*) FROM outbox WHERE status = 'queued'") > 18_000


def test_mail_to_many_leaves_while_visitors_keep_coming(service: Service) -> None:
    fill(service, 300, lane=Lane.INTERACTIVE, domain="visitors.example")
    fill(service, 5, kind=Kind.REMINDER, start=301)
    service.send_mail()
    recipients = [mail.recipient for mail in service.sink.mails]
    many = [place for place, recipient in enumerate(recipients) if recipient.endswith("@bulk.example")]

    assert len(recipients) == 305
    assert many[-1] < 150


def test_a_run_to_the_end_sends_what_a_slow_destination_takes(
    service: Service, slow: Callable[..., Slow], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule, "SLOW", 0.001)
    fill(service, 30, lane=Lane.INTERACTIVE)
    service.send_mail()

    assert len(service.sink.mails) == 30


def test_sigterm_finishes_the_messages_in_hand_of_every_connection(
    service: Service, slow: Callable[..., Slow]
) -> None:
    domains = [f"d{number}.example" for number in range(3)]
    destination = slow("dot", *domains)
    for number, domain in enumerate(domains):
        fill(service, 2, domain=domain, start=10 * number + 1)
    with service.process("worker") as worker:
        eventually(lambda: len(destination.held) == 3)
        worker.terminate()
        destination.released.set()
        assert worker.wait(timeout=120) == 0

    assert sorted(mail.recipient.partition("@")[2] for mail in service.sink.mails) == domains
    assert sorted(service.statuses()) == ["queued"] * 3 + ["sent"] * 3
    assert service.rows("SELECT attempts FROM outbox WHERE status = 'queued'") == [(0,)] * 3


def test_connections_that_nobody_needs_are_closed(
    on_sqlite: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_IDLE", 0.2)
    with working(on_sqlite):
        for _ in range(2):
            sent = len(on_sqlite.sink.mails)
            on_sqlite.sign_up(f"u{sent}@example.org")
            eventually(lambda: len(on_sqlite.sink.mails) > sent)  # noqa: B023
            eventually(lambda: on_sqlite.sink.open == 0)

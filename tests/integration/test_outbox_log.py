"""The outbox as operators see it: what waits, what failed and why, and trying again."""

from __future__ import annotations

from uuid import UUID

import pytest

from newsletter.services import outbox_log
from newsletter.services.access import COMMAND_LINE
from newsletter.services.outbox_log import CannotRetry, OutboxView
from tests.support.acting import audited, reading, the_list, writing
from tests.support.service import Service, now


def look(service: Service, slug: str = "daily") -> OutboxView:
    return reading(service, lambda session: outbox_log.look(session, the_list(service, slug).id))


def fail(service: Service, address: str) -> None:
    service.write(
        "UPDATE outbox SET status = 'failed', attempts = 9, last_error = '550 no such user' "
        "WHERE subscription_id IN (SELECT s.id FROM subscriptions s JOIN subscribers p "
        "ON p.id = s.subscriber_id WHERE p.address = :address)",
        address=address,
    )


def retry(service: Service, message_id: UUID, slug: str = "daily") -> None:
    list_id = the_list(service, slug).id
    writing(service, lambda session: outbox_log.retry(session, now(), COMMAND_LINE, list_id, message_id))


def test_each_mail_is_shown_where_it_belongs_and_on_its_list_alone(service: Service) -> None:
    service.command("lists", "add", "sport", "--name", "Sport")
    service.confirmed("sent@example.org")
    service.sign_up("waits@example.org")
    service.sign_up("failed@example.org")
    service.sign_up("other@example.org", "sport")
    fail(service, "failed@example.org")

    seen = look(service)

    assert [entry.address for entry in seen.waiting.entries] == ["waits@example.org"]
    assert [(entry.address, entry.last_error) for entry in seen.failed.entries] == [
        ("failed@example.org", "550 no such user")
    ]
    assert [entry.address for entry in seen.sent] == ["sent@example.org"]
    assert (seen.waiting.number, seen.failed.number, seen.failed.at_least) == (1, 1, False)


def test_what_failed_is_sent_when_it_is_tried_again(service: Service) -> None:
    service.sign_up("ann@example.org")
    fail(service, "ann@example.org")
    (entry,) = look(service).failed.entries

    retry(service, entry.id)

    assert len(service.mail_to("ann@example.org")) == 1
    assert audited(service) == [("mail.retried", str(entry.id))]
    with pytest.raises(CannotRetry):
        retry(service, entry.id)
    assert len(service.mail_to("ann@example.org")) == 1


def test_a_mail_of_another_list_is_not_tried_again(service: Service) -> None:
    service.command("lists", "add", "sport", "--name", "Sport")
    service.sign_up("ann@example.org")
    fail(service, "ann@example.org")
    (entry,) = look(service).failed.entries

    with pytest.raises(CannotRetry):
        retry(service, entry.id, "sport")

    assert service.statuses() == ["failed"]


def test_all_that_failed_of_a_list_is_tried_again_at_once(service: Service) -> None:
    service.command("lists", "add", "sport", "--name", "Sport")
    for name in ("ann", "bob", "cem"):
        service.sign_up(f"{name}@example.org", "sport" if name == "cem" else "daily")
        fail(service, f"{name}@example.org")
    daily = the_list(service).id

    assert writing(service, lambda s: outbox_log.retry_failed(s, now(), COMMAND_LINE, daily)) == 2
    assert writing(service, lambda s: outbox_log.retry_failed(s, now(), COMMAND_LINE, daily)) == 0

    assert service.statuses() == ["queued", "queued", "failed"]
    assert [action for action, _ in audited(service)] == ["mail.all_retried"]

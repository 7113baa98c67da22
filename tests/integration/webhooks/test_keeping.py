"""Keeping webhooks: secrets, switching off and on, the log, what is refused."""

from __future__ import annotations

import json
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from newsletter.database import write_transaction
from newsletter.extensions import db
from newsletter.services import lists, notify, webhook_log, webhooks
from newsletter.services.webhooks import WebhookError
from tests.support.receiver import Receiver, answer, ok
from tests.support.service import Service, now
from tests.support.webhooks import add, disable, doing, hurry, statuses, stored


def test_while_a_secret_is_rotated_either_verifies(service: Service, receiver: Receiver) -> None:
    webhook, old = add(service, receiver.url, ["subscribed"])
    new = doing(service, webhooks.rotate, webhook)
    service.sign_up("ann@example.org")
    service.work()
    assert receiver.told[0].is_signed_with(old)
    assert receiver.told[0].is_signed_with(new)

    past = now() - timedelta(seconds=1)
    service.write("UPDATE webhooks SET old_secret_until = :past", past=stored(service, past))
    service.sign_up("bob@example.org")
    service.work()
    assert not receiver.told[1].is_signed_with(old)
    assert receiver.told[1].is_signed_with(new)


def test_one_that_is_switched_off_is_told_nothing_and_later_only_what_is_new(
    service: Service, receiver: Receiver
) -> None:
    webhook, _ = add(service, receiver.url, ["subscribed"])
    receiver.respond = lambda handler: answer(handler, 500)
    service.sign_up("ann@example.org")
    service.work()
    receiver.respond = ok
    disable(service, webhook)
    service.sign_up("bob@example.org")
    hurry(service)
    service.work()
    assert (len(receiver.told), statuses(service)) == (1, ["cancelled"])

    doing(service, webhooks.enable, webhook)
    service.sign_up("cem@example.org")
    service.work()
    assert receiver.told[-1].message["data"]["subscriber"]["email"] == "cem@example.org"
    assert (len(receiver.told), statuses(service)) == (2, ["cancelled", "sent"])


def test_what_is_sent_again_has_the_same_id_and_what_is_held_now(
    service: Service, receiver: Receiver
) -> None:
    webhook, _ = add(service, receiver.url, ["subscribed"])
    service.sign_up("ann@example.org")
    service.work()
    (sent,) = service.rows("SELECT id FROM webhook_deliveries")
    doing(service, webhook_log.send_again, webhook, UUID(str(sent[0])))
    service.write("UPDATE subscribers SET name = 'Ann'")
    service.work()

    first, second = receiver.told
    assert (first.id, first.message["data"]["seq"]) == (second.id, second.message["data"]["seq"])
    assert second.message["data"]["subscriber"]["name"] == "Ann"
    assert statuses(service) == ["sent", "sent"]


def test_a_test_message_arrives_signed(service: Service, receiver: Receiver) -> None:
    webhook, secret = add(service, receiver.url, ["bounced"])
    doing(service, webhook_log.send_test, webhook)
    service.work()

    (told,) = receiver.told
    assert (told.type, told.message["data"]) == ("webhook.test", {"list": "daily"})
    assert told.is_signed_with(secret)


def test_the_log_is_read_page_by_page_and_kept_for_thirty_days(service: Service, receiver: Receiver) -> None:
    webhook, _ = add(service, receiver.url, ["subscribed"])
    for number in range(5):
        service.sign_up(f"reader-{number}@example.org")
    service.work()
    with service.app.app_context():
        first = webhook_log.read(db.session(), webhook, before=None, limit=3)
        rest = webhook_log.read(db.session(), webhook, before=first[-1].id, limit=3)
        db.session.rollback()
        assert [delivery.seq for delivery in [*first, *rest]] == [5, 4, 3, 2, 1]
        assert {delivery.answer for delivery in first} == {204}

        for later, left in ((timedelta(days=29), 5), (timedelta(days=31), 0)):
            with write_transaction(db.session()):
                notify.forget_old(db.session(), now() + later)
            assert len(statuses(service)) == left


@pytest.mark.parametrize(
    ("url", "notices", "message"),
    [
        ("http://10.0.0.1", ["bounced"], "must begin with https"),
        ("https://10.0.0.1/", ["bounced"], "private network"),
        ("https://a:b@example.org/", ["bounced"], "password"),
        ("https://example.org/", [], "at least one"),
        ("https://example.org/", ["opened"], "do not exist"),
    ],
)
def test_a_webhook_that_cannot_be_is_refused(
    on_sqlite: Service, url: str, notices: list[str], message: str
) -> None:
    with pytest.raises(WebhookError, match=message):
        add(on_sqlite, url, notices)
    assert on_sqlite.rows("SELECT * FROM webhooks") == []


def test_a_list_has_ten_webhooks_at_most(on_sqlite: Service) -> None:
    for _ in range(webhooks.MOST):
        add(on_sqlite, "https://example.org/", ["bounced"])

    with pytest.raises(WebhookError, match="at most 10"):
        add(on_sqlite, "https://example.org/", ["bounced"])


def test_another_lists_webhook_does_not_exist(service: Service) -> None:
    service.command("lists", "add", "sport", "--name", "Sport")
    webhook, _ = add(service, "https://example.org/", slug="sport")
    with service.app.app_context():
        daily, sport = (lists.find(db.session(), slug) for slug in ("daily", "sport"))
        assert daily is not None
        assert sport is not None
        assert webhooks.find(db.session(), daily.id, webhook) is None
        assert webhooks.find(db.session(), sport.id, webhook) is not None
        assert webhooks.find(db.session(), sport.id, uuid4()) is None


def test_one_that_is_removed_takes_its_log_along_while_events_are_put_down(
    service: Service, receiver: Receiver
) -> None:
    webhook, _ = add(service, receiver.url)
    service.sign_up("ann@example.org")
    service.work()
    doing(service, webhooks.remove, webhook)
    service.sign_up("bob@example.org")
    service.work()

    assert len(receiver.told) == 1
    assert statuses(service) == []


def test_the_audit_log_tells_the_host_and_never_a_key_or_a_secret(service: Service) -> None:
    webhook, secret = add(service, "https://hooks.example.org/in/K3Y?key=K3Y", ["bounced"])
    doing(service, webhooks.rotate, webhook)

    told = json.dumps(
        [list(map(str, row)) for row in service.rows("SELECT action, details FROM audit_events")]
    )
    assert "webhook.added" in told
    assert "webhook.rotated" in told
    assert "hooks.example.org" in told
    assert "K3Y" not in told
    assert secret not in told

"""Webhooks by the API."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.api import Caller, caller, problem
from tests.support.service import Service

HERE = "/lists/daily/webhooks"
SENT = {"url": "https://hooks.example.org/x", "events": ["confirmed", "unsubscribed"]}


def add(call: Caller) -> dict[str, Any]:
    response = call.post(HERE, json=SENT)
    assert response.status_code == 201, response.get_data(as_text=True)
    return dict(response.get_json())


def test_a_webhook_is_added_and_its_secret_shown_once(service: Service) -> None:
    call = caller(service)
    added = add(call)
    secret = added.pop("secret")

    assert secret.startswith("whsec_")
    assert added | SENT == added
    assert call.get(added["self"]).get_json() == added
    assert call.get(HERE).get_json() == {"items": [added]}
    renewed = call.post(f"{added['self']}/secret").get_json()
    assert renewed["secret"] not in ("", secret)
    assert renewed["old_secret_until"] is not None


def test_a_webhook_is_changed_switched_off_and_removed(service: Service) -> None:
    call = caller(service)
    where = add(call)["self"]

    changed = call.patch(where, json={"events": ["bounced"]}).get_json()
    assert (changed["url"], changed["events"]) == (SENT["url"], ["bounced"])
    assert call.patch(where, json={"enabled": False}).get_json()["disabled_at"] is not None
    assert problem(call.post(f"{where}/test"), 422)
    assert call.patch(where, json={"enabled": True}).get_json()["disabled_at"] is None
    removed = call.delete(where)
    assert (removed.status_code, removed.data) == (204, b"")
    assert problem(call.get(where), 404)


def test_its_log_comes_in_pages_and_can_be_replayed(service: Service) -> None:
    call = caller(service)
    where = add(call)["self"]
    sent = [call.post(f"{where}/test").get_json()["id"] for _ in range(3)]

    first = call.get(f"{where}/deliveries?limit=2").get_json()
    second = call.get(first["next"]).get_json()
    assert [one["id"] for one in first["items"] + second["items"]] == sent[::-1]
    assert second["next"] is None
    again = call.post(f"{where}/deliveries/{sent[0]}/replay")
    (newest,) = call.get(f"{where}/deliveries?limit=1").get_json()["items"]
    assert (again.status_code, again.get_json()["id"]) == (202, newest["id"])
    assert newest["message_id"] == second["items"][0]["message_id"]


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({"url": "https://10.0.0.1/x"}, "url"),
        ({"url": "http://localhost/x"}, "url"),
        ({"url": "nonsense"}, "url"),
        ({"url": ""}, "url"),
        ({"events": []}, "events"),
        ({"events": ["opened"]}, "events.0"),
        ({"secret": "x"}, "secret"),
    ],
)
def test_what_a_webhook_cannot_be_is_named(service: Service, sent: dict[str, Any], field: str) -> None:
    assert list(problem(caller(service).post(HERE, json=SENT | sent), 422)["errors"]) == [field]
    assert service.one("SELECT count(*) FROM webhooks") == 0

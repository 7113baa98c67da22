"""Operators, tokens, the audit log and the outbox, for programs: all that the scopes say, and never more than
the calling token may do."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from newsletter.domain.roles import Scope
from tests.support.api import Caller, add_list, caller, problem
from tests.support.service import Service

EDITOR = {"email": "Bea@example.org", "role": "editor", "lists": ["daily"]}
TOKEN = {"name": "nightly copy", "scopes": ["exports"], "lists": ["daily"]}


def _made(call: Caller, path: str, sent: dict[str, Any], **more: Any) -> dict[str, Any]:
    response = call.post(path, json=sent, **more)
    assert response.status_code == 201, response.get_data(as_text=True)
    return dict(response.get_json())


def _audited(call: Caller, query: str = "") -> list[str]:
    return [one["action"] for one in call.get(f"/audit{query}").get_json()["items"]]


def test_an_operator_is_invited_changed_reset_and_kept_out(service: Service) -> None:
    add_list(service, "sport")
    call = caller(service)
    invited = _made(call, "/operators", EDITOR)

    assert (invited["email"], invited["role"], invited["lists"]) == ("Bea@example.org", "editor", ["daily"])
    assert (invited["state"], invited["second_factor"]) == ("invited", False)
    assert service.client.get(invited["invitation"]).status_code == 200

    here = invited["self"]
    changed = call.patch(here, json={"role": "viewer", "lists": None}).get_json()
    assert (changed["role"], changed["lists"]) == ("viewer", None)
    assert call.patch(here, json={"disabled": True}).get_json()["state"] == "disabled"
    assert call.patch(here, json={"disabled": False, "role": "owner"}).get_json()["role"] == "owner"
    again = call.post(f"{here}/reset").get_json()
    assert service.client.get(again["invitation"]).status_code == 200
    assert service.client.get(invited["invitation"]).status_code != 200
    assert call.get(here).get_json() == {name: again[name] for name in again if name != "invitation"}
    assert [one["id"] for one in call.get("/operators").get_json()["items"]] == [invited["id"]]
    assert _audited(call) == ["operator.reset", *["operator.edited"] * 3, "operator.added", "token.added"]


def test_what_cannot_be_made_of_an_operator_is_said(service: Service) -> None:
    call = caller(service)
    bea = _made(call, "/operators", EDITOR)["self"]

    assert problem(call.post("/operators", json=EDITOR), 409)["code"] == "conflict"
    assert problem(call.post("/operators", json=EDITOR | {"email": "nobody"}), 422)["code"] == "invalid"
    assert "lists" in problem(call.post("/operators", json=EDITOR | {"lists": ["nowhere"]}), 422)["errors"]
    assert "lists" in problem(call.post("/operators", json=EDITOR | {"role": "owner"}), 422)["errors"]
    assert "lists" in problem(call.patch(bea, json={"role": "owner", "lists": ["daily"]}), 422)["errors"]
    assert problem(call.get(f"/operators/{UUID(int=1)}"), 404)["code"] == "not_found"


def test_the_last_owner_who_can_log_in_stays_one(service: Service) -> None:
    call = caller(service)
    owner = _made(call, "/operators", {"email": "eve@example.org", "role": "owner", "lists": None})
    service.write("UPDATE operators SET password_hash = 'x'")

    for change in ({"disabled": True}, {"role": "viewer"}):
        assert problem(call.patch(owner["self"], json=change), 409)["code"] == "last_owner"
    assert call.get(owner["self"]).get_json()["state"] == "active"


def test_a_token_makes_another_whose_text_is_shown_once(service: Service) -> None:
    call = caller(service)
    key = {"Idempotency-Key": "one"}
    made = _made(call, "/tokens", TOKEN, headers=key)
    replayed = call.post("/tokens", json=TOKEN, headers=key)

    assert replayed.headers["Idempotency-Replayed"] == "true"
    assert replayed.get_json() == made | {"token": None}
    assert made["token"] not in str(service.rows("SELECT * FROM idempotency_keys"))
    works = Caller(service, made["token"])
    assert works.get("/lists/daily/export").status_code == 200
    assert problem(works.get("/lists"), 403)["code"] == "missing_scope"
    lives = datetime.fromisoformat(made["expires_at"]) - datetime.fromisoformat(made["created_at"])
    assert lives == timedelta(days=365)

    revoked = [call.post(f"{made['self']}/revoke").get_json() for _ in range(2)]
    assert revoked[0]["revoked_at"] is not None
    assert revoked[0] == revoked[1]
    assert problem(works.get("/lists/daily/export"), 401)["code"] == "revoked_token"
    assert _audited(call, "?action=token.revoked") == ["token.revoked"]
    assert "token" not in call.get(made["self"]).get_json()
    own = call.get("/tokens").get_json()["items"][1]["self"]
    assert problem(call.post(f"{own}/revoke"), 409)["code"] == "own_token"


def test_an_invitation_is_not_stored_for_a_replayed_call(service: Service) -> None:
    call, key = caller(service), {"Idempotency-Key": "one"}
    invited = _made(call, "/operators", EDITOR, headers=key)

    assert call.post("/operators", json=EDITOR, headers=key).get_json() == invited | {"invitation": None}
    assert "welcome" not in str(service.rows("SELECT body FROM idempotency_keys"))


def _everything_but(*scopes: Scope) -> Iterable[Scope]:
    return [scope for scope in Scope if scope not in scopes]


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("/tokens", TOKEN),
        ("/tokens", TOKEN | {"scopes": ["lists:read", "exports"], "lists": None}),
        ("/operators", EDITOR),
        ("/operators", EDITOR | {"role": "owner", "lists": None}),
    ],
)
def test_nobody_gets_what_the_calling_token_may_not_do(on_sqlite: Service, path: str, sent: Any) -> None:
    call = caller(on_sqlite, scopes=_everything_but(Scope.EXPORT))

    refused = problem(call.post(path, json=sent), 403)
    assert refused["code"] == "exceeds_token"
    assert "exports" in refused["detail"]
    assert on_sqlite.rows("SELECT 1 FROM operators") == []
    assert on_sqlite.one("SELECT count(*) FROM api_tokens") == 1


def test_whoever_can_do_more_than_the_token_is_neither_changed_nor_reset_by_it(on_sqlite: Service) -> None:
    owner = _made(caller(on_sqlite), "/operators", EDITOR | {"role": "owner", "lists": None})["self"]
    call = caller(on_sqlite, scopes=[Scope.ADMIN, Scope.READ_LISTS, Scope.READ_SUBSCRIBERS])

    for refused in (call.post(f"{owner}/reset"), call.patch(owner, json={"role": "viewer"})):
        assert problem(refused, 403)["code"] == "exceeds_token"
    viewer = _made(call, "/operators", EDITOR | {"email": "vic@example.org", "role": "viewer"})["self"]
    assert problem(call.patch(viewer, json={"role": "editor"}), 403)["code"] == "exceeds_token"
    assert call.post(f"{viewer}/reset").status_code == 200


def test_a_token_makes_none_that_outlives_it(service: Service) -> None:
    call = caller(service, life=timedelta(days=30))
    mine = call.get("/tokens").get_json()["items"][0]

    assert _made(call, "/tokens", TOKEN)["expires_at"] <= mine["expires_at"]
    assert _made(call, "/tokens", TOKEN | {"expires_days": 29})["expires_at"] < mine["expires_at"]
    for days in (31, None):
        refused = problem(call.post("/tokens", json=TOKEN | {"expires_days": days}), 403)
        assert refused["code"] == "exceeds_token"
        assert mine["expires_at"] in refused["detail"]


def test_a_token_for_certain_lists_administers_nothing_and_audits_those(service: Service) -> None:
    add_list(service, "sport")
    call = caller(service, slugs=["daily"])

    for refused in (
        call.get("/operators"), call.post("/operators", json=EDITOR), call.get("/tokens"),
        call.post("/tokens", json=TOKEN), call.get("/audit"), call.get(f"/operators/{UUID(int=1)}"),
        call.patch(f"/operators/{UUID(int=1)}", json={}), call.post(f"/tokens/{UUID(int=1)}/revoke"),
    ):  # fmt: skip
        assert problem(refused, 403)["code"] == "certain_lists_only"
    call.patch("/lists/daily", json={"name": "Weekly"})
    assert _audited(call, "?list=daily") == ["list.edited"]
    assert problem(call.get("/audit?list=sport"), 404)["code"] == "not_found"


@pytest.mark.parametrize("path", ["/operators", "/tokens", "/audit", "/lists/daily/outbox"])
def test_each_wants_its_scope(on_sqlite: Service, path: str) -> None:
    call = caller(on_sqlite, scopes=_everything_but(Scope.ADMIN, Scope.OUTBOX))

    assert problem(call.get(path), 403)["code"] == "missing_scope"


def test_tokens_and_the_audit_log_come_in_pages(service: Service) -> None:
    call = caller(service)
    for number in range(4):
        _made(call, "/tokens", TOKEN | {"name": f"number {number}"})

    for path, name in (("/tokens", "name"), ("/audit", "subject")):
        names: list[str] = []
        where = f"{path}?limit=2"
        while where:
            answer = call.get(where).get_json()
            names += [one[name] for one in answer["items"]]
            where = answer["next"]
        assert len(names) == 5
        assert [name for name in names if "number" in name] == sorted(
            (name for name in names if "number" in name), key=lambda name: name[-2:], reverse=True
        )
    assert problem(call.get("/audit?cursor=bm90aGluZw"), 422)["errors"]["cursor"]


def test_mail_that_failed_is_seen_and_tried_again(service: Service) -> None:
    add_list(service, "sport")
    call = caller(service)
    for number in range(3):
        service.sign_up(f"reader{number}@example.org")
    service.sign_up("other@example.org", "sport")
    service.write("UPDATE outbox SET status = 'failed', attempts = 8, last_error = '550 no'")

    first = call.get("/lists/daily/outbox?part=failed&limit=2").get_json()
    assert [one["email"] for one in first["items"]] == ["reader2@example.org", "reader1@example.org"]
    assert [one["last_error"] for one in first["items"]] == ["550 no"] * 2
    rest = call.get(first["next"]).get_json()
    assert ([one["email"] for one in rest["items"]], rest["next"]) == (["reader0@example.org"], None)
    assert call.get("/lists/daily/outbox?part=waiting").get_json() == {"items": [], "next": None}

    retried = call.post(f"{rest['items'][0]['self']}/retry").get_json()
    assert (retried["status"], retried["attempts"]) == ("queued", 0)
    assert call.post("/lists/daily/outbox/retry").get_json() == {"retried": 2}
    service.send_mail()
    assert [one["status"] for one in call.get("/lists/daily/outbox").get_json()["items"]] == ["sent"] * 3
    assert problem(call.post(f"{retried['self']}/retry"), 409)["code"] == "not_now"
    assert _audited(call) == ["mail.all_retried", "mail.retried", "token.added"]
    foreign = call.get("/lists/sport/outbox").get_json()["items"][0]
    assert foreign["status"] == "failed"
    assert problem(call.get(f"/lists/daily/outbox/{foreign['id']}"), 404)["code"] == "not_found"
    assert problem(call.post(f"/lists/daily/outbox/{foreign['id']}/retry"), 404)["code"] == "not_found"


def test_a_page_of_the_outbox_looks_at_so_much_mail_of_other_lists_and_no_more(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("newsletter.services.outbox_log._LOOK", 2)
    add_list(service, "sport")
    call = caller(service)
    service.sign_up("ann@example.org")
    for number in range(3):
        service.sign_up(f"reader{number}@example.org", "sport")

    pages, where = [], "/lists/daily/outbox"
    while where:
        answer = call.get(where).get_json()
        pages.append([one["email"] for one in answer["items"]])
        where = answer["next"]
    assert pages == [[], ["ann@example.org"], []]

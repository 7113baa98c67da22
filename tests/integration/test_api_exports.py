"""Exports by the API, and the change feed: what a program takes away."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json

import pytest

from newsletter.domain.roles import Scope
from newsletter.extensions import db
from newsletter.services.exports import verify
from tests.support.api import add_list, caller, problem
from tests.support.service import Service

HERE = "/lists/daily/export"


def test_an_export_comes_with_its_proof(service: Service) -> None:
    service.confirmed("ann@example.org")
    service.confirmed("bob@example.com")
    service.sign_up("cem@example.org")
    call = caller(service)

    response = call.get(HERE)
    rows = list(csv.DictReader(io.StringIO(response.get_data(as_text=True))))
    shown = call.get(f"/exports/{response.headers['Export-Id']}").get_json()
    manifest = call.get(f"{shown['self']}/manifest")
    proof = manifest.get_json()

    assert response.content_type == "text/csv; charset=utf-8"
    assert [row["email"] for row in rows] == ["ann@example.org", "bob@example.com"]
    assert (shown["finished"], shown["rows"], shown["list"]) == (True, 2, "daily")
    assert shown["bytes"] == proof["bytes"] == len(response.data)
    assert shown["sha256"] == proof["sha256"] == hashlib.sha256(response.data).hexdigest()
    assert verify(io.BytesIO(response.data), manifest.data, service.settings.secret_keys, None).rows == 2
    assert [one["id"] for one in call.get("/exports").get_json()["items"]] == [shown["id"]]
    assert service.one("SELECT count(*) FROM audit_events WHERE action = 'export.started'") == 1


def test_what_is_exported_can_be_chosen(service: Service) -> None:
    service.sign_up("ann@example.org")
    service.sign_up("bob@example.com")
    call = caller(service)

    def lines(query: str) -> list[dict[str, str]]:
        response = call.get(f"{HERE}?format=jsonl&{query}")
        assert response.status_code == 200, response.get_data(as_text=True)
        return [json.loads(line) for line in response.data.splitlines()]

    assert lines("") == []
    assert lines("state=pending,confirmed&domain=example.com&columns=email,list") == [
        {"email": "bob@example.com", "list": "daily"}
    ]
    assert lines("state=pending&joined_until=2020-01-01") == []
    assert lines("state=pending&attribute=city=Basel") == []
    packed = call.get(f"{HERE}?format=jsonl&state=pending&gzip=true")
    assert packed.content_type == "application/gzip"
    assert len(gzip.decompress(packed.data).splitlines()) == 2


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("format=xls", "format"),
        ("state=", "state"),
        ("columns=email,shoe", "columns.1"),
        ("joined_from=yesterday", "joined_from"),
        ("attribute=city", "attribute"),
        ("safe=maybe", "safe"),
        ("colour=red", "colour"),
    ],
)
def test_what_cannot_be_meant_is_named(on_sqlite: Service, query: str, field: str) -> None:
    told = problem(caller(on_sqlite).get(f"{HERE}?{query}"), 422)
    assert {name.partition(".")[0] for name in told["errors"]} == {field.partition(".")[0]}
    assert on_sqlite.one("SELECT count(*) FROM exports") == 0


@pytest.mark.parametrize(
    "query",
    [
        "format=ghost&columns=email",
        "format=jsonl&safe=true",
        "domain=a@b",
        "joined_from=2026-02-01&joined_until=2026-01-01",
    ],
)
def test_what_makes_no_sense_is_told(on_sqlite: Service, query: str) -> None:
    assert problem(caller(on_sqlite).get(f"{HERE}?{query}"), 422)["detail"]


def test_looking_whether_there_is_an_export_begins_none(service: Service) -> None:
    response = caller(service)("HEAD", HERE)

    assert (response.status_code, response.content_type) == (200, "text/csv; charset=utf-8")
    assert service.one("SELECT count(*) FROM exports") == 0


def test_an_export_that_is_cut_short_has_no_proof(service: Service) -> None:
    service.confirmed("ann@example.org")
    call = caller(service)
    response = call.get(HERE, buffered=False)
    response.close()

    where = f"/exports/{response.headers['Export-Id']}"
    assert call.get(where).get_json()["finished"] is False
    assert problem(call.get(f"{where}/manifest"), 409)["code"] == "not_finished"


def test_a_stream_holds_one_connection_its_own(service: Service) -> None:
    service.confirmed("ann@example.org")
    call = caller(service)

    with call.get(HERE, buffered=False) as response:
        next(iter(response.response))
        with service.app.app_context():
            while_streaming = db.engine.pool.status()
    with service.app.app_context():
        afterwards = db.engine.pool.status()

    assert "Current Checked out connections: 1" in while_streaming
    assert "Current Checked out connections: 0" in afterwards


def test_another_lists_exports_do_not_exist(service: Service) -> None:
    add_list(service, "sport")
    made = caller(service).get(HERE)
    other = caller(service, slugs=["sport"])
    where = f"/exports/{made.headers['Export-Id']}"

    assert other.get("/exports").get_json()["items"] == []
    assert problem(other.get(HERE), 404)
    assert problem(other.get(where), 404)
    assert problem(other.get(f"{where}/manifest"), 404)
    assert problem(other.get("/exports?list=daily"), 404)


def test_the_feed_goes_on_where_it_ended(service: Service) -> None:
    service.confirmed("ann@example.org")
    service.work()
    call = caller(service)

    def feed(query: str) -> list[dict[str, object]]:
        response = call.get(f"/lists/daily/changes?{query}")
        assert response.content_type == "application/x-ndjson"
        return [json.loads(line) for line in response.data.splitlines()]

    *first, end = feed("")
    assert [change["event"] for change in first] == ["sign_up", "confirm"]
    assert end == {"next": 2}
    assert feed("since=2") == [{"next": 2}]
    service.sign_up("bob@example.org")
    service.work()
    *then, end = feed("since=2")
    assert [(change["seq"], change["event"]) for change in then] == [(3, "sign_up")]
    assert end == {"next": 3}
    assert [line.get("seq", line.get("next")) for line in feed("limit=2")] == [1, 2, 2]


@pytest.mark.parametrize("query", ["since=-1", "since=x", "since=9223372036854775808", "since=3", "limit=0"])
def test_a_place_that_the_feed_does_not_have_is_refused(service: Service, query: str) -> None:
    service.confirmed("ann@example.org")
    service.work()
    told = problem(caller(service).get(f"/lists/daily/changes?{query}"), 422)

    assert list(told["errors"]) == [query.partition("=")[0]]


def test_the_feed_needs_the_scope_to_read_subscribers(service: Service) -> None:
    call = caller(service, scopes=[Scope.READ_LISTS, Scope.EXPORT])
    assert problem(call.get("/lists/daily/changes"), 403)["code"] == "missing_scope"

"""Imports by the API, from the upload to the rows that were refused."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from tests.support.api import Caller, add_list, caller, problem
from tests.support.service import Service

HERE = "/lists/daily/imports"
FILE = "Email,Name,Town\nann@example.org,Ann,Basel\nnobody,Bob,Bern\ncem@example.org,Cem,Bonn\n"


def upload(call: Caller, text: str = FILE, **more: Any) -> dict[str, Any]:
    """Upload a file; returns the import."""
    response = call.post(f"{HERE}?filename=readers.csv", data=text.encode(), content_type="text/csv", **more)
    assert response.status_code == 201, response.get_data(as_text=True)
    return dict(response.get_json())


def test_a_file_is_uploaded_looked_at_checked_and_imported(service: Service) -> None:
    call = caller(service)
    uploaded = upload(call)
    where = uploaded["self"]
    assert (uploaded["state"], uploaded["filename"], uploaded["size"]) == (
        "uploaded",
        "readers.csv",
        len(FILE),
    )

    look = call.get(f"{where}/look").get_json()
    assert look["mapping"] == {"Email": "email", "Name": "name", "Town": "attribute:Town"}
    checking = call.post(f"{where}/check", json={"statement": "by letter"})
    assert (checking.status_code, checking.get_json()["state"]) == (202, "checking")
    service.work()
    checked = call.get(where).get_json()
    assert (checked["state"], checked["report"]["added"]) == ("checked", {"confirmed": 2})
    assert service.counts()["subscribers"] == 0
    (refused,) = call.get(f"{where}/refusals").get_json()["items"]
    assert (refused["line"], refused["reason"][:18]) == (3, "The @ sign is miss")

    call.post(f"{where}/start", json={})
    service.work()
    assert call.get(where).get_json()["state"] == "done"
    assert service.states() == {"ann@example.org": "confirmed", "cem@example.org": "confirmed"}
    assert [one["id"] for one in call.get("/imports").get_json()["items"]] == [uploaded["id"]]


def test_what_may_say_who_left_is_a_question_that_the_options_answer(on_sqlite: Service) -> None:
    call = caller(on_sqlite)
    text = "Email,Opted out,Level\nann@example.org,yes,gold\nbob@example.org,no,inactive\ncem@example.org,no,gold\n"
    where = upload(call, text)["self"]
    look = call.get(f"{where}/look").get_json()
    assert look["mapping"] == {"Email": "email"}
    assert look["questions"] == [
        {"column": "Opted out", "cells": {"yes": "unsubscribed", "no": "confirmed"}},
        {"column": "Level", "cells": {"gold": None, "inactive": None}},
    ]
    refused = problem(call.post(f"{where}/start", json={"statement": "by letter"}), 422)
    assert "'Opted out' ('yes'), 'Level' ('gold', 'inactive')" in refused["detail"]

    mapping = look["mapping"] | {"Opted out": "left"}
    values = {"Level": {"inactive": "pending", "*": "confirmed"}}
    options = {"mapping": mapping, "values": values, "statement": "by letter"}
    assert call.post(f"{where}/start", json=options).get_json()["options"]["values"] == values
    on_sqlite.work()
    assert on_sqlite.states() == {
        "ann@example.org": "unsubscribed", "bob@example.org": "pending", "cem@example.org": "confirmed",
    }  # fmt: skip
    wrong = problem(call.post(f"{where}/start", json={"values": {"Level": {"x": "gone"}}}), 422)
    assert "Must be one of" in str(wrong["errors"])


def test_options_may_come_with_the_start(service: Service) -> None:
    call = caller(service)
    where = upload(call)["self"]
    mapping = {"Email": "email", "Name": "ignore", "Town": "attribute:city"}

    started = call.post(f"{where}/start", json={"mapping": mapping}).get_json()
    service.work()

    assert started["options"]["mapping"] == mapping
    assert service.states() == {"ann@example.org": "pending", "cem@example.org": "pending"}
    (found,) = call.get("/subscribers?email=ann@example.org").get_json()["items"]
    assert (found["name"], found["attributes"]) == (None, {"city": "Basel"})


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp1252"])
@pytest.mark.parametrize(
    "data", [b"email;na\x8dme\nann@example.org;Ann\n", b'{"email": "ann@example.org", "a\\ud800": 1}\n']
)
def test_a_column_whose_name_is_no_text_does_no_harm(service: Service, data: bytes, encoding: str) -> None:
    call = caller(service)
    where = call.post(HERE, data=data, content_type="text/csv").get_json()["self"]
    look = call.get(f"{where}/look?encoding={encoding}")
    checked = call.post(f"{where}/check", json={"encoding": encoding})
    service.work()

    assert look.status_code in (200, 422), look.get_data(as_text=True)
    assert checked.status_code in (202, 422), checked.get_data(as_text=True)
    assert call.get(where).get_json()["state"] in ("checked", "uploaded")


def test_a_form_with_a_file_does_as_well(service: Service) -> None:
    sent = {"file": (io.BytesIO(FILE.encode()), "mine.csv")}
    made = caller(service).post(HERE, data=sent, content_type="multipart/form-data")

    assert (made.status_code, made.get_json()["filename"]) == (201, "mine.csv")


@pytest.mark.parametrize("name", ["files", "option"])
def test_a_form_with_anything_else_is_refused(service: Service, name: str) -> None:
    sent = {name: (io.BytesIO(FILE.encode()), "mine.csv"), "file": (io.BytesIO(FILE.encode()), "mine.csv")}
    refused = caller(service).post(HERE, data=sent, content_type="multipart/form-data")

    assert list(problem(refused, 422)["errors"]) == [name]
    assert problem(caller(service).post(HERE, data={}, content_type="multipart/form-data"), 422)["errors"]


def test_an_upload_sent_twice_with_a_key_is_one_import(service: Service) -> None:
    call, key = caller(service), {"Idempotency-Key": "7"}
    first = upload(call, headers=key)
    again = upload(call, headers=key)
    other = call.post(
        f"{HERE}?filename=readers.csv", data=b"email\nx@example.org\n", content_type="text/csv", headers=key
    )

    assert again == first
    assert problem(other, 422)["code"] == "idempotency_key_reused"
    assert service.one("SELECT count(*) FROM imports") == 1


def test_of_an_import_that_is_done_the_asks_can_be_cancelled(service: Service) -> None:
    call = caller(service)
    where = upload(call)["self"]
    call.post(f"{where}/start", json={"ask_per_hour": 1})
    service.work()

    cancelled = call.post(f"{where}/cancel")

    assert (cancelled.status_code, cancelled.get_json()["state"]) == (202, "done")
    assert cancelled.get_json()["report"]["asks_cancelled"] == 2
    assert set(service.statuses()) == {"cancelled"}
    assert problem(call.post(f"{where}/cancel"), 409)["code"] == "not_now"


def test_a_cancelled_import_stays_so(service: Service) -> None:
    call = caller(service)
    where = upload(call)["self"]

    assert call.post(f"{where}/cancel").get_json()["state"] == "cancelled"
    assert problem(call.post(f"{where}/cancel"), 409)["code"] == "not_now"
    assert problem(call.post(f"{where}/start", json={}), 409)["code"] == "not_now"
    assert problem(call.get(f"{where}/look"), 422)
    service.work()
    assert service.counts()["subscribers"] == 0


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({"mapping": []}, "mapping"),
        ({"mapping": {"Email": 7}}, "mapping.Email.value"),
        ({"mapping": {"Email": "a\0"}}, "mapping"),
        ({"ask_per_hour": 0}, "ask_per_hour"),
        ({"ask_per_hour": "7"}, "ask_per_hour"),
        ({"safe": "yes"}, "safe"),
        ({"form": "xls"}, "form"),
        ({"row": 1}, "row"),
    ],
)
def test_options_that_cannot_be_meant_are_named(service: Service, sent: dict[str, Any], field: str) -> None:
    call = caller(service)
    where = upload(call)["self"]

    assert list(problem(call.post(f"{where}/check", json=sent), 422)["errors"]) == [field]
    assert call.get(where).get_json()["state"] == "uploaded"


@pytest.mark.parametrize("mapping", [{}, {"Nothing": "email"}, {"Email": "shoe size"}])
def test_a_mapping_that_does_not_fit_the_file_is_told(service: Service, mapping: dict[str, str]) -> None:
    call = caller(service)
    where = upload(call)["self"]

    assert problem(call.post(f"{where}/check", json={"mapping": mapping}), 422)["detail"]


@pytest.mark.parametrize("data", [b"PK\x03\x04 zip", b"\x1f\x8b gzip"])
def test_what_is_no_text_is_refused_and_not_kept(service: Service, data: bytes) -> None:
    assert problem(caller(service).post(HERE, data=data, content_type="text/csv"), 422)["detail"]
    assert service.one("SELECT count(*) FROM imports") == 0


def test_what_is_too_large_is_refused(make_service: Any) -> None:
    service: Service = make_service("sqlite", NEWSLETTER_LARGEST_IMPORT_MB="1")
    large = b"email\n" + b"x" * (2 * 1024 * 1024)
    response = caller(service).post(HERE, data=large, content_type="text/csv")

    assert problem(response, 413)["code"] == "too_large"
    assert service.one("SELECT count(*) FROM imports") == 0


def test_refused_rows_come_in_pages(service: Service) -> None:
    call = caller(service)
    where = upload(call, "email\n" + "nobody\n" * 7)["self"]
    call.post(f"{where}/check", json={})
    service.work()

    lines, page = [], f"{where}/refusals?limit=3"
    while page:
        answer = call.get(page).get_json()
        lines += [one["line"] for one in answer["items"]]
        page = answer["next"]
    assert lines == [2, 3, 4, 5, 6, 7, 8]
    assert json.loads(answer["items"][0]["record"]) == ["nobody"]


def test_another_lists_imports_do_not_exist(service: Service) -> None:
    add_list(service, "sport")
    uploaded = upload(caller(service))
    other = caller(service, slugs=["sport"])

    assert other.get("/imports").get_json()["items"] == []
    assert problem(other.get("/imports?list=daily"), 404)
    for method, deed in (("GET", ""), ("GET", "/look"), ("GET", "/refusals"), ("POST", "/cancel")):
        assert problem(other(method, uploaded["self"] + deed), 404)

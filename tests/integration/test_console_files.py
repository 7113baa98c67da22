"""Exports and imports in the console: files that go out with their proof, and files that come in."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from uuid import uuid4

import pytest
from werkzeug.test import TestResponse

from newsletter.domain.lifecycle import State
from newsletter.domain.roles import Role
from tests.support.acting import audited
from tests.support.operators import Console
from tests.support.people import Person, add_people
from tests.support.service import Service

LIST = "/operator/lists/daily"
FILE = "E-Mail;Vorname;Stadt\r\nann@example.org;Ann;Basel\r\nbob@;Bob;Wien\r\ncem@example.org;=Cem;Lyon\r\n"


@pytest.fixture
def owner(service: Service) -> Console:
    return Console.of(service, "owner@example.org")


def upload(console: Console, content: bytes) -> TestResponse:
    return console.upload(f"{LIST}/imports", content)


def fields_of(page: str) -> dict[str, str]:
    """What a browser would send of the form that checks a file, untouched."""
    form = re.search(r'<form method="post" action="[^"]+/check".*?</form>', page, re.DOTALL)
    assert form
    sent = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form[0]))
    for name, options in re.findall(r'<select id="[^"]+" name="([^"]+)">(.*?)</select>', form[0], re.DOTALL):
        chosen = re.search(r'value="([^"]*)" selected', options)
        sent[name] = chosen[1] if chosen else ""
    return {name: value for name, value in sent.items() if name != "csrf_token"}


def test_an_export_is_the_file_with_its_proof_on_record(service: Service, owner: Console) -> None:
    add_people(service, [Person("ann@example.org", "=1+1"), Person("bob@example.org", state=State.PENDING)])

    answer = owner.post(
        f"{LIST}/exports", format="csv", states="confirmed", columns=["email", "name"], safe="yes"
    )

    assert answer.data == b"email,name\r\nann@example.org,'=1+1\r\n"
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert re.fullmatch(
        r'attachment; filename="daily-\d{4}-\d\d-\d\d\.csv"', answer.headers["Content-Disposition"]
    )
    link = re.search(r'href="([^"]+/manifest)"', owner.get(f"{LIST}/exports").text)
    assert link
    proof = owner.get(link[1]).get_json()
    assert (proof["rows"], proof["sha256"]) == (1, hashlib.sha256(answer.data).hexdigest())
    assert audited(service)[-1][0] == "export.started"


@pytest.mark.parametrize(
    "sent",
    [
        {"format": "xml"}, {"format": "csv", "states": []}, {"joined_from": "31.1.2026"}, {"columns": "password"},
        {"joined_from": "2026-02-01", "joined_until": "2026-01-01"}, {"domain": "no domain"}, {"value": "Basel"},
    ],
)  # fmt: skip
def test_an_export_that_makes_no_sense_is_explained(owner: Console, sent: dict[str, object]) -> None:
    answer = owner.post(f"{LIST}/exports", **{"format": "csv", "states": "confirmed"} | sent)

    assert answer.status_code == 422
    assert 'role="alert"' in answer.text
    assert "None yet" in answer.text


@pytest.mark.parametrize(
    "form", ["jsonl", "sqlite", "archive", "mailchimp", "listmonk", "ghost", "buttondown", "kit"]
)
def test_every_format_is_to_be_had(service: Service, owner: Console, form: str) -> None:
    add_people(service, [Person("ann@example.org", "Ann")])

    answer = owner.post(f"{LIST}/exports", format=form, states="confirmed", safe="yes", columns=["email"])

    assert answer.status_code == 200
    assert b"ann@example.org" in answer.data


def test_a_file_is_checked_and_then_brought_in(service: Service, owner: Console) -> None:
    uploaded = upload(owner, FILE.encode("utf-16"))
    page = owner.get(uploaded.location).text
    fields = fields_of(page)
    assert (fields["column-0"], fields["column-1"], fields["column-2"]) == (
        "email",
        "first_name",
        "attribute:Stadt",
    )

    assert (
        owner.post(f"{uploaded.location}/check", **fields, statement="Asked at our stand").status_code == 303
    )
    assert 'data-refresh="1"' in owner.get(uploaded.location).text
    service.work()
    report = owner.get(uploaded.location).text
    assert "What will become of it" in report
    assert "data-refresh" not in report
    assert service.counts()["subscribers"] == 0

    assert owner.post(f"{uploaded.location}/start").status_code == 303
    service.work()
    assert "What became of it" in owner.get(uploaded.location).text
    assert set(service.states()) == {"ann@example.org", "cem@example.org"}
    assert [action for action, _ in audited(service)][-3:] == [
        "import.uploaded",
        "import.checked",
        "import.started",
    ]


def test_a_column_that_may_say_who_left_must_be_chosen(service: Service, owner: Console) -> None:
    uploaded = upload(owner, b"email,Opted out\nann@example.org,yes\n").location
    page = owner.get(uploaded).text
    fields = fields_of(page)
    assert "may say who left" in page
    assert fields["column-1"] == ""

    assert "must not be passed over" in owner.post(f"{uploaded}/check", **fields).text
    assert owner.post(f"{uploaded}/check", **fields | {"column-1": "ignore"}).status_code == 303


def test_what_the_cells_of_such_a_column_mean_is_chosen_one_by_one(on_sqlite: Service) -> None:
    owner = Console.of(on_sqlite, "owner@example.org")
    content = b"email,Level\nann@example.org,gold\nbob@example.org,inactive\ncem@example.org,cleaned\n"
    uploaded = upload(owner, content).location
    page = owner.get(uploaded).text
    assert re.findall(r'name="cell-1" value="([^"]*)"', page) == ["cleaned", "gold", "inactive", "*"]
    fields = fields_of(page) | {"column-1": "left", "statement": "Asked at our stand"}
    chosen = {
        "cell-1": ["cleaned", "gold", "inactive", "*"], "means-1": ["bounced", "", "unsubscribed", "confirmed"]
    }  # fmt: skip

    assert owner.post(f"{uploaded}/check", **fields | chosen).status_code == 303
    on_sqlite.work()
    assert 'value="unsubscribed" selected' in owner.get(uploaded).text
    owner.post(f"{uploaded}/start")
    on_sqlite.work()

    assert on_sqlite.states() == {
        "ann@example.org": "confirmed", "bob@example.org": "unsubscribed", "cem@example.org": "bounced",
    }  # fmt: skip


def test_what_only_the_last_row_says_is_asked_on_the_page(on_sqlite: Service) -> None:
    owner = Console.of(on_sqlite, "owner@example.org")
    lines = "".join(f"u{number}@example.org,choir\n" for number in range(600))
    uploaded = upload(owner, f"email,Group\n{lines}gone@example.org,abgemeldet\n".encode()).location
    owner.post(f"{uploaded}/check", **fields_of(owner.get(uploaded).text))
    on_sqlite.work()

    page = owner.get(uploaded).text
    assert "The column &#39;Group&#39; (&#39;abgemeldet&#39;) may say who left" in page
    assert fields_of(page)["column-1"] == ""
    assert (
        owner.post(f"{uploaded}/check", **fields_of(page) | {"column-1": "attribute:Group"}).status_code
        == 303
    )
    on_sqlite.work()
    assert "What will become of it" in owner.get(uploaded).text


def test_who_was_not_asked_yet_need_not_be(service: Service, owner: Console) -> None:
    uploaded = upload(owner, FILE.encode()).location
    owner.post(f"{uploaded}/check", **fields_of(owner.get(uploaded).text) | {"ask_per_hour": "1"})
    service.work()
    owner.post(f"{uploaded}/start")
    service.work()
    assert "2 of them still wait to be asked" in owner.get(uploaded).text

    owner.post(f"{uploaded}/cancel")
    page = owner.get(uploaded).text

    assert set(service.statuses()) == {"cancelled"}
    assert "Who was not asked yet is not asked any more." in page
    assert "still wait" not in page


def test_refused_rows_can_be_had_as_a_file_that_no_spreadsheet_runs(service: Service, owner: Console) -> None:
    content = "email\r\n=cmd@\r\n@\r\nbob\r\nann@example.org\r\n"
    uploaded = upload(owner, content.encode()).location
    owner.post(f"{uploaded}/check", **fields_of(owner.get(uploaded).text))
    service.work()

    rows = list(csv.reader(io.StringIO(owner.get(f"{uploaded}/refused.csv").text)))

    assert rows[0] == ["\ufeffnot imported because", "email"]
    assert [(row[0].split(":")[0], row[1]) for row in rows[1:]] == [
        ("line 2", "'=cmd@"), ("line 3", "'@"), ("line 4", "bob"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04" + bytes(range(256)) * 20, b"\x00" * 100, b"email\xff\xfe\n\x00"]
)
def test_a_file_that_is_none_is_refused_with_a_reason(
    service: Service, owner: Console, content: bytes
) -> None:
    answer = upload(owner, content)

    assert answer.status_code in (303, 422)
    if answer.status_code == 303:  # what can be read at all is looked at
        assert owner.get(answer.location).status_code == 200
    else:
        assert 'role="alert"' in answer.text


def test_no_file_and_one_that_is_too_large(make_service) -> None:  # type: ignore[no-untyped-def]
    service = make_service("sqlite", NEWSLETTER_LARGEST_IMPORT_MB="1")
    owner = Console.of(service, "owner@example.org")

    assert owner.post(f"{LIST}/imports").status_code == 422
    assert upload(owner, b"").status_code == 422
    assert upload(owner, b"a" * (1024 * 1024 + 1)).status_code == 422
    assert upload(owner, b"a" * (2 * 1024 * 1024)).status_code == 413
    viewer = Console.of(service, "viewer@example.org", role=Role.VIEWER)
    assert upload(viewer, b"a" * (300 * 1024)).status_code == 413
    assert service.one("SELECT count(*) FROM imports") == 0


def test_a_mapping_that_cannot_be_is_explained_and_kept(service: Service, owner: Console) -> None:
    uploaded = upload(owner, FILE.encode()).location
    fields = fields_of(owner.get(uploaded).text)

    answer = owner.post(
        f"{uploaded}/check", **fields | {"column-0": "name"}, statement="Typed", ask_per_hour="many"
    )

    assert answer.status_code == 422
    assert 'role="alert"' in answer.text
    assert ">Typed</textarea>" in answer.text
    assert fields_of(answer.text)["column-0"] == "name"


def test_an_import_is_cancelled_once(service: Service, owner: Console) -> None:
    uploaded = upload(owner, FILE.encode()).location

    owner.post(f"{uploaded}/cancel")
    owner.post(f"{uploaded}/cancel")
    service.work()

    assert "has ended already" in owner.get(uploaded).text
    assert service.one("SELECT state FROM imports") == "cancelled"
    assert owner.post(f"{uploaded}/start").status_code == 422


def test_files_of_another_list_do_not_exist(service: Service, owner: Console) -> None:
    service.command("lists", "add", "sport", "--name", "Sport")
    owner.post(f"{LIST}/exports", format="csv", states="confirmed")
    export = service.one("SELECT id FROM exports")
    imported = upload(owner, FILE.encode()).location.rpartition("/")[2]
    editor = Console.of(service, "editor@example.org", role=Role.EDITOR, slugs=["sport"])

    for one in (imported, uuid4()):
        for path in ("", "/refused.csv"):
            assert editor.get(f"/operator/lists/sport/imports/{one}{path}").status_code == 404
        for path in ("/check", "/start", "/cancel"):
            assert editor.post(f"/operator/lists/sport/imports/{one}{path}").status_code == 404
    for one in (export, uuid4()):
        assert editor.get(f"/operator/lists/sport/exports/{one}/manifest").status_code == 404
    assert "people.csv" not in editor.get("/operator/lists/sport/imports").text

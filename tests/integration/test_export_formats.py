"""The formats of an export: those of other tools, the spreadsheet's, the database in a file, the archive."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from newsletter.database import write_transaction
from newsletter.domain.lifecycle import State
from newsletter.extensions import db
from newsletter.parts import parts
from newsletter.services import suppress
from newsletter.services.exports import DEFAULT_COLUMNS, Format
from tests.support.exporting import JOINED, exported, insert, person
from tests.support.service import Service, now, path

GOLDEN = Path(__file__).parent / "golden"
_PRESETS = [form for form in Format if form.is_preset]
_PEOPLE = [
    person(1, "ann@example.org", name="Ann Lee"),
    person(2, "bob@example.org", name='Bob "B", jr. van der Berg', attributes={"city": "Köln", "n": 1}),
    person(3, "cher@example.com", name="Cher", at=JOINED + timedelta(days=30)),
    person(4, "dee@münchen.example", name="  Dee   Doe ", state="pending", confirmed=None),
    person(5, "+eve@example.org", name="=1+1 Eve", attributes={"=x": '@"y"'}, state="unsubscribed"),
    person(6, "none@example.org"),
]


def _rows(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode(), newline="")))


@pytest.mark.parametrize("form", _PRESETS)
def test_o10_other_tools_get_the_file_that_they_take(service: Service, form: Format) -> None:
    insert(service, _PEOPLE)

    assert exported(service, format=form) == (GOLDEN / f"{form}.csv").read_bytes()


def test_a11_formulas_are_defused_for_a_spreadsheet_and_nowhere_else(service: Service) -> None:
    dangerous = ["=1+1", "+1", "-1", "@sum", '="a","b"', "'=1", "''-1", "＝1", "\ttab", "\rcr", "\nlf"]
    harmless = ["1=1", " =1", "'", "'a", "a\t", "b\rc", "d\ne", "ａ＝", ""]
    insert(
        service,
        [
            person(number + 1, f"u{number}@example.org", name=name, source=name if name.isprintable() else "")
            for number, name in enumerate([*dangerous, *harmless])
        ],
    )
    safe, raw = (_rows(exported(service, safe=safe)) for safe in (True, False))
    lines = [json.loads(line) for line in exported(service, format=Format.JSONL).splitlines()]

    assert [row["name"] for row in safe] == [f"'{name}" for name in dangerous] + harmless
    assert [row["source"] for row in safe[:5]] == [f"'{name}" for name in dangerous[:5]]
    assert [row["name"] for row in raw] == [line["name"] for line in lines] == dangerous + harmless


def test_an_id_is_written_with_its_hyphens_as_everywhere(service: Service, tmp_path: Path) -> None:
    insert(service, _PEOPLE[:1])
    written = {str(UUID(str(service.one("SELECT id FROM subscriptions"))))}
    (tmp_path / "out").write_bytes(exported(service, format=Format.SQLITE))
    with closing(sqlite3.connect(tmp_path / "out")) as made:
        in_a_database = {row[0] for row in made.execute("SELECT id FROM subscribers")}
    lines = [json.loads(exported(service, format=form)) for form in (Format.JSONL, Format.ARCHIVE)]

    assert {row["id"] for row in _rows(exported(service))} == written
    assert {line["id"] for line in lines} == in_a_database == written
    (person_id,) = (row["subscriber_id"] for row in _rows(exported(service, columns=("subscriber_id",))))
    assert person_id == str(UUID(person_id))


def test_an_sqlite_file_holds_subscribers_and_what_it_is(service: Service, tmp_path: Path) -> None:
    insert(service, _PEOPLE)
    (tmp_path / "out").write_bytes(
        exported(service, format=Format.SQLITE, columns=("email", "name", "generation"))
    )
    with closing(sqlite3.connect(tmp_path / "out")) as made:
        rows = made.execute("SELECT email, name, generation FROM subscribers").fetchall()
        about = dict(made.execute("SELECT name, value FROM manifest"))
        (fit,) = made.execute("PRAGMA integrity_check").fetchone()

    assert rows == [(one["email"], one["name"], 1) for one in _PEOPLE]
    assert (about["list"], about["format"], about["rows"], fit) == ("daily", "sqlite", "6", "ok")
    assert json.loads(about["columns"]) == ["email", "name", "generation"]
    assert json.loads(about["filters"]) == {"states": [state.value for state in State]}


def _live(service: Service) -> None:
    """A life on the list: signed up, confirmed, left, signed up again; and somebody who complained."""
    mail = service.confirmed("ann@example.org")
    service.client.post(path(mail.link("unsubscribe")))
    service.sign_up("ann@example.org", name="Ann")
    service.sign_up("bob@example.org")
    with service.app.app_context(), write_transaction(db.session()):
        suppress.suppress(db.session(), parts().settings, now(), "bob@example.org", reason="complaint")


def test_an_archive_holds_everything_that_is_known(service: Service) -> None:
    _live(service)
    ann, bob = (json.loads(line) for line in exported(service, format=Format.ARCHIVE).splitlines())

    assert tuple(ann) == (
        *DEFAULT_COLUMNS, "list", "generation", "asked_at", "subscriber_created_at", "paused_until",
        "suppressed", "consent",
    )  # fmt: skip
    assert (ann["email"], ann["state"], ann["list"]) == ("ann@example.org", "pending", "daily")
    assert (ann["suppressed"], bob["suppressed"]) == (None, "complaint")
    moves = [(event["kind"], event["before"], event["after"]) for event in ann["consent"]]
    assert moves == [
        ("sign_up", None, "pending"), ("confirm", "pending", "confirmed"),
        ("unsubscribe", "confirmed", "unsubscribed"), ("sign_up", "unsubscribed", "pending"),
    ]  # fmt: skip
    assert ann["generation"] == service.one("SELECT generation FROM subscriptions ORDER BY id LIMIT 1")
    assert "[Sign up]" in ann["consent"][0]["words"]
    assert ann["consent"][0]["message_id"].startswith("<")
    assert ann["consent"][0]["at"].endswith("Z")
    assert len(bob["consent"]) == 1


def test_the_lines_of_an_archive_are_the_rows_of_the_database(service: Service) -> None:
    _live(service)
    lines: list[dict[str, Any]] = [
        json.loads(line) for line in exported(service, format=Format.ARCHIVE).splitlines()
    ]
    events = [event for line in lines for event in line["consent"]]

    assert len(events) == service.counts()["consent_events"]
    for column in ("kind", "before", "after", "way", "origin", "page", "network", "agent", "message_id"):
        assert sorted(str(event[column]) for event in events) == sorted(
            str(value) for (value,) in service.rows(f"SELECT {column} FROM consent_events")
        )
    assert {event["words"] for event in events if event["words"]} == {
        words for (words,) in service.rows("SELECT text FROM wordings")
    }

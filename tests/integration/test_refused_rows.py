"""Refused rows go round: they are downloaded, corrected and uploaded again."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from newsletter.database import write_transaction
from newsletter.extensions import db
from newsletter.services.access import COMMAND_LINE
from newsletter.services.importing import ImportView, refused, refused_file
from newsletter.services.importing.options import REASON
from newsletter.services.subscribers import erase
from tests.support.importing import STATED, imported, looked_at, uploaded
from tests.support.operators import Console
from tests.support.service import Service, now


def downloaded(service: Service, done: ImportView) -> str:
    with service.app.app_context():
        return "".join(refused_file(db.engine, done).parts)


def read(text: str, delimiter: str = ",") -> list[list[str]]:
    assert text.startswith("\ufeff")  # by which spreadsheets know that it is UTF-8
    return list(csv.reader(io.StringIO(text[1:], newline=""), delimiter=delimiter))


def written(rows: list[list[str]], delimiter: str = ",") -> str:
    """As a spreadsheet saves it."""
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows(rows)
    return "\ufeff" + text.getvalue()


def attributes(service: Service) -> dict[str, dict[str, Any]]:
    rows = service.rows("SELECT address, attributes FROM subscribers")
    return {address: json.loads(bag) if isinstance(bag, str) else bag for address, bag in rows}


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_refused_rows_are_corrected_and_come_in(service: Service, delimiter: str) -> None:
    head = ["E-Mail", "Vorname", "Nachname", "Stadt", "Angemeldet"]
    rows = [
        ["ann@example.org", "Ann", "Ek", "Łódź", "2026-01-01"],
        ["bob@", "Bob, Jr.", 'von "O"', "=1+1", "2026-01-02"],
        ["'cem", "Cem", "Kaya", "Wien\nNord", "2026-01-03"],
        ["dora@example.org", "Dora", "Dahl", "'+49 30", "morgen"],
        ["ann@example.org", "Anna", "Ek", "Basel", "2026-01-05"],
    ]
    file = written([head, *rows], delimiter)[1:].encode("utf-16")
    done = imported(service, file, statement=STATED, mapping={"Angemeldet": "created_at"})
    assert done.report["refused"] == 4

    names, *refused_rows = read(downloaded(service, done), delimiter)
    assert names == [REASON, *head]
    assert [row[0].split(":")[0] for row in refused_rows] == ["line 3", "line 4", "line 6", "line 7"]
    assert [row[1:] for row in refused_rows] == [
        ["bob@", "Bob, Jr.", 'von "O"', "'=1+1", "2026-01-02"],
        ["'cem", "Cem", "Kaya", "Wien\nNord", "2026-01-03"],
        ["dora@example.org", "Dora", "Dahl", "''+49 30", "morgen"],
        rows[4],
    ]
    refused_rows[0][1], refused_rows[1][1], refused_rows[1][4] = "bob@example.org", "cem@example.org", "Wien"
    refused_rows[2][5] = "2026-01-04"
    again = imported(
        service, written([names, *refused_rows], delimiter), statement=STATED,
        mapping={"Angemeldet": "created_at"},
    )  # fmt: skip

    assert (again.report["refused"], again.report["unchanged"]) == (0, 1)
    assert attributes(service) == {
        "ann@example.org": {"Stadt": "Łódź"}, "bob@example.org": {"Stadt": "=1+1"},
        "cem@example.org": {"Stadt": "Wien"}, "dora@example.org": {"Stadt": "'+49 30"},
    }  # fmt: skip
    assert service.one("SELECT name FROM subscribers WHERE address LIKE 'bob%'") == 'Bob, Jr. von "O"'


def test_what_is_refused_twice_has_one_reason(service: Service) -> None:
    done = imported(service, "email,name\nbob@,Bob\ncem@,Cem\n", statement=STATED)
    text = downloaded(service, done)
    again = imported(service, text.replace("cem@,", "cem@example.org,"), statement=STATED)

    assert read(downloaded(service, again)) == [
        [REASON, "email", "name"],
        [read(text)[1][0], "bob@", "Bob"],
    ]
    assert service.states() == {"cem@example.org": "confirmed"}


def test_rows_that_are_no_rows_keep_their_text_and_harm_no_other(service: Service) -> None:
    rows = [
        '"a"b@example.org,Ann',
        "bob@example.org,Bob,Basel,4",
        "cem@example.org",
        "dora,\0",
        "last,Ö\udcff",
    ]
    data = "\n".join(["email,name", *rows, ""]).encode("utf-8", "surrogateescape")
    done = imported(service, data, statement=STATED, given={"encoding": "utf-8"})

    assert [row[1:] for row in read(downloaded(service, done))[1:]] == [
        ['"a"b@example.org,Ann'],
        ["bob@example.org", "Bob", "Basel", "4"],
        ["cem@example.org"],
        ["dora,\N{REPLACEMENT CHARACTER}"],
        ["last", "Ö\N{REPLACEMENT CHARACTER}"],
    ]


def test_a_file_without_names_of_columns_gets_them(service: Service) -> None:
    done = imported(
        service, "bob@,Bob,Basel,x\nann@example.org,Ann,Wien,y\n", statement=STATED,
        mapping={"column 2": "name", "column 3": "attribute:town"},
    )  # fmt: skip
    text = downloaded(service, done)
    assert read(text)[0] == [REASON, "email", "name", "town", "column 4"]

    again = imported(service, text.replace("bob@", "bob@example.org"), statement=STATED)

    assert again.report["added"] == {"confirmed": 1}
    assert attributes(service)["bob@example.org"] == {"town": "Basel", "column 4": "x"}


def test_objects_come_back_as_objects(service: Service) -> None:
    lines = ['{"email": "bob@", "tags": ["a", "b"], "n": 1}', "{no object}", '{"email": "ann@example.org"}']
    done = imported(service, "\n".join([*reversed(lines), ""]), statement=STATED)
    text = downloaded(service, done)

    first, second = map(json.loads, text.splitlines())
    assert (first.pop(REASON)[:7], first) == ("line 2:", {"line": "{no object}"})
    assert (second.pop(REASON)[:7], second) == ("line 3:", json.loads(lines[0]))
    repaired = text.splitlines()[1].replace("bob@", "bob@example.org")
    assert imported(service, repaired, statement=STATED).report["added"] == {"confirmed": 1}
    assert attributes(service)["bob@example.org"] == {"tags": ["a", "b"], "n": 1}


def test_who_was_erased_is_in_no_file_of_refused_rows(service: Service) -> None:
    rows = "eva@example.org,Eva\neva@example.org,Eva B.\nbob,Bob of EVA@example.org\ncem,Cem\n"
    done = imported(service, "email,name\n" + rows, statement=STATED)
    (eva,) = service.rows("SELECT id FROM subscriptions")
    with service.app.app_context(), write_transaction(db.session()):
        erase(db.session(), service.settings, now(), COMMAND_LINE, UUID(str(eva[0])), way="operator")

    assert [row[1:] for row in read(downloaded(service, done))[1:]] == [["cem", "Cem"]]
    assert "eva" not in str(service.rows("SELECT * FROM import_refusals")).lower()


def test_rows_that_are_too_large_together_are_named_all_the_same(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refused, "MOST_KEPT", 40)
    done = imported(service, "email,name\nann@,Ann\nbob@," + "B" * 50 + "\n", statement=STATED)

    kept, lost = read(downloaded(service, done))[1:]
    assert kept[1:] == ["ann@", "Ann"]
    assert "not kept" in lost[0]
    assert lost[1].startswith("bob@, BBB")


def test_the_page_says_how_many_it_shows_and_the_command_writes_the_same_file(
    on_sqlite: Service, tmp_path: Path
) -> None:
    data = "email;town\n" + "nobody@;Zürich\n" * 23
    done = imported(on_sqlite, data, statement=STATED)
    owner = Console.of(on_sqlite, "owner@example.org")
    page = owner.get(f"/operator/lists/daily/imports/{done.id}")
    answer = owner.get(f"/operator/lists/daily/imports/{done.id}/refused.csv")
    file = tmp_path / "people.csv"
    file.write_text(data, "utf-8")
    on_sqlite.command("import", "daily", str(file), "--refused", str(tmp_path / "out.csv"), check=False)

    assert "These are the first 20 of 23 refused rows." in page.text
    assert answer.headers["Content-Disposition"] == "attachment; filename=people-refused.csv"
    assert (tmp_path / "out.csv").read_text("utf-8") == answer.text.replace("\r\n", "\n")
    assert len(read(answer.text, ";")) == 24


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (("31.12.2025", "1.1.2026"), "full of dates"),
        (("12/31/2025 10:00", "1/1/2026 11:00"), "full of dates"),
        (("31 January 2026", "1. Februar 2026"), "full of dates"),
        (("1767225600", "1767225601"), "full of dates"),
        (("a@example.com", "b@example.com"), "full of email addresses"),
        (("Basel", "2026-01-01"), None),
        (("12345", "67890"), None),
    ],
)
def test_a_column_full_of_dates_or_addresses_is_pointed_out_before_it_becomes_an_attribute(
    on_sqlite: Service, cells: tuple[str, str], said: str | None
) -> None:
    data = "email,note\n" + "".join(f"u{n}@example.org,{cell}\n" for n, cell in enumerate(cells))
    notes = " ".join(looked_at(on_sqlite, uploaded(on_sqlite, data)).notes)

    assert ("'note' is" in notes) is (said is not None)
    assert (said or "") in notes

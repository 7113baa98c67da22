"""`newsletter import`, as its own process: it needs no worker."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.importing import STATED
from tests.support.service import Service

FILE = "E-Mail,Name\nann@example.org,Ann\nbroken,X\nbob@example.org,Bob\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "people.csv"
    path.write_text(FILE, "utf-8")
    return path


def test_it_imports_and_reports(service: Service, file: Path) -> None:
    done = service.command("import", "daily", str(file), "--statement", STATED)

    assert done.stdout.splitlines() == ["3 rows read", "2 added as confirmed", "1 refused"]
    assert "line 3: The @ sign is missing" in done.stderr
    assert "E-Mail → email" in done.stderr
    assert service.states() == {"ann@example.org": "confirmed", "bob@example.org": "confirmed"}
    assert service.rows("SELECT actor, action FROM audit_events ORDER BY id") == [
        ("command line", "import.uploaded"), ("command line", "import.started"),
    ]  # fmt: skip


def test_a_dry_run_changes_nothing_and_keeps_no_file(service: Service, file: Path) -> None:
    before = service.counts()

    done = service.command("import", "daily", str(file), "--dry-run")

    assert done.stdout.splitlines() == ["3 rows read", "2 would be added as pending", "1 refused"]
    assert service.counts() == before
    assert service.one("SELECT count(*) FROM import_chunks") == 0


def test_columns_can_be_named_and_refused_rows_written_down(on_sqlite: Service, tmp_path: Path) -> None:
    file, refused = tmp_path / "people.txt", tmp_path / "refused.csv"
    file.write_bytes("Ä|wer\nann@example.org|Änn\nx|y\n".encode("cp1252"))

    on_sqlite.command(
        "import", "daily", str(file), "--map", "Ä=email", "--map", "wer=name", "--refused", str(refused),
        "--delimiter", "pipe", "--encoding", "cp1252", "--ask-per-hour", "100",
    )  # fmt: skip

    assert on_sqlite.rows("SELECT name FROM subscribers") == [("Änn",)]
    assert refused.read_text("utf-8").splitlines()[0] == "\ufeffnot imported because|Ä|wer"
    assert refused.read_text("utf-8").splitlines()[1].startswith("line 3: ")
    assert refused.read_text("utf-8").splitlines()[1].endswith("|x|y")
    assert on_sqlite.statuses() == ["queued"]


@pytest.mark.parametrize(
    ("data", "options", "said"),
    [
        (b"", (), "the file is empty"),
        (b"PK\x03\x04xxxx", (), "ZIP"),
        (b"a,b\n1,2\n", (), "one column must be the email address"),
        (b"email\nnobody\n", (), "no row of the file could be read"),
        (b"email\n", (), "the file has no rows"),
        (b"email\nann@example.org\n", ("--map", "email"), "COLUMN=FIELD"),
        (b'email\nu@example.org\n"ann\n', (), "never closes"),
    ],
)
def test_what_cannot_be_imported_ends_with_a_status_and_one_line(
    on_sqlite: Service, tmp_path: Path, data: bytes, options: tuple[str, ...], said: str
) -> None:
    file = tmp_path / "people.csv"
    file.write_bytes(data)

    done = on_sqlite.command("import", "daily", str(file), *options, check=False)

    assert done.returncode == 1
    assert said in done.stderr.splitlines()[-1] or said in done.stderr
    assert "Traceback" not in done.stderr
    assert on_sqlite.states() == {}


def test_an_unknown_list_is_said(on_sqlite: Service, file: Path) -> None:
    done = on_sqlite.command("import", "nope", str(file), check=False)

    assert done.returncode == 1
    assert "nope" in done.stderr

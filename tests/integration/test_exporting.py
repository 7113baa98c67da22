"""Exports: whole, ordered, and the same bytes from both databases."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from newsletter.database import canonical_json, write_transaction
from newsletter.domain.ids import new_id
from newsletter.domain.lifecycle import State
from newsletter.extensions import db
from newsletter.models import MailingList, Subscriber, Subscription
from newsletter.services.export import COLUMNS, Format, export
from tests.support.service import Service, now, process_environment

_TEXT = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=12)


def _insert(service: Service, people: list[dict[str, Any]]) -> None:
    with service.app.app_context(), write_transaction(db.session()):
        session = db.session()
        session.query(Subscriber).delete()
        (list_id,) = session.query(MailingList.id).filter_by(slug="daily").one()
        for number, person in enumerate(people):
            subscriber_id = person["key"]
            session.add(
                Subscriber(
                    id=subscriber_id, address=person["email"], identity=f"{number}", name=person["name"], locale="en",
                    attributes=person["attributes"], created_at=person["at"],
                )
            )  # fmt: skip
            session.flush()
            session.add(
                Subscription(
                    id=subscriber_id, subscriber_id=subscriber_id, list_id=list_id, state=person["state"], generation=1,
                    source=person["source"], created_at=person["at"], asked_at=person["at"],
                    confirmed_at=person["confirmed"], unsubscribed_at=None,
                )
            )  # fmt: skip


def _bytes(service: Service, form: Format, states: list[State] | None = None) -> bytes:
    with service.app.app_context(), db.engine.connect() as connection:
        (list_id,) = db.session.query(MailingList.id).filter_by(slug="daily").one()
        exported = b"".join(export(connection, list_id, states or list(State), form))
        db.session.remove()
        return exported


_PERSON = st.fixed_dictionaries(
    {
        "key": st.uuids(version=4),
        "email": _TEXT.map(lambda text: f"{text}@example.org"),
        "name": st.none() | _TEXT.filter(bool),
        "attributes": st.dictionaries(
            _TEXT, _TEXT | st.integers(-99, 99) | st.booleans() | st.none(), max_size=3
        ),
        "state": st.sampled_from([state.value for state in State]),
        "source": st.sampled_from(["form", "script", 'a "b", c']),
        "at": st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
        "confirmed": st.none() | st.just(now()),
    }
)


@pytest.fixture
def both(make_service: Callable[..., Service]) -> tuple[Service, Service]:
    return make_service("sqlite"), make_service("postgresql")


def test_both_databases_give_the_same_bytes(both: tuple[Service, Service]) -> None:
    @settings(max_examples=25)
    @given(st.lists(_PERSON, max_size=5, unique_by=lambda person: person["key"]))
    def same(people: list[dict[str, Any]]) -> None:
        for service in both:
            _insert(service, people)
        for form in Format:
            from_sqlite, from_postgresql = (_bytes(service, form) for service in both)
            assert from_sqlite == from_postgresql
        ordered = sorted(people, key=lambda person: person["key"])
        rows = list(csv.DictReader(io.StringIO(_bytes(both[0], Format.CSV).decode(), newline="")))
        lines = [json.loads(line) for line in _bytes(both[0], Format.JSONL).decode().split("\n")[:-1]]
        assert (
            [row["email"] for row in rows]
            == [line["email"] for line in lines]
            == [p["email"] for p in ordered]
        )
        assert [row["name"] for row in rows] == [p["name"] or "" for p in ordered]
        assert [line["name"] for line in lines] == [p["name"] for p in ordered]
        assert [line["attributes"] for line in lines] == [p["attributes"] for p in ordered]
        assert [row["attributes"] for row in rows] == [canonical_json(p["attributes"]) for p in ordered]

    same()


def test_o9_csv_is_rfc_4180_with_the_promised_columns_and_rfc_3339_times(service: Service) -> None:
    service.confirmed("ann@example.org")
    service.sign_up("bob@example.org", name='Bob "B", jr.')
    done = service.command("export", "daily", "--state", "all")
    raw = _bytes(service, Format.CSV)

    assert raw.startswith(
        b"id,email,name,state,locale,source,created_at,confirmed_at,unsubscribed_at,attributes\r\n"
    )
    assert raw.count(b"\r\n") == raw.count(b"\n") == 3
    ann, bob = csv.DictReader(io.StringIO(done.stdout))
    assert tuple(ann) == COLUMNS
    assert (ann["email"], ann["state"], bob["name"], bob["state"]) == (
        "ann@example.org", "confirmed", 'Bob "B", jr.', "pending",
    )  # fmt: skip
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", ann["confirmed_at"])
    assert bob["confirmed_at"] == ""


def test_only_the_confirmed_leave_unless_told_otherwise(service: Service) -> None:
    service.confirmed("ann@example.org")
    service.sign_up("bob@example.org")

    assert "bob@" not in service.command("export", "daily").stdout
    assert "ann@" not in service.command("export", "daily", "--state", "pending").stdout
    assert service.command("export", "daily", "--state", "bounced").stdout.count("\n") == 1


def test_a_list_exports_its_own_subscribers_only(service: Service) -> None:
    service.command("lists", "add", "sport", "--name", "Sport")
    service.confirmed("ann@example.org", "daily")
    service.confirmed("bob@example.org", "sport")

    lines = service.command("export", "sport", "--format", "jsonl").stdout.splitlines()
    assert [json.loads(line)["email"] for line in lines] == ["bob@example.org"]


def test_a_file_appears_only_when_it_is_whole(service: Service, tmp_path: Path) -> None:
    service.confirmed("ann@example.org")
    output = tmp_path / "out.csv"
    assert service.command("export", "daily", "--output", str(output)).stdout == ""
    assert output.read_bytes() == _bytes(service, Format.CSV, [State.CONFIRMED])

    service.write("DROP TABLE subscriptions" + (" CASCADE" if service.on_postgresql else ""))
    before = output.read_bytes()
    failed = service.command("export", "daily", "--output", str(output), check=False)
    assert failed.returncode == 1
    assert failed.stderr.startswith("newsletter: ")
    assert output.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir() if "out.csv" in path.name] == ["out.csv"]


def test_an_unknown_list_and_an_unwritable_file_are_one_line_each(on_sqlite: Service) -> None:
    for arguments in (("nothing",), ("daily", "--output", "/nowhere/out.csv")):
        done = on_sqlite.command("export", *arguments, check=False)
        assert done.returncode == 1
        assert done.stdout == ""
        assert len(done.stderr.strip().splitlines()) == 1


def test_a_pipe_is_written_to_and_a_link_is_followed(on_sqlite: Service, tmp_path: Path) -> None:
    on_sqlite.confirmed("ann@example.org")
    (tmp_path / "real.csv").write_text("old")
    (tmp_path / "link.csv").symlink_to(tmp_path / "real.csv")
    on_sqlite.command("export", "daily", "--output", str(tmp_path / "link.csv"))
    to_stdout = on_sqlite.command("export", "daily", "--output", "/dev/stdout")
    full = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m newsletter export daily > /dev/full"],
        env=process_environment(on_sqlite.environ), capture_output=True, text=True,
    )  # fmt: skip

    assert (tmp_path / "link.csv").is_symlink()
    assert "ann@example.org" in (tmp_path / "real.csv").read_text()
    assert "ann@example.org" in to_stdout.stdout
    assert full.returncode == 1
    assert len(full.stderr.strip().splitlines()) == 1


def test_a_reader_that_has_enough_ends_the_export_quietly(on_sqlite: Service) -> None:
    on_sqlite.confirmed("ann@example.org")
    export_process = subprocess.Popen(
        [sys.executable, "-m", "newsletter", "export", "daily"],
        env=process_environment(on_sqlite.environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert export_process.stdout is not None
    export_process.stdout.close()
    _, stderr = export_process.communicate(timeout=30)

    assert b"Traceback" not in stderr


def test_an_export_is_one_snapshot(service: Service) -> None:
    people = [{"key": new_id(now()), "email": f"u{n}@example.org", "name": "x" * 50, "attributes": {"n": n},
               "state": "confirmed", "source": "form", "at": now(), "confirmed": now()} for n in range(3000)]  # fmt: skip
    _insert(service, people)
    with service.app.app_context(), db.engine.connect() as connection:
        (list_id,) = db.session.query(MailingList.id).filter_by(slug="daily").one()
        db.session.remove()
        chunks = export(connection, list_id, [State.CONFIRMED], Format.JSONL)
        exported = next(chunks)
        service.write("UPDATE subscriptions SET state = 'unsubscribed'")
        exported += b"".join(chunks)

    assert exported.count(b"\n") == 3000


def test_o8_memory_stays_flat(on_sqlite: Service) -> None:
    def peak(rows: int) -> int:
        on_sqlite.write("DELETE FROM subscribers")
        on_sqlite.write(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :rows) "
            "INSERT INTO subscribers (id, address, identity, locale, attributes, created_at) "
            "SELECT printf('%032x', i), 'u' || i || '@example.org', 'u' || i, 'en', '{}', '2026-01-01T00:00:00.000000Z' FROM n",
            rows=rows,
        )
        on_sqlite.write(
            "INSERT INTO subscriptions (id, subscriber_id, list_id, state, generation, source, created_at, asked_at) "
            "SELECT id, id, (SELECT id FROM mailing_lists), 'confirmed', 1, 'form', created_at, created_at FROM subscribers"
        )
        code = (
            "import resource, sys; from newsletter.__main__ import main; sys.argv = ['newsletter', 'export', 'daily', '--output', sys.argv[1]]\n"
            "try: main()\nexcept SystemExit: pass\n"
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, f"{on_sqlite.settings.data_dir}/out.csv"],
            env=process_environment(on_sqlite.environ),
            capture_output=True,
            text=True,
            check=True,
        )
        return int(done.stdout.split()[-1])

    small, large = peak(1_000), peak(200_000)
    assert large - small < 10 * 1024  # KiB

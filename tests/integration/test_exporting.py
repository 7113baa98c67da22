"""Exports: whole, ordered, and the same bytes from both databases."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from newsletter.database import canonical_json
from newsletter.domain.lifecycle import State
from newsletter.services.exports import DEFAULT_COLUMNS, ExportRequest, Format
from newsletter.services.exports.columns import ALL
from tests.support.exporting import JOINED, exported, insert, insert_many, list_id, person, stream
from tests.support.service import Service, process_environment

# What every way in lets through: no control characters. Formulas, quotes and spaces come often.
_TEXT = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=12) | st.text(
    "=+-@'\",; \\.é𝕏%{}:", max_size=6
)
_PERSON = st.fixed_dictionaries(
    {
        "key": st.uuids(version=4),
        "local": _TEXT,
        "domain": st.sampled_from(["example.org", "example.com"]),
        "name": st.none() | _TEXT | st.text('a=,"\t\r\n', max_size=4),
        "attributes": st.dictionaries(
            _TEXT | st.just("city"),
            _TEXT
            | st.integers(-99, 99)
            | st.booleans()
            | st.none()
            | st.floats(allow_nan=False, allow_infinity=False),
            max_size=3,
        ),
        "state": st.sampled_from([state.value for state in State]),
        "source": st.sampled_from(["form", "script", 'a "b", c', "=1+1"]),
        "at": st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
        "confirmed": st.none() | st.just(JOINED),
        "slug": st.sampled_from(["daily", "sport"]),
    }
)
_LINES = [form for form in Format if form not in (Format.SQLITE, Format.ARCHIVE)]


def _insert(service: Service, people: list[dict[str, Any]]) -> None:
    insert(
        service,
        [
            person(0, f"{one['local']}@{one['domain']}", identity=f"{number}@{one['domain']}")
            | {
                name: one[name]
                for name in ("key", "name", "attributes", "state", "source", "at", "confirmed", "slug")
            }
            for number, one in enumerate(people)
        ],
    )


@pytest.fixture
def both(make_service: Callable[..., Service]) -> tuple[Service, Service]:
    """A service on each database, with the same two lists."""
    made = make_service("sqlite"), make_service("postgresql")
    for service in made:
        service.command("lists", "add", "sport", "--name", "Sport")
    for slug in ("daily", "sport"):
        made[1].write(f"UPDATE mailing_lists SET id = :id WHERE slug = '{slug}'", id=list_id(made[0], slug))
    return made


def _request(data: st.DataObject, people: list[dict[str, Any]], daily: UUID, sport: UUID) -> dict[str, Any]:
    """A request that some of these people may fit."""
    form = data.draw(st.sampled_from(_LINES), "format")
    days = sorted(data.draw(st.lists(st.dates(date(1990, 1, 1), date(2090, 1, 1)), min_size=2, max_size=2)))
    pairs = [(key, _said(value)) for one in people for key, value in one["attributes"].items() if key]
    chosen: dict[str, Any] = {
        "format": form,
        "states": tuple(data.draw(st.sets(st.sampled_from(State), min_size=1), "states")),
        "joined_from": data.draw(st.none() | st.just(days[0]), "from"),
        "joined_until": data.draw(st.none() | st.just(days[1]), "until"),
        "source": data.draw(st.none() | st.sampled_from(["form", 'a "b", c', "%s'"]), "source"),
        "domain": data.draw(st.none() | st.sampled_from(["example.org", "EXAMPLE.com"]), "domain"),
        "attribute": data.draw(st.none() | st.sampled_from([*pairs, ("city", "Paris")]), "attribute"),
        "safe": form.is_csv and data.draw(st.booleans(), "safe"),
        "gzip": data.draw(st.booleans(), "gzip"),
    }
    if not form.is_preset:
        chosen["columns"] = tuple(data.draw(st.lists(st.sampled_from(sorted(ALL)), unique=True), "columns"))
    chosen["list_id"] = data.draw(st.none() | st.just(daily), "list")
    chosen["lists"] = data.draw(st.none() | st.frozensets(st.sampled_from([daily, sport])), "lists")
    return chosen


def _said(value: Any) -> str:
    """An attribute as a filter names it."""
    return value if isinstance(value, str) else json.dumps(value)


def test_both_databases_give_the_same_bytes_whatever_is_asked(both: tuple[Service, Service]) -> None:
    lists = list_id(both[0], "daily"), list_id(both[0], "sport")

    @settings(max_examples=60)
    @given(st.lists(_PERSON, max_size=5, unique_by=lambda person: person["key"]), st.data())
    def same(people: list[dict[str, Any]], data: st.DataObject) -> None:
        for service in both:
            _insert(service, people)
        for _ in range(3):
            request = _request(data, people, *lists)
            from_sqlite, from_postgresql = (exported(service, **request) for service in both)
            assert from_sqlite == from_postgresql

    same()


def test_what_is_exported_is_what_is_stored(service: Service) -> None:
    @settings(max_examples=15)
    @given(st.lists(_PERSON, max_size=5, unique_by=lambda person: person["key"]))
    def same(people: list[dict[str, Any]]) -> None:
        people = [one | {"slug": "daily"} for one in people]
        _insert(service, people)
        ordered = sorted(people, key=lambda person: person["key"])
        rows = list(csv.DictReader(io.StringIO(exported(service).decode(), newline="")))
        lines = [
            json.loads(line) for line in exported(service, format=Format.JSONL).decode().split("\n")[:-1]
        ]
        emails = [f"{one['local']}@{one['domain']}" for one in ordered]
        assert [row["email"] for row in rows] == [line["email"] for line in lines] == emails
        assert [row["name"] for row in rows] == [one["name"] or "" for one in ordered]
        assert [line["name"] for line in lines] == [one["name"] for one in ordered]
        assert [line["attributes"] for line in lines] == [one["attributes"] for one in ordered]
        assert [row["attributes"] for row in rows] == [canonical_json(one["attributes"]) for one in ordered]

    same()


def test_o9_csv_is_rfc_4180_with_the_promised_columns_and_rfc_3339_times(service: Service) -> None:
    service.confirmed("ann@example.org")
    service.sign_up("bob@example.org", name='Bob "B", jr.')
    done = service.command("export", "daily", "--state", "all")
    raw = exported(service)

    assert raw.startswith(
        b"id,email,name,state,locale,source,created_at,confirmed_at,unsubscribed_at,attributes\r\n"
    )
    assert raw.count(b"\r\n") == raw.count(b"\n") == 3
    ann, bob = csv.DictReader(io.StringIO(done.stdout))
    assert tuple(ann) == DEFAULT_COLUMNS
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
    assert output.read_bytes() == exported(service, states=(State.CONFIRMED,))

    service.write("DROP TABLE subscriptions" + (" CASCADE" if service.on_postgresql else ""))
    before = output.read_bytes()
    failed = service.command("export", "daily", "--output", str(output), check=False)
    assert failed.returncode == 1
    assert failed.stderr.startswith("newsletter: ")
    assert output.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir() if "out.csv" in path.name) == [
        "out.csv", "out.csv.manifest.json",
    ]  # fmt: skip


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
    to_stdout = on_sqlite.as_process("export", "daily", "--output", "/dev/stdout")
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
    _, stderr = export_process.communicate(timeout=180)

    assert b"Traceback" not in stderr


def test_an_export_is_one_snapshot(service: Service) -> None:
    people = [person(n + 1, f"u{n}@example.org", name="x" * 50) for n in range(3000)]
    insert(service, people)
    for form in (Format.JSONL, Format.ARCHIVE):
        request = ExportRequest(list_id=list_id(service), format=form)
        chunks = stream(service, request)
        whole = next(chunks)
        service.write("UPDATE subscriptions SET state = 'unsubscribed'")
        whole += b"".join(chunks)
        service.write("UPDATE subscriptions SET state = 'confirmed'")

        assert [json.loads(line)["state"] for line in whole.splitlines()] == ["confirmed"] * 3000


@pytest.mark.parametrize("count", [4999, 5000, 5001, 12_345])
def test_every_subscriber_is_exported_once_and_in_order(service: Service, count: int) -> None:
    insert_many(service, count)
    for form in (Format.JSONL, Format.ARCHIVE):
        emails = [json.loads(line)["email"] for line in exported(service, format=form).splitlines()]
        assert emails == [f"u{number + 1}@example.org" for number in range(count)]


_PEAK = """
from newsletter.__main__ import main
try: main()
except SystemExit: pass
# The process's own: what getrusage tells begins with what its parent held.
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.mark.parametrize(("form", "large"), [("csv", 100_000), ("sqlite", 50_000), ("archive", 30_000)])
def test_o8_memory_stays_flat(service: Service, form: str, large: int) -> None:
    def peak(rows: int) -> int:
        insert_many(service, rows)
        done = subprocess.run(
            [sys.executable, "-c", _PEAK, "export", "daily", "--format", form, "--output", f"{service.settings.data_dir}/out"],
            env=process_environment(service.environ), capture_output=True, text=True, check=True,
        )  # fmt: skip
        return int(done.stdout.split()[-1])

    assert peak(large) - peak(10_000) < 10 * 1024  # KiB

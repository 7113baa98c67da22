"""The proof of an export: what is whole can be shown to be, and what was cut short or changed never looks whole."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError

from newsletter.domain.lifecycle import State
from newsletter.domain.manifests import is_signed
from newsletter.extensions import db
from newsletter.parts import parts
from newsletter.services.access import Actor
from newsletter.services.exports import (
    ExportRequest,
    Format,
    NotProven,
    Proven,
    find_export,
    manifest,
    manifest_text,
    recent_exports,
    verify,
)
from tests.support.exporting import begin, exported, insert, insert_many, list_id, person, stream
from tests.support.service import Service, eventually, now, process_environment

_NAME = "x" * 200


def _manifest(service: Service, export_id: Any) -> dict[str, Any] | None:
    with service.app.app_context():
        found = manifest(db.session(), parts().settings, export_id)
        db.session.remove()
        return found


def _finished(service: Service) -> list[bool]:
    return [moment is not None for (moment,) in service.rows("SELECT finished_at FROM exports ORDER BY id")]


def _verify(service: Service, file: Path, *more: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return service.command("verify-export", str(file), *more, check=False, **environ)


def _proven(service: Service, data: bytes, proof: bytes) -> Proven:
    """What the command asks."""
    with service.app.app_context():
        try:
            return verify(io.BytesIO(data), proof, parts().settings.secret_keys, db.session())
        finally:
            db.session.remove()


def _written(service: Service, **request: Any) -> tuple[bytes, bytes]:
    """An export of the list `daily`, and its manifest."""
    wanted = ExportRequest(**{"list_id": list_id(service)} | request)
    export_id = begin(service, wanted)
    data = b"".join(stream(service, wanted, export_id))
    proof = _manifest(service, export_id)
    assert proof is not None
    return data, manifest_text(proof).encode()


@pytest.fixture
def written(on_sqlite: Service, tmp_path: Path) -> Path:
    """A file that the command wrote."""
    insert(on_sqlite, [person(number + 1, f"u{number}@example.org") for number in range(50)])
    on_sqlite.command("export", "daily", "--output", str(tmp_path / "out.csv"))
    return tmp_path / "out.csv"


def _rewrite(file: Path, change: Callable[[bytes], bytes]) -> None:
    file.write_bytes(change(file.read_bytes()))


def test_an_export_leaves_its_proof_and_a_line_in_the_audit_log(service: Service) -> None:
    insert(service, [person(1), person(2, "bob@example.org")])
    request = ExportRequest(list_id=list_id(service), gzip=True, domain="example.org")
    export_id = begin(service, request)
    assert _manifest(service, export_id) is None
    data = b"".join(stream(service, request, export_id))

    proof = _manifest(service, export_id)
    assert proof is not None
    assert gzip.decompress(data).count(b"\r\n") == 3
    assert (proof["rows"], proof["bytes"], proof["sha256"]) == (
        2,
        len(data),
        hashlib.sha256(data).hexdigest(),
    )
    assert (proof["list"], proof["format"]) == ("daily", "csv")
    assert proof["filters"] == {"states": ["confirmed"], "domain": "example.org", "gzip": True}
    ((actor, action, subject),) = service.rows("SELECT actor, action, subject FROM audit_events")
    assert (actor, action, subject) == ("command line", "export.started", str(export_id))


@pytest.mark.parametrize("form", Format)
def test_a_file_of_any_format_is_whole_and_unchanged(service: Service, form: Format) -> None:
    insert(service, [person(number + 1, f"u{number}@example.org") for number in range(3)])
    data, proof = _written(service, format=form, gzip=True)

    assert _proven(service, data, proof).rows == 3
    gzip.decompress(data)


def test_the_command_says_that_a_file_is_whole_and_unchanged(on_sqlite: Service, written: Path) -> None:
    done = _verify(on_sqlite, written)

    assert done.returncode == 0
    assert f"{written} is whole and unchanged: 50 subscribers of daily, csv, exported 20" in done.stdout


@pytest.mark.parametrize("name", ["out.csv", "out.csv.manifest.json"])
def test_the_command_says_in_one_line_what_is_wrong(on_sqlite: Service, written: Path, name: str) -> None:
    _rewrite(written.with_name(name), lambda data: data[:-30])
    cut = _verify(on_sqlite, written)
    written.with_name(name).unlink()
    gone = _verify(on_sqlite, written)

    for done in (cut, gone):
        assert done.returncode == 1
        assert done.stdout == ""
        assert len(done.stderr.splitlines()) == 1


def test_a_file_with_another_manifest_is_found_out(on_sqlite: Service, written: Path, tmp_path: Path) -> None:
    proof = Path(f"{written}.manifest.json")
    proof.rename(tmp_path / "elsewhere.json")
    missing = _verify(on_sqlite, written)
    named = _verify(on_sqlite, written, "--manifest", str(tmp_path / "elsewhere.json"))
    on_sqlite.command(
        "export", "daily", "--state", "all", "--format", "jsonl", "--output", str(tmp_path / "other")
    )
    others = _verify(on_sqlite, written, "--manifest", str(tmp_path / "other.manifest.json"))

    assert (missing.returncode, named.returncode, others.returncode) == (1, 0, 1)
    assert "there is no manifest" in missing.stderr


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: data[:-1], "cut short"),
        (lambda data: data[: len(data) // 2], "cut short"),
        (lambda data: b"", "cut short"),
        (lambda data: data + b"\n", "1 bytes more"),
        (lambda data: b"j" + data[1:], "changed"),
        (lambda data: data[:-1] + b"\r", "changed"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_truncation_and_change_of_a_file_are_found_out(
    on_sqlite: Service, change: Callable[[bytes], bytes], said: str, packed: bool
) -> None:
    insert(on_sqlite, [person(number + 1, f"u{number}@example.org") for number in range(50)])
    data, proof = _written(on_sqlite, gzip=packed)

    with pytest.raises(NotProven, match=said):
        _proven(on_sqlite, change(data), proof)


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.replace(b'"rows": 50', b'"rows": 49'),
        lambda data: data.replace(b'"daily"', b'"sport"'),
        lambda data: data.replace(b'"confirmed"', b'"pending"', 1),
        lambda data: data.replace(b'"signature": "', b'"signature": "A'),
        lambda data: data.replace(b'"signature"', b'"signed"'),
        lambda data: data[:-20],
        lambda data: b"[" * 100_000,
        lambda data: b'{"signature": "\\ud800"}',
        lambda data: b"null",
        lambda data: b"\xff",
        lambda data: b"",
    ],
)
def test_a_changed_manifest_is_found_out(on_sqlite: Service, change: Callable[[bytes], bytes]) -> None:
    insert(on_sqlite, [person(number + 1, f"u{number}@example.org") for number in range(50)])
    data, proof = _written(on_sqlite)
    changed = change(proof)

    assert changed != proof
    with pytest.raises(NotProven, match="manifest was changed"):
        _proven(on_sqlite, data, changed)


def test_every_character_of_a_signature_counts(on_sqlite: Service, written: Path) -> None:
    proof = json.loads(Path(f"{written}.manifest.json").read_text())
    signature = proof.pop("signature")
    keys = on_sqlite.settings.secret_keys
    others = [
        signature[:place] + character + signature[place + 1 :]
        for place in range(len(signature))
        for character in "AQgw-_z9"
        if signature[place] != character
    ]
    assert is_signed(proof, signature, keys)
    assert not any(is_signed(proof, other, keys) for other in others)


def test_d2_a_proof_outlives_a_new_key_and_no_stranger_can_make_one(
    on_sqlite: Service, written: Path
) -> None:
    old = on_sqlite.settings.secret_keys[-1]
    rotated = _verify(on_sqlite, written, NEWSLETTER_SECRET_KEYS=f"{old},{'n' * 40}")
    stranger = _verify(on_sqlite, written, NEWSLETTER_SECRET_KEYS="n" * 40)

    assert (rotated.returncode, stranger.returncode) == (0, 1)
    assert "NEWSLETTER_SECRET_KEYS" in stranger.stderr


def test_a_proof_needs_no_database_but_is_held_against_it(
    on_sqlite: Service, written: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    alone = _verify(on_sqlite, written, NEWSLETTER_DATA_DIR=str(elsewhere))
    on_sqlite.write("UPDATE exports SET rows = rows + 1")
    against = _verify(on_sqlite, written)

    assert alone.returncode == 0
    assert against.returncode == 1
    assert "the database says something else" in against.stderr


# What ends early


@contextmanager
def _stalled(service: Service, *arguments: str, **more: Any) -> Iterator[subprocess.Popen[bytes]]:
    """`newsletter export`, which stands still after 8,000 rows of 10,000."""
    process = subprocess.Popen(
        [sys.executable, "-m", "newsletter", "export", "daily", *arguments],
        env=process_environment(service.environ), stderr=subprocess.PIPE, **more,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=180)
        _end_backend(service)


def _end_backend(service: Service) -> int:
    """End whoever exports, in the midst of a page or between two; how many there were."""
    return len(
        service.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'COPY%' AND state <> 'idle'"
        )
    )


@pytest.fixture
def slow(make_service: Callable[..., Service]) -> Service:
    """A service on PostgreSQL whose 8,001st subscriber takes an hour to read."""
    service = make_service("postgresql")
    insert_many(service, 10_000)
    service.write(
        "CREATE FUNCTION slowly(text) RETURNS text LANGUAGE plpgsql STABLE "
        "AS 'BEGIN PERFORM pg_sleep(3600); RETURN $1; END'"
    )
    service.write("ALTER TABLE subscribers RENAME TO people")
    service.write(
        "CREATE VIEW subscribers AS SELECT id, identity, name, search, locale, attributes, created_at, "
        "CASE identity WHEN 'u8001@example.org' THEN slowly(address) ELSE address END AS address FROM people"
    )
    # Rows are to come as they are read.
    for plan in ("sort", "hashjoin", "mergejoin"):
        service.write(
            f"ALTER ROLE postgres IN DATABASE {service.one('SELECT current_database()')} SET enable_{plan} = off"
        )
    return service


@pytest.mark.parametrize("end", ["the database ends it", "it is killed"])
def test_a_file_that_is_cut_short_never_appears(slow: Service, tmp_path: Path, end: str) -> None:
    output = tmp_path / "out.csv"
    with _stalled(slow, "--output", str(output)) as process:
        eventually(
            lambda: any(draft.stat().st_size > 100_000 for draft in tmp_path.glob(".out.csv.*")), seconds=30
        )
        if end == "it is killed":
            process.kill()
        else:
            eventually(lambda: _end_backend(slow))
        _, said = process.communicate(timeout=180)

    assert process.returncode != 0
    assert b"Traceback" not in said
    assert not output.exists()
    assert not Path(f"{output}.manifest.json").exists()
    assert _finished(slow) == [False]


def test_a_pipe_that_is_cut_short_ends_with_a_status_above_zero(slow: Service) -> None:
    with _stalled(slow, "--gzip", stdout=subprocess.PIPE, bufsize=0) as process:
        assert process.stdout is not None
        begun = process.stdout.read(10)
        eventually(lambda: _end_backend(slow))
        rest, said = process.communicate(timeout=180)

    assert process.returncode == 1
    assert said.startswith(b"newsletter: ")
    assert len(said.splitlines()) == 1
    with pytest.raises(EOFError):
        gzip.decompress(begun + rest)
    assert _finished(slow) == [False]


def test_whoever_hangs_up_leaves_an_export_without_a_proof(service: Service) -> None:
    insert(service, [person(number + 1, f"u{number}@example.org", name=_NAME) for number in range(3000)])
    request = ExportRequest(list_id=list_id(service))
    for form in (Format.CSV, Format.ARCHIVE, Format.SQLITE):
        request = ExportRequest(list_id=list_id(service), format=form)
        export_id = begin(service, request)
        chunks = stream(service, request, export_id)
        next(chunks)
        chunks.close()
        assert _manifest(service, export_id) is None
    assert _finished(service) == [False, False, False]
    assert exported(service).count(b"\r\n") == 3001


def test_an_error_of_the_database_midway_is_an_error_and_no_end(service: Service) -> None:
    insert(service, [person(number + 1, f"u{number}@example.org", name=_NAME) for number in range(3000)])
    request = ExportRequest(list_id=list_id(service), format=Format.ARCHIVE)
    export_id = begin(service, request)
    service.write("ALTER TABLE suppressions RENAME TO gone")
    with pytest.raises(DBAPIError):
        list(stream(service, request, export_id))

    assert _manifest(service, export_id) is None


def _as_csv(data: bytes) -> None:
    list(csv.reader(io.StringIO(data.decode(), newline=""), strict=True))


def _as_json_lines(data: bytes) -> None:
    [json.loads(line) for line in data.splitlines()]


@pytest.mark.parametrize(("form", "read"), [(Format.CSV, _as_csv), (Format.JSONL, _as_json_lines)])
def test_what_fails_midway_ends_in_a_way_that_no_reader_takes_for_an_end(
    slow: Service, form: Format, read: Callable[[bytes], None]
) -> None:
    request = ExportRequest(list_id=list_id(slow), format=form)
    chunks = stream(slow, request, begin(slow, request))
    got = [next(chunks)]
    eventually(lambda: _end_backend(slow))
    with pytest.raises(DBAPIError):
        got.extend(chunks)

    with pytest.raises((csv.Error, json.JSONDecodeError)):
        read(b"".join(got))


def test_exports_are_found_by_those_who_see_their_lists(service: Service) -> None:
    service.command("lists", "add", "sport", "--name", "Sport")
    daily, sport = list_id(service, "daily"), list_id(service, "sport")
    requests = (
        ExportRequest(list_id=daily), ExportRequest(list_id=sport), ExportRequest(),
        ExportRequest(lists=frozenset({daily})), ExportRequest(states=(State.PENDING,), list_id=daily),
    )  # fmt: skip
    ids = [
        begin(service, request, now() + timedelta(seconds=place)) for place, request in enumerate(requests)
    ]
    with service.app.app_context():
        session = db.session()
        everything = [view.id for view in recent_exports(session, None, None, 10)]
        of_daily = [view.id for view in recent_exports(session, [daily], None, 10)]
        older = [view.id for view in recent_exports(session, [daily], ids[4], 1)]
        whole = find_export(session, ids[2])
        db.session.remove()

    assert everything == ids[::-1]
    assert of_daily == [ids[4], ids[3], ids[0]]
    assert older == [ids[3]]
    assert whole is not None
    assert not whole.seen_by(Actor("ann", frozenset(), frozenset({daily, sport})))

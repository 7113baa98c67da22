"""Commands: each failure is one line and a status above 0."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.service import Service, process_environment


def _run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "newsletter", *arguments],
        env=process_environment(environ),
        capture_output=True,
        text=True,
        timeout=180,
    )


def _one_line(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("newsletter: ")
    return line


def test_init_makes_all_that_is_needed_and_may_be_run_again(tmp_path: Path) -> None:
    folder = str(tmp_path / "a" / "data")
    first, second = _run("init", NEWSLETTER_DATA_DIR=folder), _run("init", NEWSLETTER_DATA_DIR=folder)
    shown = _run("lists", "show", NEWSLETTER_DATA_DIR=folder)

    assert (first.returncode, second.returncode) == (0, 0)
    assert all(path.stat().st_mode & 0o077 == 0 for path in Path(folder).iterdir())
    assert shown.stdout.startswith("daily\n")
    assert "Daily News" in shown.stdout


def test_many_inits_at_once_make_one_database(tmp_path: Path, make_service: Callable[..., Service]) -> None:
    service = make_service("postgresql")
    service.write("DROP SCHEMA public CASCADE")
    service.write("CREATE SCHEMA public")
    command = [sys.executable, "-m", "newsletter", "init"]
    starts = [
        subprocess.Popen(command, env=process_environment(service.environ), stderr=subprocess.PIPE)
        for _ in range(3)
    ]

    assert [start.wait(timeout=180) for start in starts] == [0, 0, 0]
    for start in starts:
        start.communicate()
    assert service.one("SELECT count(*) FROM mailing_lists") == 1


def test_help_needs_no_data_directory(tmp_path: Path) -> None:
    done = _run("--help", NEWSLETTER_DATA_DIR=str(tmp_path / "none"))

    assert done.returncode == 0
    assert not (tmp_path / "none").exists()
    for command in ("init", "serve", "worker", "lists", "export", "verify-export", "conformance", "db"):
        assert f"  {command} " in done.stdout


def test_flask_knows_the_same_commands(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "flask", "--app", "app", "--help"],
        env=process_environment({"NEWSLETTER_DATA_DIR": str(tmp_path)}),
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )

    for command in ("init", "serve", "worker", "lists", "export", "verify-export", "db"):
        assert f"  {command} " in done.stdout


@pytest.mark.parametrize("command", [["serve"], ["worker"], ["export", "daily"], ["lists", "show"]])
def test_what_needs_a_database_says_that_there_is_none_yet(tmp_path: Path, command: list[str]) -> None:
    assert "newsletter init" in _one_line(_run(*command, NEWSLETTER_DATA_DIR=str(tmp_path)))


@pytest.mark.parametrize("command", [["serve"], ["worker"], ["export", "daily"], ["lists", "show"]])
def test_a_database_behind_the_migrations_is_named(service: Service, command: list[str]) -> None:
    service.write("UPDATE alembic_version SET version_num = '0000'")

    line = _one_line(service.as_process(*command, check=False))
    assert "newsletter db upgrade" in line
    assert "0000" in line
    assert service.client.get("/readyz").status_code == 503


def test_an_unreachable_database_is_named_without_its_password(tmp_path: Path) -> None:
    url = "postgresql://me:s3cret@127.0.0.1:1/news"
    for command in (["init"], ["worker", "--once"], ["lists", "show"], ["export", "daily"]):
        line = _one_line(_run(*command, NEWSLETTER_DATA_DIR=str(tmp_path), NEWSLETTER_DATABASE_URL=url))
        assert "does not answer" in line
        assert "s3cret" not in line


def test_a_bad_setting_stops_every_command(tmp_path: Path) -> None:
    for command in (["init"], ["serve"], ["lists", "show"], ["db", "current"]):
        line = _one_line(_run(*command, NEWSLETTER_DATA_DIR=str(tmp_path), NEWSLETTER_TRUSTED_PROXIES="many"))
        assert line.startswith("newsletter: NEWSLETTER_TRUSTED_PROXIES must be")


def test_a_data_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    assert "NEWSLETTER_DATA_DIR" in _one_line(_run("init", NEWSLETTER_DATA_DIR=str(tmp_path / "file" / "x")))


def test_lists_are_added_shown_and_edited(service: Service) -> None:
    added = service.command(
        "lists", "add", "sport", "--name", "Sport", "--from", "Sport <sport@news.example>",
        "--site", "https://Sport.example", "--site", "http://localhost:8080/",
    )  # fmt: skip
    assert "https://sport.example, http://localhost:8080" in added.stdout
    edited = service.command("lists", "edit", "sport", "--name", "All sport", "--no-sites")
    assert "All sport" in edited.stdout
    assert "Sport <sport@news.example>" in edited.stdout
    assert "sites:        any" in edited.stdout
    assert service.command("lists", "show", "sport").stdout == edited.stdout
    assert "All sport" in service.client.get("/lists/sport").text


@pytest.mark.parametrize(
    "arguments",
    [
        ["add", "daily", "--name", "Again"],
        ["add", "Bad Slug", "--name", "x"],
        ["add", "--name", "x", "--", "-x"],
        ["add", "x", "--name", " "],
        ["add", "x", "--name", "a\nb"],
        ["add", "x", "--name", "x" * 201],
        ["add", "x", "--name", "x", "--from", "nobody"],
        ["add", "x", "--name", "x", "--site", "site.example"],
        ["add", "x", "--name", "x", "--site", "https://site.example/page"],
        ["edit", "nothing", "--name", "x"],
        ["show", "nothing"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_a_list_that_cannot_be_made_or_found_is_one_line(on_sqlite: Service, arguments: list[str]) -> None:
    _one_line(on_sqlite.command("lists", *arguments, check=False))
    assert on_sqlite.one("SELECT count(*) FROM mailing_lists") == 1


def test_a_port_that_is_taken_is_one_line(on_sqlite: Service) -> None:
    with on_sqlite.served() as url:
        assert "cannot listen" in _one_line(
            on_sqlite.as_process("serve", "--port", url.rpartition(":")[2], check=False)
        )
    assert "cannot listen" in _one_line(
        on_sqlite.as_process("serve", "--host", "nosuch.invalid", check=False)
    )


def test_serve_answers_with_the_front_page_and_its_health(service: Service) -> None:
    with service.served() as url:
        import urllib.request

        with urllib.request.urlopen(f"{url}/") as response:
            assert response.status == 200
            assert b"Your Daily News in Just 5 Minutes!" in response.read()
        with urllib.request.urlopen(f"{url}/healthz") as response:
            assert response.status == 200

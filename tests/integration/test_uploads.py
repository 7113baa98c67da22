"""What may be sent at most, and what is said of more: each limit as the parser of forms counts, which adds what it
has not yet decided on to what comes next."""

from __future__ import annotations

import hashlib
import json
import re
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.error import HTTPError

import pytest

from newsletter.domain.roles import Role
from newsletter.web import guards, uploads
from newsletter.web.events import door
from tests.support.api import Caller, caller
from tests.support.operators import Console
from tests.support.service import Service

HERE = "/api/v1/lists/daily/imports"
CONSOLE = "/operator/lists/daily/imports"
NGINX = Path(__file__).parents[2] / "docs/examples/nginx.conf"
_SIZES = [*range(65_376, 65_386), 70_000, 131_072]  # around the end of the first piece


def rows(number: int, end: str) -> bytes:
    return end.join(["email", *(f"u{n}@example.org" for n in range(number)), ""]).encode()


def as_form(content: bytes, *, edge: str = "----WebKitFormBoundaryAbCdEfGhIjKlMnOp") -> tuple[bytes, str]:
    """A form with a file, as a browser writes it, and its content type."""
    head = f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="people.csv"\r\n\r\n'
    body = head.encode() + content + f"\r\n--{edge}--\r\n".encode()
    return body, f"multipart/form-data; boundary={edge}"


@pytest.fixture
def small(make_service: Callable[..., Service]) -> Service:
    """One that takes files of a megabyte."""
    return make_service("sqlite", NEWSLETTER_LARGEST_IMPORT_MB="1")


@pytest.fixture
def served(on_sqlite: Service) -> Iterator[tuple[str, Caller]]:
    with on_sqlite.served("--workers", "1", "--without-worker") as url:
        yield url, caller(on_sqlite)


def test_files_of_many_short_rows_are_taken_by_the_real_server(served: tuple[str, Caller]) -> None:
    url, call = served
    for number in (5_000, 100_000):
        for end in ("\n", "\r\n"):
            content = rows(number, end)
            for body, content_type in (as_form(content), (content, "text/csv")):
                sent = urllib.request.Request(url + HERE, body, call.headers | {"Content-Type": content_type})
                with urllib.request.urlopen(sent) as answer:
                    made = json.load(answer)
                assert (made["size"], made["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())


def test_a_request_that_is_too_large_hears_of_it_though_it_is_still_sending(
    served: tuple[str, Caller],
) -> None:
    url, call = served
    with pytest.raises(HTTPError) as refused:
        urllib.request.urlopen(
            urllib.request.Request(
                url + HERE, b"x" * (202 * 1024 * 1024), call.headers | {"Content-Type": "text/csv"}
            )
        )

    assert refused.value.code == 413
    assert "202 MB" in json.load(refused.value)["detail"]


def test_a_file_is_taken_as_it_is_wherever_the_pieces_of_its_form_end(on_sqlite: Service) -> None:
    call = caller(on_sqlite)
    for size in _SIZES:
        content = b"email\r\n" + b"x" * (size - 7)
        body, content_type = as_form(content)
        made = call.post("/lists/daily/imports", data=body, content_type=content_type)
        assert made.get_json()["sha256"] == hashlib.sha256(content).hexdigest(), size


def test_a_form_that_was_cut_off_is_told_apart_from_one_without_a_file(on_sqlite: Service) -> None:
    body, content_type = as_form(rows(100, "\n"))
    owner = Console.of(on_sqlite, "owner@example.org")
    for part in (body[:-60], body[:-1000], body[:20], b"email\n"):
        said = caller(on_sqlite).post("/lists/daily/imports", data=part, content_type=content_type)
        page = owner.client.post(
            CONSOLE, base_url="https://news.example", data=part, content_type=content_type,
            headers={"Referer": "https://news.example"},
        )  # fmt: skip

        assert (said.status_code, page.status_code) == (400, 400)
        assert "did not arrive whole" in said.get_json()["detail"]
        assert "did not arrive whole" in page.text
    assert on_sqlite.one("SELECT count(*) FROM imports") == 0


@pytest.mark.parametrize("size", [1024 * 1024 + 1, 3 * 1024 * 1024])
def test_a_file_that_is_too_large_hears_its_size_the_limit_and_another_way(small: Service, size: int) -> None:
    content = b"email\n" + b"x" * (size - 6)
    body, content_type = as_form(content)
    post, owner = caller(small).post, Console.of(small, "owner@example.org")

    for answer in (
        post("/lists/daily/imports", data=content, content_type="text/csv"),
        post("/lists/daily/imports", data=body, content_type=content_type),
        owner.upload(CONSOLE, content),
    ):
        assert answer.status_code in (413, 422)
        shown = re.sub("&[^;]+;", " ", answer.text)
        for words in (
            "1.1 MB" if size < 2_000_000 else "3",
            "at most 1 MB",
            "newsletter import daily",
            "API",
        ):
            assert words in shown
    assert small.one("SELECT count(*) FROM imports") == 0


def test_a_command_takes_a_file_of_any_size(small: Service, tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_text("email,note\n" + f"ann@example.org,{'x' * 100_000}\n" * 12, "utf-8")

    done = small.command("import", "daily", str(file), "--statement", "On paper", "--map", "note=ignore")

    assert "1 added as confirmed" in done.stdout


def test_who_was_logged_out_hears_that_and_not_that_a_file_is_too_large(small: Service) -> None:
    answer = Console(small).upload(CONSOLE, rows(20_000, "\n"))

    assert answer.status_code == 401
    assert "logged out" in answer.text


def test_a_form_that_is_read_into_memory_is_not_as_large_as_a_file(on_sqlite: Service) -> None:
    owner = Console.of(on_sqlite, "owner@example.org")

    answer = owner.post(CONSOLE, note="x" * 300_000)

    assert answer.status_code == 413
    assert "at most 262,144 are taken" in answer.text


@pytest.mark.parametrize("letter", ["ä", "क", "🙂"])
def test_texts_of_every_language_may_be_as_long_as_their_own_limit(on_sqlite: Service, letter: str) -> None:
    """A form writes a letter in up to twelve bytes, and so does JSON."""
    owner, call = Console.of(on_sqlite, "owner@example.org"), caller(on_sqlite)
    columns = ",".join(f"{n} {letter * 90}" for n in range(199))
    where = owner.upload(CONSOLE, f"email,{columns}\n".encode()).location
    fields = {"column-0": "email"} | {f"column-{n + 1}": f"attribute:{n} {letter * 80}" for n in range(199)}
    checked = owner.post(f"{where}/check", **fields, statement="S" + letter * 4_000)
    added = call.post(
        "/lists/daily/subscriptions",
        json={"email": "ann@example.org", "attributes": {"note": letter * 9_900}},
    )

    assert checked.status_code == 303
    assert added.status_code == 201


def test_limits_leave_room_for_what_a_parser_holds_back_and_proxies_for_all_of_it(on_sqlite: Service) -> None:
    config, piece = on_sqlite.app.config, 64 * 1024
    assert config["MAX_FORM_MEMORY_SIZE"] >= min(config["MAX_CONTENT_LENGTH"], 2 * piece)
    assert 2 * piece <= uploads._LARGEST_FIELD
    passed = {
        place: int(number) * {"k": 1024, "m": 1024**2}[unit]
        for place, number, unit in re.findall(
            r"location (\S+(?: \S+)?) {[^}]*?client_max_body_size (\d+)([km]);", NGINX.read_text("utf-8")
        )
    }
    assert passed["/"] >= guards._LARGEST_BODY
    assert passed["/events/"] >= door._LARGEST_BODY
    assert passed["~ ^/(operator|api)/"] >= on_sqlite.settings.largest_import + uploads.AROUND_A_FILE


def test_a_viewer_brings_no_file(on_sqlite: Service) -> None:
    viewer = Console.of(on_sqlite, "viewer@example.org", role=Role.VIEWER)

    assert viewer.upload(CONSOLE, b"email\n").status_code == 403

"""Files that are uploaded in a real browser to the real server: of any size and with any line ends, as far as the
page promises, and what is said of one that is larger."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.operators import PASSWORD, invite
from tests.support.service import Service, path
from tests.support.visitors import DESKTOP, PATIENCE

IMPORTS = "/operator/lists/daily/imports"
LARGEST = "3"  # MB


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of short rows, and one that is too large."""
    folder = tmp_path_factory.mktemp("files")
    for number in (5_000, 100_000):
        for name, end in (("lf", "\n"), ("crlf", "\r\n")):
            rows = end.join(["email", *(f"u{n}@example.org" for n in range(number))]) + end
            (folder / f"{number}-{name}.csv").write_text(rows, "utf-8", newline="")
    (folder / "large.csv").write_text("email\n" + "u@example.org\n" * 500_000, "utf-8")
    return folder


@pytest.fixture
def url(make_service: Callable[..., Service]) -> Iterator[tuple[Service, str]]:
    service = make_service("sqlite", NEWSLETTER_LARGEST_IMPORT_MB=LARGEST)
    with service.served("--workers", "1", "--without-worker") as url:
        yield service, url


@pytest.fixture(params=[True, False], ids=["with script", "without script"])
def page(request: pytest.FixtureRequest, browser: Browser, url: tuple[Service, str]) -> Iterator[Page]:
    """The page of imports, of an operator who has logged in."""
    service, address = url
    context = browser.new_context(
        viewport={"width": DESKTOP[0], "height": DESKTOP[1]}, java_script_enabled=request.param
    )
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(address + path(invite(service, "owner@example.org")))
    page.get_by_label("Password").fill(PASSWORD)
    with page.expect_navigation():
        page.get_by_role("button", name="Set the password").click()
    page.goto(address + IMPORTS)
    yield page
    context.close()


def upload(page: Page, file: Path) -> None:
    page.get_by_label("A file of subscribers").set_input_files(file)
    page.get_by_role("button", name="Upload").click()


@pytest.mark.parametrize("page", [True], indirect=True)
def test_files_of_many_short_rows_are_taken_whatever_their_line_ends(
    page: Page, files: Path, url: tuple[Service, str]
) -> None:
    for name in ("5000-lf", "5000-crlf", "100000-lf", "100000-crlf"):
        page.goto(url[1] + IMPORTS)
        upload(page, files / f"{name}.csv")

        expect(page.get_by_role("heading", level=1)).to_have_text(f"{name}.csv")
        expect(page.get_by_role("button", name="Check it")).to_be_visible()
    sizes = [size for (size,) in url[0].rows("SELECT size FROM imports ORDER BY id")]
    assert sizes == [
        (files / f"{name}.csv").stat().st_size
        for name in ("5000-lf", "5000-crlf", "100000-lf", "100000-crlf")
    ]


def test_a_file_that_is_too_large_is_refused_with_the_limit_its_size_and_another_way(
    page: Page, files: Path, url: tuple[Service, str]
) -> None:
    upload(page, files / "large.csv")

    said = page.get_by_role("alert")
    for words in ("6.7 MB", "at most 3 MB", "newsletter import daily", "API"):
        expect(said).to_contain_text(words)
    expect(page.get_by_label("A file of subscribers")).to_be_visible()
    assert url[0].one("SELECT count(*) FROM imports") == 0

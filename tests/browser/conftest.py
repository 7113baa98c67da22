"""A browser, the newspaper that embeds the form, and visitors who come to read it."""

from __future__ import annotations

import contextlib
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.support import chromium
from tests.support.embedding import Corner, Embedded, embedding, serving
from tests.support.service import Service, environment
from tests.support.smtp import Sink
from tests.support.visitors import PATIENCE, Visits, fresh_address, fresh_network

expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    executable = chromium.executable()
    if executable is None:
        if os.environ.get("CI"):
            pytest.fail(chromium.HOW_TO_GET)
        pytest.skip(chromium.HOW_TO_GET)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable, args=list(chromium.ARGUMENTS), timeout=PATIENCE
        )
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def elsewhere() -> Iterator[Corner]:
    """A corner of the web where a test puts up pages of its own."""
    corner = Corner()
    with serving(corner):
        yield corner


@pytest.fixture(scope="session")
def embedded(
    sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory, elsewhere: Corner
) -> Iterator[Embedded]:
    """Without limits, and for all tests of this run: each takes addresses of its own."""
    yield from _for_all(sqlite_template, tmp_path_factory, elsewhere)


@pytest.fixture(scope="session")
def strict(
    sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory, elsewhere: Corner
) -> Iterator[Embedded]:
    """One sign-up an hour from each network; the next is asked for one more step."""
    limits = {"NEWSLETTER_SIGNUP_LIMIT": "1/hour", "NEWSLETTER_TRUSTED_PROXIES": "1"}
    yield from _for_all(sqlite_template, tmp_path_factory, elsewhere, **limits)


def _for_all(
    template: Path, folders: pytest.TempPathFactory, elsewhere: Corner, **environ: str
) -> Iterator[Embedded]:
    sink = Sink()
    sink.start()
    folder = folders.mktemp("embedded")
    shutil.copy(template, folder / "newsletter.sqlite3")
    service = Service(environment(folder, sink, None) | environ, sink)
    with embedding(service, elsewhere=elsewhere.origin) as both:
        yield both
    service.close()
    sink.stop()


@pytest.fixture
def email() -> str:
    """An address that no other test uses."""
    return fresh_address()


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens a page as a new visitor. Afterwards no browser has complained of anything, and none has a cookie:
    nothing that a visitor does needs one."""
    visits = Visits(browser)
    yield visits
    cookies = [cookie for context in visits.contexts for cookie in context.cookies()]
    visits.tell_frames()
    for context in visits.contexts:
        context.close()
    assert visits.complaints == []
    assert cookies == []


@pytest.fixture
def crowded(strict: Embedded) -> str:
    """A network from which somebody has just signed up with `strict`: the next is asked for one more step."""
    network = fresh_network()
    request = urllib.request.Request(
        f"{strict.url}/lists/daily/subscriptions",
        data=urlencode({"email": fresh_address()}).encode(),
        headers={"X-Forwarded-For": network, "Accept": "application/json"},
    )
    # Where many tests did so within the hour, all that come from nowhere are asked for it: counted all the same.
    with contextlib.suppress(urllib.error.HTTPError), urllib.request.urlopen(request):
        pass
    return network

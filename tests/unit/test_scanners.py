"""Who looks at links: machines are told from people by one rule."""

from __future__ import annotations

from datetime import timedelta

import pytest
from werkzeug.datastructures import Headers

from newsletter.domain.scanners import Delay, Door, Effect, Kind, Look, delay_of, kind_of

CHROME = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36"
)
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1"
FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:128.0) Gecko/20100101 Firefox/128.0"


@pytest.mark.parametrize(
    ("method", "headers", "kind"),
    [
        pytest.param("HEAD", {"User-Agent": CHROME}, Kind.HEAD, id="head"),
        pytest.param("OPTIONS", {"User-Agent": CHROME}, Kind.OPTIONS, id="options"),
        pytest.param("GET", {"User-Agent": CHROME, "Sec-Purpose": "prefetch;prerender"}, Kind.PREFETCH, id="prerender"),
        pytest.param("GET", {"User-Agent": IPHONE, "X-Purpose": "preview"}, Kind.PREFETCH, id="preview"),
        pytest.param("GET", {"User-Agent": FIREFOX, "X-Moz": "Prefetch"}, Kind.PREFETCH, id="old-prefetch"),
        pytest.param("GET", {}, Kind.SCANNER, id="nameless"),
        pytest.param("GET", {"User-Agent": "python-requests/2.32", "Accept-Language": "en"}, Kind.SCANNER, id="script"),
        pytest.param("GET", {"User-Agent": "Mozilla/5.0 (compatible; bingbot/2.0)"}, Kind.SCANNER, id="bot"),
        pytest.param("GET", {"User-Agent": "Barracuda Sentinel (EE)"}, Kind.SCANNER, id="filter"),
        pytest.param("GET", {"User-Agent": CHROME.replace("Chrome", "HeadlessChrome")}, Kind.SCANNER, id="headless"),
        pytest.param("GET", {"User-Agent": CHROME, "Accept": "*/*"}, Kind.NO_HINTS, id="disguised"),
        pytest.param("GET", {"User-Agent": CHROME, "Sec-Fetch-Mode": "navigate"}, Kind.BROWSER, id="chrome"),
        pytest.param("GET", {"User-Agent": IPHONE, "Accept-Language": "de-CH"}, Kind.BROWSER, id="iphone"),
        pytest.param("GET", {"User-Agent": FIREFOX, "Accept-Language": "fr"}, Kind.BROWSER, id="firefox"),
    ],
)  # fmt: skip
def test_a_look_is_of_a_kind(method: str, headers: dict[str, str], kind: Kind) -> None:
    assert kind_of(method, Headers(headers).get) is kind


@pytest.mark.parametrize(
    ("seconds", "delay"),
    [(-1, Delay.SECONDS), (5, Delay.SECONDS), (6, Delay.MINUTE), (61, Delay.MINUTES), (3600, Delay.HOUR), (3601, Delay.DAY), (90_000, Delay.LATER)],
)  # fmt: skip
def test_a_delay_falls_into_a_stretch(seconds: int, delay: Delay) -> None:
    assert delay_of(timedelta(seconds=seconds)) is delay
    assert delay_of(None) is Delay.UNKNOWN


def test_a_browser_is_a_person_but_not_within_seconds_of_the_mail() -> None:
    later = Look(Door.CONFIRM, Kind.BROWSER, Delay.MINUTE, Effect.ACTS)
    at_once = Look(Door.CONFIRM, Kind.BROWSER, Delay.SECONDS, Effect.ACTS)

    assert not later.is_machine
    assert not later.would_be_false
    assert at_once.is_machine
    assert at_once.would_be_false


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.BROWSER])
def test_whatever_is_no_browser_is_a_machine_and_false_only_where_it_would_act(kind: Kind) -> None:
    assert Look(Door.UNSUBSCRIBE, kind, Delay.LATER, Effect.ACTS).would_be_false
    assert not Look(Door.UNSUBSCRIBE, kind, Delay.LATER, Effect.NOTHING).would_be_false

"""Pages that are neither sign-ups nor doors: front, list, health, assets, and the newcomer's mailbox."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from tests.support.service import Service


def test_the_front_page_is_the_default_lists(on_sqlite: Service) -> None:
    page = on_sqlite.client.get("/").text

    assert "Your Daily News in Just 5 Minutes!" in page
    assert page.count('action="/lists/daily/subscriptions"') == 2  # at the top and in the footer
    assert "Get daily news directly in your inbox!" in page
    assert "<script" not in page
    assert 'lang="en"' in page


def test_a_list_has_a_page_of_its_own_words(on_sqlite: Service) -> None:
    on_sqlite.command("lists", "add", "sport", "--name", "Sport & more", "--headline", "All the sport")
    page = on_sqlite.client.get("/lists/sport").text

    assert "All the sport" in page
    assert "Get Sport &amp; more directly in your inbox!" in page
    assert 'name="name"' in page


def test_without_any_list_the_front_page_is_a_calm_404(on_sqlite: Service) -> None:
    on_sqlite.write("DELETE FROM mailing_lists")

    response = on_sqlite.client.get("/")
    assert response.status_code == 404
    assert "<h1" in response.text


def test_everything_that_a_page_names_is_there_and_may_be_kept_for_long(on_sqlite: Service) -> None:
    page = on_sqlite.client.get("/").text
    assets = re.findall(r'(?:href|src)="(/static/[^"]+)"', page)

    assert len(assets) >= 4
    for asset in assets:
        response = on_sqlite.client.get(asset, buffered=True)
        assert response.status_code == 200, asset
        assert "immutable" in response.headers["Cache-Control"]


@pytest.mark.parametrize("path", ["/", "/lists/daily", "/unsubscribe", "/nothing"])
def test_every_page_carries_the_headers_of_the_house(on_sqlite: Service, path: str) -> None:
    headers = on_sqlite.client.get(path).headers

    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"


def test_health_tells_living_from_ready(service: Service) -> None:
    assert service.client.get("/healthz").json == {"status": "alive"}
    assert service.client.get("/readyz").status_code == 200

    service.write("UPDATE alembic_version SET version_num = 'older'")
    assert service.client.get("/healthz").status_code == 200
    assert service.client.get("/readyz").status_code == 503


@pytest.fixture
def at_home(make_service: Callable[..., Service]) -> Service:
    """A newcomer's service: no relay, on this machine."""
    service = make_service("sqlite")
    return Service(
        {**service.environ, "NEWSLETTER_SMTP_URL": "", "NEWSLETTER_BASE_URL": "http://127.0.0.1:8000"},
        service.sink,
    )


def test_the_mailbox_shows_what_was_caught_with_its_html_in_a_sandbox(at_home: Service) -> None:
    at_home.sign_up("ann@example.org")
    at_home.send_mail()

    index = at_home.client.get("/mailbox")
    assert index.status_code == 200
    assert "Please confirm: Daily News" in index.text
    (key,) = set(re.findall(r'href="(/mailbox/[0-9a-f]{32}\.newsletter)"', index.text))
    shown = at_home.client.get(key)
    assert "ann@example.org" in shown.text
    assert re.search(r'<iframe[^>]* sandbox="[^"]*"', shown.text)
    html = at_home.client.get(f"{key}/html")
    assert html.headers["Content-Security-Policy"].startswith("sandbox ")
    assert "allow-scripts" not in html.headers["Content-Security-Policy"]
    assert "/confirm/" in html.text


@pytest.mark.parametrize("key", ["x", "..%2f..%2fsecret_keys", "a" * 32 + ".newsletter", "%00"])
def test_the_mailbox_opens_no_other_file(at_home: Service, key: str) -> None:
    assert at_home.client.get(f"/mailbox/{key}").status_code in (400, 404)


def test_the_mailbox_is_shown_on_this_machine_and_without_a_relay_only(at_home: Service) -> None:
    from_afar = {"REMOTE_ADDR": "192.0.2.7"}
    public = Service({**at_home.environ, "NEWSLETTER_BASE_URL": "https://news.example"}, at_home.sink)
    with_relay = Service({**at_home.environ, "NEWSLETTER_SMTP_URL": "smtp://127.0.0.1:2525"}, at_home.sink)

    assert at_home.client.get("/mailbox/", environ_base=from_afar).status_code == 404
    assert public.client.get("/mailbox/").status_code == 404
    assert with_relay.client.get("/mailbox/").status_code == 404

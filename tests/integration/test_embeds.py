"""What other sites embed: which sites may, what is sent to them, and what the evidence keeps of them."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from collections.abc import Callable

import pytest
from werkzeug.test import TestResponse

from tests.support.service import Service

URL = "/lists/daily/subscriptions"
SITE, OTHER = "https://daily.example", "https://other.example"


@pytest.fixture
def sited(on_sqlite: Service) -> Service:
    """The list names two sites."""
    on_sqlite.command("lists", "edit", "daily", "--site", SITE, "--site", "http://localhost:8001")
    return on_sqlite


def send(service: Service, origin: str | None, **fields: str) -> TestResponse:
    headers = {"Accept": "application/json"} | ({"Origin": origin} if origin else {})
    return service.client.post(URL, data={"email": "ann@example.org"} | fields, headers=headers)


def test_e5_a_list_without_sites_answers_all_without_repeating_their_name(on_sqlite: Service) -> None:
    for origin in (SITE, "null", None):
        answer = send(on_sqlite, origin)
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "Access-Control-Allow-Credentials" not in answer.headers


def test_e5_a_list_with_sites_names_the_one_that_asks_and_no_other(sited: Service) -> None:
    mine = send(sited, SITE)
    assert mine.headers["Access-Control-Allow-Origin"] == SITE
    assert "Origin" in mine.headers["Vary"]

    for origin in (
        OTHER,
        "null",
        f"{SITE}.evil.example",
        f"{SITE}:8443",
        "http://daily.example",
        SITE.upper(),
    ):
        answer = send(sited, origin)
        assert "Access-Control-Allow-Origin" not in answer.headers, origin
        assert "Origin" in answer.headers["Vary"]


def test_e4_a_foreign_origin_is_an_unknown_site_and_loses_no_sign_up(sited: Service) -> None:
    for number, origin in enumerate((OTHER, "null", None)):
        assert send(sited, origin, email=f"u{number}@example.org").status_code == 202
    assert sited.counts()["subscribers"] == 3


@pytest.mark.parametrize("path", ["subscriptions", "code", "form", "challenge"])
def test_e5_a_preflight_is_answered_for_allowed_sites_alone(sited: Service, path: str) -> None:
    def preflight(origin: str) -> TestResponse:
        return sited.client.options(
            f"/lists/daily/{path}",
            headers={"Origin": origin, "Access-Control-Request-Method": "POST",
                     "Access-Control-Request-Headers": "content-type"},
        )  # fmt: skip

    allowed, refused = preflight(SITE), preflight(OTHER)
    assert allowed.headers["Access-Control-Allow-Origin"] == SITE
    assert "Content-Type" in allowed.headers["Access-Control-Allow-Headers"]
    assert "Access-Control-Allow-Origin" not in refused.headers
    assert sited.counts()["subscribers"] == 0


def test_errors_can_be_read_by_the_site_as_well(sited: Service) -> None:
    answer = send(sited, SITE, email="nobody")

    assert answer.status_code == 422
    assert answer.headers["Access-Control-Allow-Origin"] == SITE


@pytest.mark.parametrize("path", ["/", "/lists/daily", "/unsubscribe", "/lists/daily/embed", "/healthz"])
def test_e5_no_other_page_can_be_read_by_another_site(on_sqlite: Service, path: str) -> None:
    answer = on_sqlite.client.get(path, headers={"Origin": SITE})

    assert "Access-Control-Allow-Origin" not in answer.headers


def test_d11_the_evidence_keeps_the_site_and_the_page(service: Service) -> None:
    service.client.post(
        URL,
        data={"email": "ann@example.org", "way": "element"},
        headers={"Origin": SITE, "Referer": f"{SITE}/news/today?reader=7#top"},
    )
    service.client.post(URL, data={"email": "bob@example.org"}, headers={"Origin": "null"})
    service.client.post(URL, data={"email": "eve@example.org"}, headers={"Referer": f"{SITE}/a"})
    service.client.post(
        URL, data={"email": "may@example.org", "way": "<script>"}, headers={"Origin": "javascript:x"}
    )

    assert service.rows("SELECT way, origin, page FROM consent_events ORDER BY id") == [
        ("element", SITE, f"{SITE}/news/today"),
        ("form", None, None),
        ("form", SITE, f"{SITE}/a"),
        ("form", None, None),
    ]


def test_e6_the_frame_may_be_framed_by_the_sites_of_the_list_alone(sited: Service) -> None:
    page = sited.client.get("/embed/daily")
    answered = sited.client.post(URL, data={"email": "ann@example.org", "way": "frame"})
    refused = sited.client.post(URL, data={"email": "ann", "way": "frame"})

    for response in (page, answered, refused):
        policy = response.headers["Content-Security-Policy"]
        assert f"frame-ancestors 'self' {SITE} http://localhost:8001" in policy
        assert "unsafe" not in policy
    sited.command("lists", "edit", "daily", "--no-sites")
    assert "frame-ancestors *" in sited.client.get("/embed/daily").headers["Content-Security-Policy"]


@pytest.mark.parametrize("path", ["/", "/lists/daily", "/lists/daily/embed", "/unsubscribe", "/confirm/x"])
def test_e6_no_other_page_may_be_framed(on_sqlite: Service, path: str) -> None:
    assert "frame-ancestors 'none'" in on_sqlite.client.get(path).headers["Content-Security-Policy"]


def test_e7_the_script_is_small_kept_for_long_and_checked_by_its_hash(on_sqlite: Service) -> None:
    guide = on_sqlite.client.get("/lists/daily/embed").text
    found = re.search(r'src="(/embed\.js\?v=[0-9a-f]+)" integrity="sha384-([^"]+)"', guide)
    assert found
    plain = on_sqlite.client.get(found[1])
    packed = on_sqlite.client.get(found[1], headers={"Accept-Encoding": "gzip, br"})

    assert base64.b64encode(hashlib.sha384(plain.data).digest()).decode() == found[2]
    assert gzip.decompress(packed.data) == plain.data
    assert len(packed.data) < 6000
    for response in (plain, packed):
        assert response.mimetype == "text/javascript"
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        assert "immutable" in response.headers["Cache-Control"]
        assert "Accept-Encoding" in response.headers["Vary"]
    again = on_sqlite.client.get(found[1], headers={"If-None-Match": plain.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    assert packed.headers["ETag"] != plain.headers["ETag"]
    for other in ("/embed.js", "/embed.js?v=0123456789ab"):
        assert "immutable" not in on_sqlite.client.get(other).headers["Cache-Control"]


def test_the_element_is_told_all_that_it_draws(on_sqlite: Service) -> None:
    told = on_sqlite.client.get("/lists/daily/form", headers={"Origin": SITE})

    assert told.headers["Access-Control-Allow-Origin"] == "*"
    assert told.headers["Cache-Control"] == "no-store"
    assert told.json is not None
    assert told.json["action"] == "https://news.example/lists/daily/subscriptions"
    assert told.json["texts"]["invitation"] == "Get daily news directly in your inbox!"
    assert all(told.json["texts"].values())
    assert "{address}" in told.json["texts"]["check_text"]
    assert on_sqlite.client.get("/lists/none/form").status_code == 404


def test_the_guide_shows_three_snippets_that_name_the_service_by_its_public_address(
    on_sqlite: Service,
) -> None:
    guide = on_sqlite.client.get("/lists/daily/embed").text

    assert len(re.findall(r"data-copy=", guide)) == 3
    for snippet in ("element", "frame", "plain"):
        found = re.search(rf'<code id="snippet-{snippet}"[^>]*>(.*?)</code>', guide, re.DOTALL)
        assert found, snippet
        assert "https://news.example/" in found[1], snippet
        assert "&lt;" in found[1], snippet


def test_a10_visitors_are_sent_on_to_registered_pages_and_nowhere_else(on_sqlite: Service) -> None:
    thanks = f"{SITE}/thanks?from=news"
    on_sqlite.command("lists", "edit", "daily", "--return-url", thanks)

    sent_on = on_sqlite.sign_up(next=thanks)
    assert (sent_on.status_code, sent_on.headers["Location"]) == (303, thanks)

    for other in (
        f"{thanks}&more",
        SITE,
        f"{SITE}/thanks",
        "//evil.example",
        "javascript:alert(1)",
        thanks + "\r\nX: y",
    ):
        answer = on_sqlite.sign_up(next=other)
        assert answer.status_code == 200, other
        assert "evil" not in answer.text
    as_script = send(on_sqlite, SITE, next=thanks)
    assert (as_script.status_code, as_script.json) == (202, {"status": "check_inbox"})


@pytest.mark.parametrize(
    "address",
    ["https://daily.example/a b", "javascript:alert(1)", "/thanks", "https://u:p@daily.example/", "x"],
)
def test_a10_only_whole_addresses_of_pages_are_registered(on_sqlite: Service, address: str) -> None:
    done = on_sqlite.command("lists", "edit", "daily", "--return-url", address, check=False)

    assert done.returncode == 1
    assert "return address" in done.stderr


@pytest.mark.parametrize(
    "site", ["https://daily.example/path", "daily.example", "null", "*", "https://*.example"]
)
def test_e4_a_site_is_an_exact_origin(on_sqlite: Service, site: str) -> None:
    done = on_sqlite.command("lists", "edit", "daily", "--site", site, check=False)

    assert done.returncode == 1
    assert "origin" in done.stderr


def test_the_frame_takes_a_code_and_shows_what_is_wrong_with_it(on_sqlite: Service) -> None:
    on_sqlite.client.post(URL, data={"email": "ann@example.org", "way": "frame"})
    mail = on_sqlite.mail_to()[0]
    code = re.search(r"^(\d{3} \d{3})\s*$", mail.part("plain"), re.MULTILINE)
    assert code

    wrong = on_sqlite.client.post("/lists/daily/code", data={"email": "ann@example.org", "code": "x"})
    right = on_sqlite.client.post("/lists/daily/code", data={"email": "ann@example.org", "code": code[1]})

    assert wrong.status_code == 422
    assert 'aria-invalid="true"' in wrong.text
    assert right.status_code == 200
    assert 'data-newsletter="confirmed"' in right.text
    assert on_sqlite.states() == {"ann@example.org": "confirmed"}


def test_e1_embeds_set_no_cookie_and_do_not_vary_by_one(on_sqlite: Service) -> None:
    for path in ("/embed/daily", "/embed.js", "/lists/daily/form", "/lists/daily/challenge"):
        answer = on_sqlite.client.get(path, headers={"Cookie": "session=x"})
        assert "Set-Cookie" not in answer.headers, path
        assert "Cookie" not in answer.headers.get("Vary", ""), path


def test_a_frame_script_that_asks_in_json_may_send_all_fields(on_sqlite: Service) -> None:
    answer = on_sqlite.client.post(
        URL,
        json={
            "email": "ann@example.org",
            "name": "Ann",
            "token": "x",
            "altcha": "y",
            "leave_empty": "",
            "page": "z",
            "way": "element",
        },
    )

    assert answer.status_code == 202
    assert on_sqlite.one("SELECT way FROM consent_events") == "element"
    assert json.loads(answer.data) == {"status": "check_inbox"}


def test_what_goes_wrong_in_the_frame_is_shown_in_the_frame(make_service: Callable[..., Service]) -> None:
    service = make_service("sqlite", NEWSLETTER_SIGNUP_LIMIT="1/hour")
    service.command("lists", "edit", "daily", "--site", SITE)
    answers = [
        service.client.post(URL, data={"email": f"u{n}@example.org", "way": "frame"}) for n in range(6)
    ]

    assert [answer.status_code for answer in answers] == [200] + [429] * 5
    for answer in answers:
        assert f"frame-ancestors 'self' {SITE}" in answer.headers["Content-Security-Policy"]
        assert 'class="framed"' in answer.text
    assert "/embed/daily" in answers[-1].text

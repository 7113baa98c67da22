"""Bad input gets a clear answer, and leaves nothing behind: no row, no mail, no 500."""

from __future__ import annotations

import contextlib
import json

import pytest

from tests.support.service import Service

URL = "/lists/daily/subscriptions"
NOTHING = {"subscribers": 0, "subscriptions": 0, "consent_events": 0, "outbox": 0, "suppressions": 0}


def _nothing_happened(service: Service) -> None:
    assert service.counts() == NOTHING
    service.send_mail()
    assert service.sink.mails == []


ADDRESSES = {
    "empty": "",
    "blank": "   ",
    "no at": "ann.example.org",
    "no local part": "@example.org",
    "no domain": "ann@",
    "two ats": "ann@bob@example.org",
    "spaces": "ann b@example.org",
    "A8 line feed": "ann@example.org\nBcc: bob@example.org",
    "A8 carriage return": "ann@example.org\r\nX: y",
    "A8 header in local part": "ann\r\nBcc: x@example.org",
    "A15 NUL": "ann\0@example.org",
    "A8 escape": "ann\x1b@example.org",
    "A8 delete": "ann\x7f@example.org",
    "A8 C1 control": "ann\x85@example.org",
    "A17 65 octets before the at": "a" * 65 + "@example.org",
    "A17 65 octets of 33 letters": "ä" * 33 + "@example.org",
    "A17 255 octets": "a@" + ".".join(["b" * 60] * 4) + ".example.org",
    "A17 label of 64": "ann@" + "a" * 64 + ".org",
    "A8 invisible": "an\u200bn@example.org",
    "two names": "Ann <ann@example.org> <bob@example.org>",
    "quoted": '"ann b"@example.org',
    "address literal": "ann@[127.0.0.1]",
    "special-use domain": "ann@localhost",
    "two dots": "ann..b@example.org",
    "dot first": ".ann@example.org",
    "underscore domain": "ann@exa_mple.org",
    "bad punycode": "ann@xn--0.example",
    "comma list": "ann@example.org,bob@example.org",
    "encoded word": "=?utf-8?q?a?=@example.org",
    "script": "<script>alert(1)</script>@example.org",
}


@pytest.mark.parametrize("address", ADDRESSES.values(), ids=ADDRESSES.keys())
def test_a_bad_address_is_422_with_a_message_beside_the_field(service: Service, address: str) -> None:
    page = service.client.post(URL, data={"email": address.encode("utf-8", "surrogatepass")})
    script = service.client.post(URL, data=json.dumps({"email": address}), content_type="application/json")

    assert page.status_code == 422
    assert 'aria-invalid="true"' in page.text
    assert 'role="alert"' in page.text
    assert "<script>" not in page.text
    assert script.status_code == 422
    assert script.content_type == "application/problem+json"
    assert json.loads(script.data)["errors"]["email"]
    _nothing_happened(service)


def test_half_a_character_in_json_is_422(service: Service) -> None:
    response = service.client.post(
        URL, data=b'{"email": "ann\\ud800@example.org"}', content_type="application/json"
    )

    assert response.status_code == 422
    _nothing_happened(service)


def test_a_form_from_a_page_in_latin_1_is_read_as_it_was_meant(service: Service) -> None:
    response = service.client.post(
        URL, data=b"email=ren%E9%40example.org&name=Ren%E9", content_type="application/x-www-form-urlencoded"
    )

    assert response.status_code == 200
    assert service.rows("SELECT address, name FROM subscribers") == [("ren\u00e9@example.org", "Ren\u00e9")]


def test_a13_what_was_cut_off_on_its_way_or_has_no_length_is_refused(service: Service) -> None:
    import socket

    head = "POST /lists/daily/subscriptions HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    chunked = f"{head}Transfer-Encoding: chunked\r\n\r\n"
    requests = [
        (f"{head}Content-Length: 40\r\n\r\nemail=ann@example.or", True, (b"400", b"")),
        (f"{chunked}16\r\nemail=ann%40example.or", True, (b"400", b"411", b"")),
        # Its sender waits for the answer: who hangs up before may get none.
        (f"{chunked}15\r\nemail=ann@example.org\r\n0\r\n\r\n", False, (b"411",)),
    ]
    with service.served("--workers", "1") as url:
        for request, hangs_up, statuses in requests:
            answer = b""
            with socket.create_connection(
                ("127.0.0.1", int(url.rpartition(":")[2])), timeout=120
            ) as connection:
                connection.sendall(request.encode())
                if hangs_up:
                    connection.shutdown(socket.SHUT_WR)
                with contextlib.suppress(ConnectionResetError):  # what it had said before is read
                    while len(answer) < 12 and (said := connection.recv(20)):
                        answer += said
            assert answer[9:12] in statuses, request

    assert service.counts() == NOTHING


def test_what_was_typed_stays_in_the_field(on_sqlite: Service) -> None:
    page = on_sqlite.sign_up("ann@", name="Ann").text

    assert 'value="ann@"' in page
    assert 'value="Ann"' in page


@pytest.mark.parametrize("name", ["a" * 201, "Ann\0", "Ann\nBcc: x", "Ann\x1b[31m", "x\u2028y"])
def test_a8_a_bad_name_is_422(service: Service, name: str) -> None:
    response = service.sign_up("ann@example.org", name=name)

    assert response.status_code == 422
    assert 'role="alert"' in response.text
    _nothing_happened(service)


@pytest.mark.parametrize(
    "address",
    ["ann+tag@example.org", "jörg@example.org", "ann@bücher.example", "ann@exämple.org", "用户@例子.广告", "o'hara@example.org",
     "a" * 64 + "@example.org", "ann@sub.domain.example.org", "1@example.org", "ann@xn--bcher-kva.example"],
)  # fmt: skip
def test_ordinary_and_internationalised_addresses_are_taken(service: Service, address: str) -> None:
    assert service.sign_up(address).status_code == 200
    assert len(service.states()) == 1


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'"text"', b"null", b"1", b'{"email": 5}', b'{"email": ["a@example.org"]}', b'{"email": {}}',
     b"\xff\xfe", b"[" * 8000, b'{"a":' * 2000 + b"1" + b"}" * 2000, b'{"name": "Ann"}', b'{"email": null}'],
    ids=range(14),
)  # fmt: skip
def test_a13_malformed_json_is_a_4xx_problem(service: Service, body: bytes) -> None:
    response = service.client.post(URL, data=body, content_type="application/json")

    assert response.status_code in (400, 411, 413, 422)
    assert response.content_type == "application/problem+json"
    assert json.loads(response.data)["detail"]
    _nothing_happened(service)


@pytest.mark.parametrize(
    "content_type",
    ["application/x-www-form-urlencoded", "application/json", "multipart/form-data; boundary=x"],
)
def test_a13_a_body_that_is_too_large_is_413(service: Service, content_type: str) -> None:
    response = service.client.post(URL, data=b"email=" + b"a" * 20_000, content_type=content_type)

    assert response.status_code == 413
    _nothing_happened(service)


def test_a13_too_many_form_parts_are_a_4xx(service: Service) -> None:
    parts = b"".join(
        b'--x\r\nContent-Disposition: form-data; name="f%d"\r\n\r\nv\r\n' % n for n in range(200)
    )
    response = service.client.post(
        URL, data=parts + b"--x--\r\n", content_type="multipart/form-data; boundary=x"
    )

    assert response.status_code == 413
    _nothing_happened(service)


@pytest.mark.parametrize(
    "host", ["evil.example", "news.example.evil.example", "", "news.example@evil.example", "[::ffff:1.2.3.4]"]
)
def test_a12_a_foreign_host_is_400(on_sqlite: Service, host: str) -> None:
    for path in ("/", "/lists/daily", "/unsubscribe"):
        assert on_sqlite.client.get(path, headers={"Host": host}).status_code == 400
    response = on_sqlite.client.post(URL, data={"email": "ann@example.org"}, headers={"Host": host})
    assert response.status_code == 400
    _nothing_happened(on_sqlite)


@pytest.mark.parametrize(
    "path", ["/lists/da%00ily", "/lists/%00/subscriptions", "/confirm/%00", "/?a=%00", "/unsubscribe/a%00b"]
)
def test_a15_nul_anywhere_is_a_4xx(service: Service, path: str) -> None:
    assert 400 <= service.client.get(path).status_code < 500
    assert 400 <= service.client.post(path, data={"email": "ann@example.org"}).status_code < 500
    _nothing_happened(service)


@pytest.mark.parametrize(
    "headers",
    [{"Referer": "https://x.example/\x01\x7f"}, {"Referer": "http://[bad"}, {"User-Agent": "\xff\xfe\x01"},
     {"Origin": "null"}, {"User-Agent": "a" * 5000}, {"Referer": "https://user:secret@x.example/a"},
     {"Accept": "nonsense;q=x"}, {"Accept-Language": "\x01"}, {"X-Forwarded-For": "junk, \x01"}],
    ids=range(9),
)  # fmt: skip
def test_strange_headers_do_no_harm(service: Service, headers: dict[str, str]) -> None:
    assert service.client.post(URL, data={"email": "ann@example.org"}, headers=headers).status_code == 200
    (row,) = service.rows("SELECT page, agent FROM consent_events")
    assert "secret" not in str(row)
    assert len(str(row[1] or "")) <= 300


def test_a10_the_service_never_redirects_to_what_a_visitor_names(on_sqlite: Service) -> None:
    response = on_sqlite.sign_up(next="https://evil.example", redirect="//evil.example")

    assert response.status_code == 200
    assert "evil.example" not in response.text


def test_a3_forwarded_addresses_count_only_behind_a_proxy_of_ours(on_sqlite: Service) -> None:
    spoofed = {"X-Forwarded-For": "203.0.113.9"}
    on_sqlite.client.post(URL, data={"email": "a@example.org"}, headers=spoofed)
    behind = Service(on_sqlite.environ | {"NEWSLETTER_TRUSTED_PROXIES": "1"}, on_sqlite.sink)
    chain = {"X-Forwarded-For": "198.51.100.1, 203.0.113.9"}
    behind.client.post(URL, data={"email": "b@example.org"}, headers=chain)

    networks = [network for (network,) in on_sqlite.rows("SELECT network FROM consent_events ORDER BY id")]
    assert networks == ["127.0.0.1", "203.0.113.9"]


def test_wrong_methods_are_405_and_unknown_pages_404(on_sqlite: Service) -> None:
    assert on_sqlite.client.get(URL).status_code == 405
    assert on_sqlite.client.put("/unsubscribe/x").status_code == 405
    for page in ("/nothing", "/lists", "/lists/", "/confirm/", "/static/../settings.py", "/mailbox/"):
        response = on_sqlite.client.get(page)
        assert response.status_code == 404, page
        assert "<h1" in response.text


def test_a16_no_address_and_no_token_is_in_a_log(service: Service, capfd: pytest.CaptureFixture[str]) -> None:
    service = Service(service.environ, service.sink)  # one that logs to where the test reads
    mail = service.confirmed("ann@example.org")
    service.sink.on_rcpt = lambda address: f"550 5.1.1 no {address} here"
    service.sign_up("bob@example.org")
    service.send_mail()
    service.write("DROP TABLE consent_events")
    assert (
        service.client.post("/lists/daily/subscriptions", data={"email": "eve@example.org"}).status_code
        >= 500
    )
    # It is kept in the spool.
    link = mail.link("unsubscribe").removeprefix("https://news.example")
    assert service.client.post(link).status_code == 200

    lines = capfd.readouterr().err.splitlines()
    assert len(lines) >= 4
    for line in lines:
        json.loads(line)  # one structured line an event
        for secret in ("ann@", "bob@", "eve@", mail.link("unsubscribe").rpartition("/")[2]):
            assert secret not in line

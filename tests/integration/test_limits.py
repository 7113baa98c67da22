"""Limits on sign-ups by network: over all processes, whatever the address, and never a silent loss."""

from __future__ import annotations

import json
import socket
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import cast

import pytest
from sqlalchemy import QueuePool
from werkzeug.test import TestResponse

from newsletter.extensions import db
from newsletter.web import limiting
from tests.support import redis
from tests.support.altcha import solved
from tests.support.postgres import free_port
from tests.support.service import Service
from tests.support.visitors import fresh_address


def limited_by(
    request: pytest.FixtureRequest, make_service: Callable[..., Service], **environ: str
) -> Service:
    """A service that counts in the place that the fixture's parameter names."""
    if request.param == "redis":
        return make_service("sqlite", NEWSLETTER_REDIS_URL=request.getfixturevalue("redis_url"), **environ)
    return make_service(request.param, **environ)


@pytest.fixture(params=["sqlite", "postgresql", "redis"])
def limited(request: pytest.FixtureRequest, make_service: Callable[..., Service]) -> Service:
    """At most three sign-ups an hour, counted in each of the places where they may be counted."""
    return limited_by(request, make_service, NEWSLETTER_SIGNUP_LIMIT="3/hour")


def _statuses(service: Service, number: int, network: str = "192.0.2.1") -> list[int]:
    return [
        service.client.post(
            "/lists/daily/subscriptions",
            data={"email": f"u{n}@example.org"},
            environ_base={"REMOTE_ADDR": network},
        ).status_code
        for n in range(number)
    ]


def test_a2_over_the_limit_is_429_with_when_to_come_back_and_stores_nothing(limited: Service) -> None:
    assert _statuses(limited, 5) == [200, 200, 200, 429, 429]
    page = limited.client.post(
        "/lists/daily/subscriptions",
        data={"email": "x@example.org"},
        environ_base={"REMOTE_ADDR": "192.0.2.1"},
    )
    script = limited.client.post(
        "/lists/daily/subscriptions",
        json={"email": "x@example.org"},
        environ_base={"REMOTE_ADDR": "192.0.2.1"},
    )

    assert 1 <= int(page.headers["Retry-After"]) <= 3600
    assert "<h1" in page.text
    assert json.loads(script.data)["status"] == script.status_code == 429
    assert limited.counts()["subscribers"] == 3


def test_a2_the_limit_knows_networks_and_not_addresses(limited: Service) -> None:
    same = [limited.sign_up("ann@example.org").status_code for _ in range(4)]

    assert same == [200, 200, 200, 429]
    assert _statuses(limited, 3, "192.0.2.2") == [200, 200, 200]


def test_a2_an_ipv6_network_is_its_64_bits(limited: Service) -> None:
    assert _statuses(limited, 2, "2001:db8:1:2::1") == [200, 200]
    assert _statuses(limited, 2, "2001:db8:1:2:ffff::9") == [200, 429]
    assert _statuses(limited, 1, "2001:db8:1:3::1") == [200]


def test_a2_the_limit_holds_over_all_processes(limited: Service) -> None:
    another = Service(limited.environ, limited.sink)

    assert _statuses(limited, 2) == [200, 200]
    assert _statuses(another, 2) == [200, 429]


def test_a3_a_forged_forwarded_address_changes_nothing(limited: Service) -> None:
    answers = [
        limited.client.post(
            "/lists/daily/subscriptions",
            data={"email": f"u{n}@example.org"},
            headers={"X-Forwarded-For": f"203.0.113.{n}"},
        ).status_code
        for n in range(4)
    ]

    assert answers == [200, 200, 200, 429]


def test_a3_a_proxy_that_names_the_port_names_the_visitor(make_service: Callable[..., Service]) -> None:
    service = make_service("sqlite", NEWSLETTER_SIGNUP_LIMIT="1/hour", NEWSLETTER_TRUSTED_PROXIES="1")

    def sign_up(forwarded: str) -> int:
        return service.client.post(
            "/lists/daily/subscriptions",
            data={"email": fresh_address()},
            headers={"X-Forwarded-For": forwarded},
        ).status_code

    assert [sign_up("192.0.2.1:4711"), sign_up("192.0.2.1:4712")] == [200, 429]
    assert [sign_up("[2001:db8::1]:4711"), sign_up("2001:db8::2")] == [200, 429]
    assert sign_up("192.0.2.2:4711") == 200
    networks = service.rows("SELECT network FROM consent_events ORDER BY id")
    assert networks == [("192.0.2.1",), ("2001:db8::/64",), ("192.0.2.2",)]


def test_by_default_the_twenty_first_sign_up_in_an_hour_is_one_too_many(
    make_service: Callable[..., Service],
) -> None:
    service = make_service("sqlite", NEWSLETTER_SIGNUP_LIMIT="")

    assert _statuses(service, 21) == [200] * 20 + [429]


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_when_the_hour_is_over_the_network_may_go_on_and_old_counts_are_forgotten(
    make_service: Callable[..., Service], kind: str
) -> None:
    limited = make_service(kind, NEWSLETTER_SIGNUP_LIMIT="3/hour")
    assert _statuses(limited, 4)[-1] == 429
    then = "2026-01-01 00:00:00+00" if limited.on_postgresql else "2026-01-01T00:00:00.000000Z"
    limited.write("UPDATE limit_counts SET expires_at = :then", then=then)

    assert _statuses(limited, 1) == [200]
    assert _statuses(limited, 1, "192.0.2.9") == [200]
    limited.write("UPDATE limit_counts SET expires_at = :then WHERE key LIKE '%192.0.2.9%'", then=then)
    limited.send_mail()
    assert limited.rows("SELECT key FROM limit_counts WHERE key LIKE '%192.0.2.9%'") == []
    assert limited.rows("SELECT key FROM limit_counts WHERE key LIKE '%network%192.0.2.1%'") != []


def test_a_redis_that_is_away_loses_no_sign_up_and_no_limit(make_service: Callable[..., Service]) -> None:
    service = make_service(
        "sqlite", NEWSLETTER_SIGNUP_LIMIT="2/hour", NEWSLETTER_REDIS_URL="redis://127.0.0.1:1/0"
    )

    assert _statuses(service, 3) == [200, 200, 429]
    assert service.counts()["subscribers"] == 2


def test_a_redis_that_never_answers_is_waited_for_once(
    make_service: Callable[..., Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limiting, "_PATIENCE", 0.1)
    monkeypatch.setattr(limiting, "_AWAY", 3600.0)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"redis://127.0.0.1:{deaf.getsockname()[1]}/0"
        service = make_service("sqlite", NEWSLETTER_SIGNUP_LIMIT="2/hour", NEWSLETTER_REDIS_URL=url)

        assert _statuses(service, 3) == [200, 200, 429]
        assert service.client.get("/lists/daily/challenge").status_code == 200
        deaf.setblocking(False)
        deaf.accept()[0].close()
        with pytest.raises(BlockingIOError):
            deaf.accept()


def test_who_waits_for_redis_holds_no_connection_to_the_database(
    make_service: Callable[..., Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limiting, "_PATIENCE", 10.0)
    with socket.create_server(("127.0.0.1", 0)) as deaf, ThreadPoolExecutor(1) as pool:
        url = f"redis://127.0.0.1:{deaf.getsockname()[1]}/0"
        service = make_service("sqlite", NEWSLETTER_SIGNUP_LIMIT="1/hour", NEWSLETTER_REDIS_URL=url)
        answer = pool.submit(_statuses, service, 1)
        asked, _ = deaf.accept()
        assert asked.recv(1)
        with service.app.app_context():
            held = cast("QueuePool", db.engine.pool).checkedout()
        deaf.close()
        asked.close()

        assert held == 0
        assert answer.result() == [200]


def test_a6_a_solution_that_redis_has_forgotten_counts_no_second_time(
    make_service: Callable[..., Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may restart empty, or be away when the solution comes first or when it comes again."""
    monkeypatch.setattr(limiting, "_AWAY", 0.0)
    port = free_port()
    service = make_service(
        "sqlite", NEWSLETTER_SIGNUP_LIMIT="1/hour", NEWSLETTER_REDIS_URL=f"redis://127.0.0.1:{port}/0"
    )

    def sign_up(**fields: str) -> TestResponse:
        fields = {"email": fresh_address()} | fields
        return service.client.post("/lists/daily/subscriptions", json=fields)

    def let_in() -> str:
        """Whoever comes first is taken, the next by a solution; gives that."""
        assert sign_up().status_code == 202
        asked = sign_up()
        assert asked.json is not None
        solution = solved(asked.json["challenge"])
        assert sign_up(altcha=solution).status_code == 202
        return solution

    with redis.running(port):
        by_redis = let_in()
    by_the_database = let_in()
    assert sign_up(altcha=by_redis).status_code == 429
    with redis.running(port):
        let_in()
        assert sign_up(altcha=by_redis).status_code == 429
        assert sign_up(altcha=by_the_database).status_code == 429


def test_a2_a_wider_network_has_a_limit_of_its_own(limited: Service) -> None:
    """An IPv6 /48: three times what a /64 may."""
    answers = [_statuses(limited, 1, f"2001:db8:1:{n:x}::1")[0] for n in range(10)]

    assert answers == [200] * 9 + [429]
    assert _statuses(limited, 1, "2001:db8:2::1") == [200]


@pytest.mark.parametrize(
    ("limited", "addresses"), [("sqlite", 5000), ("postgresql", 1000), ("redis", 1000)], indirect=["limited"]
)
def test_a2_thousands_of_addresses_of_one_64_are_one_network(limited: Service, addresses: int) -> None:
    def sign_up(number: int) -> int:
        return limited.client.post(
            "/lists/daily/subscriptions",
            data={"email": f"u{number}@gmail.com"},
            environ_base={"REMOTE_ADDR": f"2001:db8:1:2::{number:x}"},
            headers={"Accept": "application/json"},
        ).status_code

    # Eight at a time: each answer waits for its beat.
    with ThreadPoolExecutor(8) as visitors:
        answers = Counter(visitors.map(sign_up, range(addresses)))

    assert answers == {202: 3, 429: addresses - 3}
    assert limited.counts()["subscribers"] == limited.counts()["outbox"] == 3


def test_a2_far_over_the_limit_nothing_helps_but_waiting(limited: Service) -> None:
    """Five times the limit: no further step is offered."""
    refused = [limited.sign_up(f"u{n}@example.org") for n in range(16)][-1]

    assert refused.status_code == 429
    assert 1 <= int(refused.headers["Retry-After"]) <= 3600
    assert "data-challenge" not in refused.text
    assert "too fast" in refused.text


def test_who_asks_for_links_again_and_again_must_wait(limited: Service) -> None:
    answers = [limited.client.post("/unsubscribe", data={"email": f"u{n}@example.org"}) for n in range(4)]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert int(answers[-1].headers["Retry-After"]) > 0

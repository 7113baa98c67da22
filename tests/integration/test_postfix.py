"""A real mail system between us and the readers: what it cannot deliver comes back by its pipe."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from tests.support import postfix
from tests.support.returning import DOMAIN, WITH_DOMAIN
from tests.support.service import Service, eventually


def test_what_postfix_cannot_deliver_ends_the_subscription(make_service: Callable[..., Service]) -> None:
    if why := postfix.missing():
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)
    # Two users work on it, whom one SQLite file could not serve.
    service = make_service("postgresql", **WITH_DOMAIN)
    service.sink.on_rcpt = lambda to: "550 5.1.1 no such user" if to.startswith("ann@") else None
    with postfix.running(next_hop=service.sink.port, domain=DOMAIN, environ=service.environ) as (port, log):
        sending = Service(service.environ | {"NEWSLETTER_SMTP_URL": f"smtp://127.0.0.1:{port}"}, service.sink)
        for name in ("ann", "bob"):
            sending.sign_up(f"{name}@example.org")
        sending.send_mail()
        assert sending.statuses() == ["sent", "sent"]
        try:
            eventually(lambda: service.states()["ann@example.org"] == "bounced")
            eventually(lambda: service.sink.to("bob@example.org"))
        except AssertionError:
            pytest.fail(log.read_text())

    assert service.states() == {"ann@example.org": "bounced", "bob@example.org": "pending"}
    assert service.rows("SELECT status, way FROM mail_returns") == [("5.1.1", "mail")]


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        pytest.param(
            WITH_DOMAIN | {"NEWSLETTER_DATABASE_URL": "postgresql://u@127.0.0.1:1/none"},
            "the database at postgresql",
            id="the database is away",
        ),
        pytest.param({}, "NEWSLETTER_INBOUND_DOMAIN", id="no domain is set"),
    ],
)
def test_a_pipe_is_told_to_try_again_when_the_mail_cannot_be_taken_now(
    on_sqlite: Service, environ: dict[str, str], named: str
) -> None:
    done = on_sqlite.as_process("receive", check=False, **environ)

    assert done.returncode == os.EX_TEMPFAIL
    assert done.stderr.startswith("newsletter: ")
    assert named in done.stderr
    assert done.stderr.count("\n") == 1

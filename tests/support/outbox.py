"""An outbox with much in it, made by a few statements."""

from __future__ import annotations

from newsletter.models.outbox import Kind, Lane
from tests.support.service import Service, now

_WHO, _WHAT, _MAIL = "01900000-0000-7000-8000-", "01900001-0000-7000-8000-", "01900002-0000-7000-8000-"


def fill(
    service: Service,
    count: int,
    *,
    lane: Lane = Lane.BULK,
    domain: str = "bulk.example",
    start: int = 1,
    kind: Kind = Kind.CONFIRMATION,
) -> None:
    """Mails to `count` people at a domain, or each at one of their own (`{n}` in it), due before anything that is
    made from now on."""
    numbers = (
        f"WITH RECURSIVE c(n) AS (SELECT {start} UNION ALL SELECT n + 1 FROM c WHERE n < {start + count - 1})"
    )

    def id_of(prefix: str) -> str:
        if service.on_postgresql:
            return f"('{prefix}' || lpad(to_hex(n), 12, '0'))::uuid"
        return f"printf('{prefix.replace('-', '')}%012x', n)"

    person, subscription, mail = map(id_of, (_WHO, _WHAT, _MAIL))
    state = "confirmed" if kind is Kind.WELCOME else "pending"
    address = f"'reader' || n || '@{domain}'".replace("{n}", "' || n || '")
    moment = {"now": now() if service.on_postgresql else now().isoformat().replace("+00:00", "Z")}
    service.write(
        f"INSERT INTO subscribers (id, address, identity, search, locale, attributes, created_at) "
        f"{numbers} SELECT {person}, {address}, {address}, {address}, 'en', '{{}}', :now FROM c",
        **moment,
    )
    service.write(
        f"INSERT INTO subscriptions (id, subscriber_id, list_id, state, generation, source, created_at, asked_at) "
        f"{numbers} SELECT {subscription}, {person}, l.id, '{state}', 1, 'import', :now, :now "
        "FROM c, mailing_lists l WHERE l.slug = 'daily'",
        **moment,
    )
    service.write(
        "INSERT INTO outbox (id, subscription_id, kind, status, lane, attempts, next_attempt_at, message_id, "
        f"idempotency_key, created_at) {numbers} SELECT {mail}, {subscription}, '{kind}', 'queued', {lane.value}, "
        f"0, :now, '<' || n || '@news.example>', 'filled:' || n, :now FROM c",
        **moment,
    )
    service.write("ANALYZE")

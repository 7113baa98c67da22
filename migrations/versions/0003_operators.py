"""Operators, exports, imports, API tokens, webhooks; the journal of all that happens to subscriptions

Revision: 0003, after 0002.
"""

import unicodedata

import sqlalchemy as sa
from alembic import op
from newsletter.database import UtcDateTime
revision = '0003'
down_revision = '0002'
branch_labels = None
depends_on = None

_BATCH = 1000
_NEW_TABLES = (
    "webhook_deliveries", "import_refusals", "import_chunks", "webhooks", "tallies", "operator_sessions",
    "operator_lists", "imports", "idempotency_keys", "exports", "operators", "journal", "audit_events", "api_tokens",
)

# What the state of a subscription was after each kind of event, as it was when this was written.
_AFTER = {
    "confirm": {"pending": "confirmed"},
    "unsubscribe": {"pending": "unsubscribed", "confirmed": "unsubscribed", "bounced": "unsubscribed"},
    "lapse": {"pending": "unsubscribed"},
    "sign_up": {None: "pending", "unsubscribed": "pending", "bounced": "pending"},
    "bounce": {"pending": "bounced", "confirmed": "bounced"},
    "complain": dict.fromkeys(("pending", "confirmed", "unsubscribed", "bounced"), "complained"),
}


def upgrade() -> None:
    op.create_table('api_tokens',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('digest', sa.String(length=64), nullable=False),
    sa.Column('hint', sa.String(length=16), nullable=False),
    sa.Column('name', sa.String(length=200), nullable=False),
    sa.Column('scopes', sa.JSON(), nullable=False),
    sa.Column('lists', sa.JSON(), nullable=False),
    sa.Column('all_lists', sa.Boolean(), nullable=False),
    sa.Column('created_by', sa.String(length=400), nullable=False),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.Column('expires_at', UtcDateTime(), nullable=True),
    sa.Column('last_used_at', UtcDateTime(), nullable=True),
    sa.Column('revoked_at', UtcDateTime(), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_api_tokens')),
    sa.UniqueConstraint('digest', name=op.f('uq_api_tokens_digest'))
    )
    op.create_table('audit_events',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('at', UtcDateTime(), nullable=False),
    sa.Column('actor', sa.String(length=400), nullable=False),
    sa.Column('action', sa.String(length=64), nullable=False),
    sa.Column('list_id', sa.Uuid(), nullable=True),
    sa.Column('subject', sa.Text(), nullable=True),
    sa.Column('details', sa.JSON(), nullable=False),
    sa.Column('network', sa.String(length=64), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_audit_events'))
    )
    op.create_index(op.f('ix_audit_events_list_id_id'), 'audit_events', ['list_id', 'id'])
    op.create_index(op.f('ix_audit_events_action_id'), 'audit_events', ['action', 'id'])

    op.create_table('journal',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('seq', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_journal'))
    )
    op.create_table('operators',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('address', sa.String(length=320), nullable=False),
    sa.Column('identity', sa.String(length=640), nullable=False),
    sa.Column('role', sa.String(length=16), nullable=False),
    sa.Column('all_lists', sa.Boolean(), nullable=False),
    sa.Column('password_hash', sa.String(length=200), nullable=True),
    sa.Column('invitation', sa.String(length=32), nullable=True),
    sa.Column('totp_secret', sa.String(length=64), nullable=True),
    sa.Column('totp_step', sa.BigInteger(), nullable=True),
    sa.Column('recovery_codes', sa.JSON(), nullable=False),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.Column('last_login_at', UtcDateTime(), nullable=True),
    sa.Column('disabled_at', UtcDateTime(), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_operators')),
    sa.UniqueConstraint('identity', name=op.f('uq_operators_identity'))
    )
    op.create_table('exports',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('list_id', sa.Uuid(), nullable=True),
    sa.Column('actor', sa.String(length=400), nullable=False),
    sa.Column('format', sa.String(length=16), nullable=False),
    sa.Column('filters', sa.JSON(), nullable=False),
    sa.Column('columns', sa.JSON(), nullable=False),
    sa.Column('started_at', UtcDateTime(), nullable=False),
    sa.Column('finished_at', UtcDateTime(), nullable=True),
    sa.Column('rows', sa.BigInteger(), nullable=True),
    sa.Column('bytes', sa.BigInteger(), nullable=True),
    sa.Column('sha256', sa.String(length=64), nullable=True),
    sa.ForeignKeyConstraint(['list_id'], ['mailing_lists.id'], name=op.f('fk_exports_list_id_mailing_lists')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_exports'))
    )
    op.create_index(op.f('ix_exports_list_id_id'), 'exports', ['list_id', 'id'])

    op.create_table('idempotency_keys',
    sa.Column('token_id', sa.Uuid(), nullable=False),
    sa.Column('key', sa.String(length=255), nullable=False),
    sa.Column('request', sa.String(length=64), nullable=False),
    sa.Column('status', sa.Integer(), nullable=False),
    sa.Column('body', sa.Text(), nullable=False),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.ForeignKeyConstraint(['token_id'], ['api_tokens.id'], name=op.f('fk_idempotency_keys_token_id_api_tokens'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('token_id', 'key', name=op.f('pk_idempotency_keys'))
    )
    op.create_index(op.f('ix_idempotency_keys_created_at'), 'idempotency_keys', ['created_at'])

    op.create_table('imports',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('list_id', sa.Uuid(), nullable=False),
    sa.Column('actor', sa.String(length=400), nullable=False),
    sa.Column('filename', sa.String(length=255), nullable=False),
    sa.Column('size', sa.BigInteger(), nullable=False),
    sa.Column('sha256', sa.String(length=64), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('options', sa.JSON(), nullable=False),
    sa.Column('report', sa.JSON(), nullable=False),
    sa.Column('rows_done', sa.BigInteger(), nullable=False),
    sa.Column('error', sa.Text(), nullable=True),
    sa.Column('cancel', sa.Boolean(), nullable=False),
    sa.Column('lease_id', sa.Uuid(), nullable=True),
    sa.Column('lease_until', UtcDateTime(), nullable=True),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.Column('finished_at', UtcDateTime(), nullable=True),
    sa.ForeignKeyConstraint(['list_id'], ['mailing_lists.id'], name=op.f('fk_imports_list_id_mailing_lists')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_imports'))
    )
    op.create_index(op.f('ix_imports_list_id_id'), 'imports', ['list_id', 'id'])
    op.create_index(op.f('ix_imports_state_lease_until'), 'imports', ['state', 'lease_until'])

    op.create_table('operator_lists',
    sa.Column('operator_id', sa.Uuid(), nullable=False),
    sa.Column('list_id', sa.Uuid(), nullable=False),
    sa.ForeignKeyConstraint(['list_id'], ['mailing_lists.id'], name=op.f('fk_operator_lists_list_id_mailing_lists'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['operator_id'], ['operators.id'], name=op.f('fk_operator_lists_operator_id_operators'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('operator_id', 'list_id', name=op.f('pk_operator_lists'))
    )
    op.create_table('operator_sessions',
    sa.Column('digest', sa.String(length=64), nullable=False),
    sa.Column('operator_id', sa.Uuid(), nullable=False),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.Column('seen_at', UtcDateTime(), nullable=False),
    sa.Column('expires_at', UtcDateTime(), nullable=False),
    sa.Column('network', sa.String(length=64), nullable=True),
    sa.Column('agent', sa.String(length=300), nullable=True),
    sa.ForeignKeyConstraint(['operator_id'], ['operators.id'], name=op.f('fk_operator_sessions_operator_id_operators'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('digest', name=op.f('pk_operator_sessions'))
    )
    op.create_index(op.f('ix_operator_sessions_expires_at'), 'operator_sessions', ['expires_at'])
    op.create_index(op.f('ix_operator_sessions_operator_id'), 'operator_sessions', ['operator_id'])

    op.create_table('tallies',
    sa.Column('list_id', sa.Uuid(), nullable=False),
    sa.Column('day', sa.String(length=10), nullable=False),
    sa.Column('kind', sa.String(length=16), nullable=False),
    sa.Column('before', sa.String(length=16), nullable=False),
    sa.Column('after', sa.String(length=16), nullable=False),
    sa.Column('number', sa.BigInteger(), nullable=False),
    sa.ForeignKeyConstraint(['list_id'], ['mailing_lists.id'], name=op.f('fk_tallies_list_id_mailing_lists')),
    sa.PrimaryKeyConstraint('list_id', 'day', 'kind', 'before', 'after', name=op.f('pk_tallies'))
    )
    op.create_table('webhooks',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('list_id', sa.Uuid(), nullable=False),
    sa.Column('url', sa.String(length=1000), nullable=False),
    sa.Column('secret', sa.String(length=100), nullable=False),
    sa.Column('old_secret', sa.String(length=100), nullable=True),
    sa.Column('old_secret_until', UtcDateTime(), nullable=True),
    sa.Column('events', sa.JSON(), nullable=False),
    sa.Column('created_by', sa.String(length=400), nullable=False),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.Column('failing_since', UtcDateTime(), nullable=True),
    sa.Column('disabled_at', UtcDateTime(), nullable=True),
    sa.Column('disabled_because', sa.String(length=200), nullable=True),
    sa.ForeignKeyConstraint(['list_id'], ['mailing_lists.id'], name=op.f('fk_webhooks_list_id_mailing_lists')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_webhooks'))
    )
    op.create_index(op.f('ix_webhooks_list_id'), 'webhooks', ['list_id'])

    op.create_table('import_chunks',
    sa.Column('import_id', sa.Uuid(), nullable=False),
    sa.Column('number', sa.Integer(), nullable=False),
    sa.Column('data', sa.LargeBinary(), nullable=False),
    sa.ForeignKeyConstraint(['import_id'], ['imports.id'], name=op.f('fk_import_chunks_import_id_imports'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('import_id', 'number', name=op.f('pk_import_chunks'))
    )
    op.create_table('import_refusals',
    sa.Column('import_id', sa.Uuid(), nullable=False),
    sa.Column('line', sa.BigInteger(), nullable=False),
    sa.Column('text', sa.String(length=400), nullable=False),
    sa.Column('reason', sa.String(length=400), nullable=False),
    sa.ForeignKeyConstraint(['import_id'], ['imports.id'], name=op.f('fk_import_refusals_import_id_imports'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('import_id', 'line', name=op.f('pk_import_refusals'))
    )
    op.create_table('webhook_deliveries',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('webhook_id', sa.Uuid(), nullable=False),
    sa.Column('message_id', sa.String(length=64), nullable=False),
    sa.Column('type', sa.String(length=32), nullable=False),
    sa.Column('seq', sa.BigInteger(), nullable=True),
    sa.Column('subscription_id', sa.Uuid(), nullable=True),
    sa.Column('state', sa.String(length=16), nullable=True),
    sa.Column('happened_at', UtcDateTime(), nullable=False),
    sa.Column('status', sa.String(length=16), nullable=False),
    sa.Column('attempts', sa.Integer(), nullable=False),
    sa.Column('next_attempt_at', UtcDateTime(), nullable=False),
    sa.Column('lease_id', sa.Uuid(), nullable=True),
    sa.Column('answer', sa.Integer(), nullable=True),
    sa.Column('last_error', sa.Text(), nullable=True),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.Column('delivered_at', UtcDateTime(), nullable=True),
    sa.ForeignKeyConstraint(['webhook_id'], ['webhooks.id'], name=op.f('fk_webhook_deliveries_webhook_id_webhooks'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_webhook_deliveries'))
    )
    op.create_index('ix_webhook_deliveries_due', 'webhook_deliveries', ['webhook_id', 'next_attempt_at', 'id'], postgresql_where=sa.text("status IN ('queued', 'inflight', 'awaiting_retry')"), sqlite_where=sa.text("status IN ('queued', 'inflight', 'awaiting_retry')"))
    op.create_index(op.f('ix_webhook_deliveries_webhook_id_id'), 'webhook_deliveries', ['webhook_id', 'id'])

    op.create_index(op.f('ix_subscriptions_list_id_source_state_id'), 'subscriptions', ['list_id', 'source', 'state', 'id'])
    op.create_index("ix_outbox_failed", "outbox", ["id"], postgresql_where=sa.text("status = 'failed'"), sqlite_where=sa.text("status = 'failed'"))
    _make_the_journal()
    _make_the_search()
    _make_the_audit_log_append_only()


def _make_the_journal() -> None:
    """What there is already is numbered as it was stored."""
    for column in (
        sa.Column("list_id", sa.Uuid(), nullable=True),
        sa.Column("before", sa.String(length=16), nullable=True),
        sa.Column("after", sa.String(length=16), nullable=True),
        sa.Column("seq", sa.BigInteger(), nullable=True),
    ):
        op.add_column("consent_events", column)
    connection = op.get_bind()
    connection.execute(sa.text(
        "UPDATE consent_events SET seq = id, "
        "list_id = (SELECT s.list_id FROM subscriptions s WHERE s.id = consent_events.subscription_id)"
    ))
    _remember_states(connection)
    connection.execute(sa.text(
        "INSERT INTO journal (id, seq) SELECT 1, coalesce(max(seq), 0) FROM consent_events"
    ))
    day = "substr(at, 1, 10)" if _on_sqlite() else "to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD')"
    connection.execute(sa.text(
        f"INSERT INTO tallies (list_id, day, kind, before, after, number) "
        f"SELECT list_id, {day}, kind, coalesce(before, ''), coalesce(after, ''), count(*) FROM consent_events "
        f"GROUP BY list_id, {day}, kind, coalesce(before, ''), coalesce(after, '')"
    ))
    with op.batch_alter_table("consent_events") as batch:
        batch.alter_column("list_id", existing_type=sa.Uuid(), nullable=False)
        batch.drop_constraint("fk_consent_events_subscription_id_subscriptions", type_="foreignkey")
        batch.create_foreign_key("fk_consent_events_list_id_mailing_lists", "mailing_lists", ["list_id"], ["id"])
    op.create_index("ix_consent_events_fresh", "consent_events", ["id"], postgresql_where=sa.text("seq IS NULL"), sqlite_where=sa.text("seq IS NULL"))
    op.create_index("ix_consent_events_list_id_seq", "consent_events", ["list_id", "seq"])


def _remember_states(connection: sa.Connection) -> None:
    rows = connection.execute(sa.text("SELECT id, subscription_id, kind FROM consent_events ORDER BY subscription_id, id"))
    update = sa.text("UPDATE consent_events SET before = :before, after = :after WHERE id = :id")
    whose, state = None, None
    for part in rows.partitions(_BATCH):
        states = []
        for identifier, subscription, kind in part:
            before = state if subscription == whose else None
            state = _AFTER[kind].get(before, before)
            whose = subscription
            states.append({"id": identifier, "before": before, "after": state})
        connection.execute(update, states)


def _make_the_search() -> None:
    """What is searched of a subscriber, and an index of its trigrams on each database."""
    op.add_column("subscribers", sa.Column("search", sa.String(length=1600), nullable=True))
    connection = op.get_bind()
    subscribers = sa.table("subscribers", sa.column("id", sa.Uuid()), sa.column("address"), sa.column("name"), sa.column("search"))
    update = sa.update(subscribers).where(subscribers.c.id == sa.bindparam("those")).values(search=sa.bindparam("text"))
    rows = connection.execute(sa.select(subscribers.c.id, subscribers.c.address, subscribers.c.name))
    for part in rows.partitions(_BATCH):
        connection.execute(update, [{"those": identifier, "text": _folded(address, name)} for identifier, address, name in part])
    with op.batch_alter_table("subscribers") as batch:
        batch.alter_column("search", existing_type=sa.String(length=1600), nullable=False)
    if not _on_sqlite():
        # It comes with PostgreSQL (on Debian in the same package), and an owner of the database may switch it on.
        op.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
        op.execute("CREATE INDEX ix_subscribers_search ON subscribers USING gin (search gin_trgm_ops)")
        return
    # The index knows rows by number, and a row's own number changes when the file is vacuumed.
    for statement in (
        "CREATE TABLE subscriber_numbers (number INTEGER PRIMARY KEY, subscriber_id CHAR(32) NOT NULL UNIQUE)",
        "CREATE VIRTUAL TABLE subscribers_search USING fts5(search, tokenize='trigram case_sensitive 1')",
        "INSERT INTO subscriber_numbers (subscriber_id) SELECT id FROM subscribers ORDER BY id",
        "INSERT INTO subscribers_search (rowid, search) "
        "SELECT n.number, s.search FROM subscriber_numbers n JOIN subscribers s ON s.id = n.subscriber_id",
        "CREATE TRIGGER subscribers_search_added AFTER INSERT ON subscribers BEGIN "
        "INSERT INTO subscriber_numbers (subscriber_id) VALUES (new.id); "
        "INSERT INTO subscribers_search (rowid, search) "
        "SELECT number, new.search FROM subscriber_numbers WHERE subscriber_id = new.id; END",
        "CREATE TRIGGER subscribers_search_changed AFTER UPDATE OF search ON subscribers "
        "WHEN new.search <> old.search BEGIN "
        "UPDATE subscribers_search SET search = new.search "
        "WHERE rowid = (SELECT number FROM subscriber_numbers WHERE subscriber_id = new.id); END",
        "CREATE TRIGGER subscribers_search_removed AFTER DELETE ON subscribers BEGIN "
        "DELETE FROM subscribers_search "
        "WHERE rowid = (SELECT number FROM subscriber_numbers WHERE subscriber_id = old.id); "
        "DELETE FROM subscriber_numbers WHERE subscriber_id = old.id; END",
    ):
        op.execute(statement)


def _folded(address: str, name: str | None) -> str:
    text = f"{address} {name}" if name else address
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def _make_the_audit_log_append_only() -> None:
    if _on_sqlite():
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER audit_events_no_{verb.lower()} BEFORE {verb} ON audit_events BEGIN "
                "SELECT RAISE(ABORT, 'the audit log is append-only'); END"
            )
        return
    op.execute(
        "CREATE FUNCTION audit_events_are_kept() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$"
    )
    op.execute(
        "CREATE TRIGGER audit_events_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_events "
        "FOR EACH STATEMENT EXECUTE FUNCTION audit_events_are_kept()"
    )


def _on_sqlite() -> bool:
    return op.get_bind().dialect.name == "sqlite"


def downgrade() -> None:
    if _on_sqlite():
        for trigger in ("added", "changed", "removed"):
            op.execute(f"DROP TRIGGER subscribers_search_{trigger}")
        op.execute("DROP TABLE subscribers_search")
        op.execute("DROP TABLE subscriber_numbers")
    else:
        op.drop_index("ix_subscribers_search", "subscribers")
    with op.batch_alter_table("subscribers") as batch:
        batch.drop_column("search")
    # What was forgotten, and what this version cannot say, goes.
    op.execute("DELETE FROM consent_events WHERE kind IN ('import', 'edit', 'forget')")
    op.drop_index("ix_consent_events_list_id_seq", "consent_events")
    op.drop_index("ix_consent_events_fresh", "consent_events")
    with op.batch_alter_table("consent_events") as batch:
        batch.drop_constraint("fk_consent_events_list_id_mailing_lists", type_="foreignkey")
        batch.create_foreign_key(
            "fk_consent_events_subscription_id_subscriptions", "subscriptions", ["subscription_id"], ["id"], ondelete="CASCADE"
        )
        for column in ("seq", "after", "before", "list_id"):
            batch.drop_column(column)
    op.drop_index("ix_outbox_failed", "outbox")
    op.drop_index("ix_subscriptions_list_id_source_state_id", "subscriptions")
    for table in _NEW_TABLES:
        op.drop_table(table)
    if not _on_sqlite():
        op.execute("DROP FUNCTION audit_events_are_kept()")

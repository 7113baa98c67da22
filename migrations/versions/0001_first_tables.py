"""First tables

Revision: 0001, the first.
"""

import sqlalchemy as sa
from alembic import op
from newsletter.database import UtcDateTime
revision = '0001'
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('mailing_lists',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('slug', sa.String(length=64), nullable=False),
    sa.Column('name', sa.String(length=200), nullable=False),
    sa.Column('headline', sa.String(length=200), nullable=True),
    sa.Column('invitation', sa.String(length=200), nullable=True),
    sa.Column('sender', sa.String(length=320), nullable=True),
    sa.Column('sites', sa.JSON(), nullable=False),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_mailing_lists')),
    sa.UniqueConstraint('slug', name=op.f('uq_mailing_lists_slug'))
    )
    op.create_table('subscribers',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('address', sa.String(length=320), nullable=False),
    sa.Column('identity', sa.String(length=640), nullable=False),
    sa.Column('name', sa.String(length=200), nullable=True),
    sa.Column('locale', sa.String(length=35), nullable=False),
    sa.Column('attributes', sa.JSON(), nullable=False),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_subscribers')),
    sa.UniqueConstraint('identity', name=op.f('uq_subscribers_identity'))
    )
    op.create_table('suppressions',
    sa.Column('digest', sa.String(length=64), nullable=False),
    sa.Column('reason', sa.String(length=32), nullable=False),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.PrimaryKeyConstraint('digest', name=op.f('pk_suppressions'))
    )
    op.create_table('wordings',
    sa.Column('digest', sa.String(length=64), nullable=False),
    sa.Column('text', sa.Text(), nullable=False),
    sa.PrimaryKeyConstraint('digest', name=op.f('pk_wordings'))
    )
    op.create_table('subscriptions',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('subscriber_id', sa.Uuid(), nullable=False),
    sa.Column('list_id', sa.Uuid(), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('generation', sa.Integer(), nullable=False),
    sa.Column('source', sa.String(length=32), nullable=False),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.Column('asked_at', UtcDateTime(), nullable=False),
    sa.Column('confirmed_at', UtcDateTime(), nullable=True),
    sa.Column('unsubscribed_at', UtcDateTime(), nullable=True),
    sa.ForeignKeyConstraint(['list_id'], ['mailing_lists.id'], name=op.f('fk_subscriptions_list_id_mailing_lists')),
    sa.ForeignKeyConstraint(['subscriber_id'], ['subscribers.id'], name=op.f('fk_subscriptions_subscriber_id_subscribers'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_subscriptions')),
    sa.UniqueConstraint('subscriber_id', 'list_id', name=op.f('uq_subscriptions_subscriber_id_list_id'))
    )
    op.create_index(op.f('ix_subscriptions_list_id_state_id'), 'subscriptions', ['list_id', 'state', 'id'], unique=False)
    op.create_index('ix_subscriptions_pending', 'subscriptions', ['asked_at'], unique=False, postgresql_where=sa.text("state = 'pending'"), sqlite_where=sa.text("state = 'pending'"))

    op.create_table('consent_events',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('subscription_id', sa.Uuid(), nullable=False),
    sa.Column('kind', sa.String(length=16), nullable=False),
    sa.Column('at', UtcDateTime(), nullable=False),
    sa.Column('way', sa.String(length=16), nullable=False),
    sa.Column('wording', sa.String(length=64), nullable=True),
    sa.Column('page', sa.String(length=500), nullable=True),
    sa.Column('network', sa.String(length=64), nullable=True),
    sa.Column('agent', sa.String(length=300), nullable=True),
    sa.Column('message_id', sa.String(length=320), nullable=True),
    sa.ForeignKeyConstraint(['subscription_id'], ['subscriptions.id'], name=op.f('fk_consent_events_subscription_id_subscriptions'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['wording'], ['wordings.digest'], name=op.f('fk_consent_events_wording_wordings')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_consent_events'))
    )
    op.create_index(op.f('ix_consent_events_subscription_id'), 'consent_events', ['subscription_id'], unique=False)

    op.create_table('outbox',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('subscription_id', sa.Uuid(), nullable=False),
    sa.Column('kind', sa.String(length=32), nullable=False),
    sa.Column('status', sa.String(length=16), nullable=False),
    sa.Column('attempts', sa.Integer(), nullable=False),
    sa.Column('next_attempt_at', UtcDateTime(), nullable=False),
    sa.Column('lease_id', sa.Uuid(), nullable=True),
    sa.Column('message_id', sa.String(length=320), nullable=False),
    sa.Column('idempotency_key', sa.String(length=128), nullable=False),
    sa.Column('last_error', sa.Text(), nullable=True),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.Column('sent_at', UtcDateTime(), nullable=True),
    sa.ForeignKeyConstraint(['subscription_id'], ['subscriptions.id'], name=op.f('fk_outbox_subscription_id_subscriptions'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_outbox')),
    sa.UniqueConstraint('idempotency_key', name=op.f('uq_outbox_idempotency_key'))
    )
    op.create_index('ix_outbox_due', 'outbox', ['next_attempt_at'], unique=False, postgresql_where=sa.text("status IN ('queued', 'inflight', 'awaiting_retry')"), sqlite_where=sa.text("status IN ('queued', 'inflight', 'awaiting_retry')"))
    op.create_index(op.f('ix_outbox_subscription_id_created_at'), 'outbox', ['subscription_id', 'created_at'], unique=False)

    op.create_table(
        "request_counts",
        sa.Column("key", sa.String(length=96), nullable=False),
        sa.Column("starts_at", UtcDateTime(), nullable=False),
        sa.Column("hits", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("key", "starts_at", name=op.f("pk_request_counts")),
    )


def downgrade() -> None:
    for table in ("request_counts", "outbox", "consent_events", "subscriptions", "wordings", "suppressions", "subscribers", "mailing_lists"):
        op.drop_table(table)

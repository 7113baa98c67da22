"""Which mail goes first: the lanes of the outbox

Revision: 0008, after 0007.
"""

import sqlalchemy as sa
from alembic import op
revision = '0008'
down_revision = '0007'
branch_labels = None
depends_on = None

_IS_OPEN = sa.text("status IN ('queued', 'inflight', 'awaiting_retry')")


def upgrade() -> None:
    # With a default: processes of the version before may still write while this runs.
    op.add_column('outbox', sa.Column('lane', sa.SmallInteger(), server_default=sa.text('1'), nullable=False))
    # What was sent waits in no lane any more.
    op.execute("""
        UPDATE outbox SET lane = CASE WHEN kind IN ('welcome', 'address_notice') THEN 2 ELSE 3 END
        WHERE status NOT IN ('sent', 'cancelled')
        AND (kind IN ('welcome', 'address_notice', 'reminder') OR idempotency_key LIKE 'import:%')
    """)
    op.create_index('ix_outbox_lane', 'outbox', ['lane', 'next_attempt_at'], postgresql_where=_IS_OPEN, sqlite_where=_IS_OPEN)
    op.drop_index('ix_outbox_due', 'outbox')


def downgrade() -> None:
    # How the version before knows that a reader asked for what an import put off.
    op.execute("""
        UPDATE outbox SET idempotency_key = 'wanted ' || idempotency_key
        WHERE lane = 1 AND status NOT IN ('sent', 'cancelled') AND idempotency_key LIKE 'import:%'
    """)
    op.create_index('ix_outbox_due', 'outbox', ['next_attempt_at'], postgresql_where=_IS_OPEN, sqlite_where=_IS_OPEN)
    op.drop_index('ix_outbox_lane', 'outbox')
    op.drop_column('outbox', 'lane')

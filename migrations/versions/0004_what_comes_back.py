"""What comes back of our mail, and alarms

Revision: 0004, after 0003.
"""

import sqlalchemy as sa
from alembic import op
from newsletter.database import UtcDateTime
revision = '0004'
down_revision = '0003'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('mail_returns',
    sa.Column('key', sa.String(length=64), nullable=False),
    sa.Column('subscriber_id', sa.Uuid(), nullable=False),
    sa.Column('outbox_id', sa.Uuid(), nullable=True),
    sa.Column('kind', sa.String(length=16), nullable=False),
    sa.Column('verdict', sa.String(length=16), nullable=True),
    sa.Column('status', sa.String(length=16), nullable=True),
    sa.Column('way', sa.String(length=16), nullable=False),
    sa.Column('at', UtcDateTime(), nullable=False),
    sa.ForeignKeyConstraint(['subscriber_id'], ['subscribers.id'], name=op.f('fk_mail_returns_subscriber_id_subscribers'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('key', name=op.f('pk_mail_returns'))
    )
    op.create_index(op.f('ix_mail_returns_subscriber_id_verdict_at'), 'mail_returns', ['subscriber_id', 'verdict', 'at'])
    op.add_column('outbox', sa.Column('sent_to', sa.String(length=64), nullable=True))
    op.create_table('alarms',
    sa.Column('kind', sa.String(length=32), nullable=False),
    sa.Column('since', UtcDateTime(), nullable=False),
    sa.Column('last_at', UtcDateTime(), nullable=False),
    sa.Column('number', sa.Integer(), nullable=False),
    sa.Column('detail', sa.String(length=300), nullable=False),
    sa.PrimaryKeyConstraint('kind', name=op.f('pk_alarms'))
    )


def downgrade() -> None:
    op.drop_table('alarms')
    with op.batch_alter_table('outbox') as batch:
        batch.drop_column('sent_to')
    op.drop_table('mail_returns')

"""What subscribers decide themselves: pauses, and changes of address

Revision: 0007, after 0006.
"""

import sqlite3

import sqlalchemy as sa
from alembic import op
from newsletter.database import UtcDateTime
revision = '0007'
down_revision = '0006'
branch_labels = None
depends_on = None

_WIPES_ITS_INDEX = (3, 42)  # of SQLite: what is removed from a search index is overwritten, if it is told so


def upgrade() -> None:
    op.add_column('subscribers', sa.Column('generation', sa.Integer(), server_default='1', nullable=False))
    op.add_column('subscriptions', sa.Column('paused_until', UtcDateTime(), nullable=True))
    op.create_table('address_changes',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('subscriber_id', sa.Uuid(), nullable=False),
    sa.Column('old_address', sa.String(length=320), nullable=False),
    sa.Column('old_identity', sa.String(length=640), nullable=False),
    sa.Column('new_address', sa.String(length=320), nullable=False),
    sa.Column('new_identity', sa.String(length=640), nullable=False),
    sa.Column('generation', sa.Integer(), nullable=False),
    sa.Column('requested_at', UtcDateTime(), nullable=False),
    sa.Column('made_at', UtcDateTime(), nullable=True),
    sa.Column('stopped_at', UtcDateTime(), nullable=True),
    sa.ForeignKeyConstraint(['subscriber_id'], ['subscribers.id'], name=op.f('fk_address_changes_subscriber_id_subscribers'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_address_changes'))
    )
    op.create_index(op.f('ix_address_changes_subscriber_id'), 'address_changes', ['subscriber_id'])
    op.create_index(op.f('ix_address_changes_new_identity'), 'address_changes', ['new_identity'])
    with op.batch_alter_table('outbox') as batch:
        batch.add_column(sa.Column('change_id', sa.Uuid(), nullable=True))
        batch.create_foreign_key('fk_outbox_change_id_address_changes', 'address_changes', ['change_id'], ['id'], ondelete='SET NULL')
    op.create_index('ix_outbox_change', 'outbox', ['change_id'], postgresql_where=sa.text('change_id IS NOT NULL'), sqlite_where=sa.text('change_id IS NOT NULL'))
    if _on_sqlite() and sqlite3.sqlite_version_info >= _WIPES_ITS_INDEX:
        op.execute("INSERT INTO subscribers_search (subscribers_search, rank) VALUES ('secure-delete', 1)")


def _on_sqlite() -> bool:
    return op.get_bind().dialect.name == "sqlite"


def downgrade() -> None:
    # Mails that this version cannot write.
    op.execute("DELETE FROM outbox WHERE kind IN ('address_change', 'address_notice')")
    op.drop_index('ix_outbox_change', 'outbox')
    with op.batch_alter_table('outbox') as batch:
        batch.drop_constraint('fk_outbox_change_id_address_changes', type_='foreignkey')
        batch.drop_column('change_id')
    op.drop_table('address_changes')
    # Not in a batch: a table that is made anew loses its triggers.
    op.drop_column('subscriptions', 'paused_until')
    op.drop_column('subscribers', 'generation')

"""The ledger that shows whether a consent event was changed, removed or slipped in

Revision: 0006, after 0005. What was numbered before is chained by the worker, in batches.
"""

import sqlalchemy as sa
from alembic import op

revision = '0006'
down_revision = '0005'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('ledger_pages',
    sa.Column('list_id', sa.Uuid(), nullable=False),
    sa.Column('seq', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('entries', sa.BigInteger(), nullable=False),
    sa.Column('lines', sa.LargeBinary(), nullable=False),
    sa.Column('salts', sa.LargeBinary(), nullable=False),
    sa.Column('link', sa.LargeBinary(), nullable=False),
    sa.ForeignKeyConstraint(['list_id'], ['mailing_lists.id'], name=op.f('fk_ledger_pages_list_id_mailing_lists')),
    sa.PrimaryKeyConstraint('list_id', 'seq', name=op.f('pk_ledger_pages'))
    )
    op.create_table('ledger_heads',
    sa.Column('list_id', sa.Uuid(), nullable=False),
    sa.Column('seq', sa.BigInteger(), nullable=False),
    sa.Column('entries', sa.BigInteger(), nullable=False),
    sa.Column('link', sa.LargeBinary(), nullable=False),
    sa.Column('seal', sa.LargeBinary(), nullable=False),
    sa.ForeignKeyConstraint(['list_id'], ['mailing_lists.id'], name=op.f('fk_ledger_heads_list_id_mailing_lists')),
    sa.PrimaryKeyConstraint('list_id', name=op.f('pk_ledger_heads'))
    )
    op.add_column('journal', sa.Column('chained', sa.BigInteger(), nullable=True))
    op.execute('UPDATE journal SET chained = 0')
    with op.batch_alter_table('journal') as batch:
        batch.alter_column('chained', existing_type=sa.BigInteger(), nullable=False)


def downgrade() -> None:
    with op.batch_alter_table('journal') as batch:
        batch.drop_column('chained')
    op.drop_table('ledger_heads')
    op.drop_table('ledger_pages')

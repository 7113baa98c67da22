"""Refused rows are kept whole, so that they can be corrected

Revision: 0011, after 0010.
"""

import sqlalchemy as sa
from alembic import op
revision = '0011'
down_revision = '0010'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('import_refusals', sa.Column('record', sa.Text(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table('import_refusals') as batch:
        batch.drop_column('record')

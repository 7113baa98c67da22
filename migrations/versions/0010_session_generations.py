"""Sessions of operators end when what they may do, or how they log in, is changed

Revision: 0010, after 0009. Who has a second factor logs in once more: what was opened before it was switched on
cannot be told from what was opened since.
"""

import sqlalchemy as sa
from alembic import op
revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("operators", sa.Column("generation", sa.Integer(), nullable=False, server_default="1"))
    op.add_column("operators", sa.Column("ended_because", sa.String(length=32), nullable=True))
    op.add_column("operator_sessions", sa.Column("generation", sa.Integer(), nullable=False, server_default="1"))
    op.execute("UPDATE operators SET generation = 2, ended_because = 'second_factor_on' WHERE totp_secret IS NOT NULL")


def downgrade() -> None:
    # Those that have ended would count again.
    op.execute("DELETE FROM operator_sessions")
    with op.batch_alter_table("operator_sessions") as batch:
        batch.drop_column("generation")
    with op.batch_alter_table("operators") as batch:
        batch.drop_column("ended_because")
        batch.drop_column("generation")

"""Reminders and welcome mails of lists; what mail scanners do

Revision: 0005, after 0004.
"""

import sqlalchemy as sa
from alembic import op
revision = "0005"
down_revision = '0004'
branch_labels = None
depends_on = None

_IS_NOT_REMINDED = sa.text("state = 'pending' AND reminded < generation")


def upgrade() -> None:
    op.add_column("mailing_lists", sa.Column("reminder_after_hours", sa.Integer(), nullable=True))
    op.add_column("mailing_lists", sa.Column("welcome", sa.Text(), nullable=True))
    # The default stays: a sign-up need not name the column. Adding it so rewrites no row on either database.
    op.add_column("subscriptions", sa.Column("reminded", sa.Integer(), nullable=False, server_default="0"))
    op.create_index(
        "ix_subscriptions_not_reminded",
        "subscriptions",
        ["list_id", "asked_at", "id"],
        postgresql_where=_IS_NOT_REMINDED,
        sqlite_where=_IS_NOT_REMINDED,
    )
    op.create_table(
        "scans",
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("door", sa.String(length=16), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("delay", sa.String(length=16), nullable=False),
        sa.Column("effect", sa.String(length=16), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("day", "door", "kind", "delay", "effect", name=op.f("pk_scans")),
    )


def downgrade() -> None:
    # What the version before cannot write.
    op.execute("DELETE FROM outbox WHERE kind IN ('reminder', 'welcome')")
    op.drop_table("scans")
    op.drop_index("ix_subscriptions_not_reminded", table_name="subscriptions")
    with op.batch_alter_table("subscriptions") as batch:
        batch.drop_column("reminded")
    with op.batch_alter_table("mailing_lists") as batch:
        batch.drop_column("welcome")
        batch.drop_column("reminder_after_hours")

"""Embeds and limits: languages and return addresses of lists, the site in the evidence, counts that expire

Revision: 0002, after 0001.
"""

import sqlalchemy as sa
from alembic import op
from newsletter.database import UtcDateTime
revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("mailing_lists", sa.Column("return_urls", sa.JSON(), nullable=False, server_default="[]"))
    op.add_column("mailing_lists", sa.Column("locale", sa.String(length=35), nullable=True))
    with op.batch_alter_table("mailing_lists") as batch:
        batch.alter_column("return_urls", server_default=None)
    op.add_column("consent_events", sa.Column("origin", sa.String(length=300), nullable=True))
    op.drop_table("request_counts")
    op.create_table(
        "limit_counts",
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("hits", sa.Integer(), nullable=False),
        sa.Column("starts_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_limit_counts")),
    )
    op.create_index(op.f("ix_limit_counts_expires_at"), "limit_counts", ["expires_at"])


def downgrade() -> None:
    op.drop_table("limit_counts")
    op.create_table(
        "request_counts",
        sa.Column("key", sa.String(length=96), nullable=False),
        sa.Column("starts_at", UtcDateTime(), nullable=False),
        sa.Column("hits", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("key", "starts_at", name=op.f("pk_request_counts")),
    )
    with op.batch_alter_table("consent_events") as batch:
        batch.drop_column("origin")
    with op.batch_alter_table("mailing_lists") as batch:
        batch.drop_column("locale")
        batch.drop_column("return_urls")

"""On SQLite, every column holds what its type says

Revision: 0009, after 0008. The checks are made from the types of all columns, and made again after each run of
migrations: see newsletter/sqlite_types.py.
"""

from alembic import op
from newsletter.sqlite_types import drop_types, enforce_types
revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        enforce_types(op.get_bind())


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        drop_types(op.get_bind())

"""Pure rules: no Flask, no SQLAlchemy, no clock of their own."""

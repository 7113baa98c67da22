"""Real parts for tests: a PostgreSQL server, an SMTP server, the service itself."""

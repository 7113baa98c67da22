"""The same limit on sign-ups, kept in Redis where the settings name one."""

from __future__ import annotations

from datetime import UTC, datetime

import structlog
from limits.errors import StorageError
from limits.storage import Storage, storage_from_string

from newsletter.services.guard import TooOften, hit
from newsletter.settings import Settings

log = structlog.get_logger()


class RedisLimit:
    """Counts sign-ups by network in Redis; allows everything where there is no Redis in the settings."""

    def __init__(self, settings: Settings) -> None:
        self._limit = settings.signup_limit
        self._storage: Storage | None = None
        if settings.redis_url is not None and self._limit is not None:
            storage = storage_from_string(settings.redis_url, wrap_exceptions=True, socket_timeout=2)
            assert isinstance(storage, Storage)
            self._storage = storage

    def exceeded(self, network: str | None) -> TooOften | None:
        """Count one sign-up. A Redis that does not answer lets it pass: no sign-up is lost to a limit."""
        if self._storage is None or self._limit is None:
            return None
        try:
            return hit(self._storage, self._limit, network, datetime.now(UTC))
        except StorageError as error:
            log.error("redis_away", error=str(error.storage_error))
            return None

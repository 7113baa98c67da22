"""The same limit on sign-ups, kept in Redis where the settings name one."""

from __future__ import annotations

import time

import structlog
from limits import RateLimitItem, RateLimitItemPerSecond
from limits.errors import StorageError
from limits.storage import storage_from_string
from limits.strategies import FixedWindowRateLimiter

from newsletter.services.limit import TooOften, sign_up_key
from newsletter.settings import Settings

log = structlog.get_logger()


class RedisLimit:
    """Counts sign-ups by network in Redis; allows everything where there is no Redis in the settings."""

    def __init__(self, settings: Settings) -> None:
        self._limiter: FixedWindowRateLimiter | None = None
        if settings.redis_url is not None and settings.signup_limit is not None:
            storage = storage_from_string(settings.redis_url, wrap_exceptions=True, socket_timeout=2)
            self._limiter = FixedWindowRateLimiter(storage)
            limit = settings.signup_limit
            self._item: RateLimitItem = RateLimitItemPerSecond(
                limit.amount, limit.seconds, namespace="newsletter"
            )

    def exceeded(self, network: str | None) -> TooOften | None:
        """Count one sign-up. A Redis that does not answer lets it pass: no sign-up is lost to a limit."""
        if self._limiter is None:
            return None
        key = sign_up_key(network)
        try:
            if self._limiter.hit(self._item, key):
                return None
            reset = self._limiter.get_window_stats(self._item, key).reset_time
        except StorageError as error:
            log.error("redis_away", error=str(error.storage_error))
            return None
        return TooOften(max(1, round(reset - time.time())))

"""Where the guard's counts are: in Redis where the settings name one, else in the database."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TypeVar, cast

import structlog
from flask import current_app
from limits.errors import StorageError
from limits.storage import Storage, storage_from_string
from redis.backoff import NoBackoff
from redis.retry import Retry

from newsletter.extensions import db
from newsletter.services import api_use, lists
from newsletter.services.api_use import Allowance, Use
from newsletter.services.counting import DatabaseStorage
from newsletter.services.guard import Guard, Surge
from newsletter.services.sign_ups import SignUp, attempt
from newsletter.services.tokens import TokenView, wants_touch
from newsletter.settings import Settings
from newsletter.web.writer import let_go, writer

_PATIENCE = 2.0  # seconds that Redis has for an answer
_AWAY = 5.0  # seconds that a Redis which did not answer is not asked

Found = TypeVar("Found")

log = structlog.get_logger()


class Limits:
    """Judges sign-ups and calls of the API by counts in Redis, where there is one, and knows how high a surge
    is."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._storage: Storage | None = None
        self._away_until = float("-inf")
        if settings.redis_url is not None:
            storage = storage_from_string(
                settings.redis_url,
                wrap_exceptions=True,
                socket_timeout=_PATIENCE,
                socket_connect_timeout=_PATIENCE,
                retry=Retry(NoBackoff(), 0),  # type: ignore[arg-type]
            )
            assert isinstance(storage, Storage)
            self._storage = storage

    def judged(self, sign_up: SignUp) -> SignUp:
        """The sign-up with its verdict. Without Redis, or while it does not answer, it is judged by the
        counts in the database."""
        if not self._asks_redis or self._settings.signup_limit is None:
            return sign_up
        mailing_list = lists.find(db.session(), sign_up.slug)
        if mailing_list is None:
            return sign_up
        tried, now = attempt(self._settings, sign_up, mailing_list), datetime.now(UTC)
        verdict = self._in_redis(lambda storage: Guard(self._settings, storage, now).judge(tried))
        return replace(sign_up, verdict=verdict)

    def surge(self) -> Surge | None:
        """How high a surge is now; None where limits are off."""
        now = datetime.now(UTC)
        if self._settings.signup_limit is None:
            return None
        surge = self._in_redis(lambda storage: Guard(self._settings, storage, now).surge())
        if surge is not None:
            return surge
        counts = DatabaseStorage(db.session(), now)
        guard = Guard(self._settings, counts, now)
        counts.load(guard.surge_keys())
        return guard.surge()

    def use(self, token: TokenView) -> Allowance:
        """Count one call with an API token, and note that it is in use."""
        now, limit = datetime.now(UTC), self._settings.api_limit
        use = Use(token.id, touch=wants_touch(token, now))
        allowance = self._in_redis(lambda storage: api_use.count_in(storage, limit, now, token.id))
        if allowance is not None:
            if use.touch:
                writer().run(api_use.note, use)
            return allowance
        so_far = api_use.look(db.session(), limit, now, token.id)
        return so_far if so_far.over else writer().run(api_use.count, use)

    @property
    def _asks_redis(self) -> bool:
        return self._storage is not None and time.monotonic() >= self._away_until

    def _in_redis(self, look: Callable[[Storage], Found]) -> Found | None:
        """What is found in Redis; None where there is none, or it does not answer. Then nobody else waits for
        it for a while, and after that one finds out whether it is back."""
        if self._storage is None or not self._asks_redis:
            return None
        if self._away_until > 0:
            self._away_until = time.monotonic() + _AWAY
        let_go()
        try:
            found = look(self._storage)
        except StorageError as error:
            self._away_until = time.monotonic() + _AWAY
            log.error("redis_away", error=str(error.storage_error))
            return None
        self._away_until = float("-inf")
        return found


def limits() -> Limits:
    """Those of this process."""
    return cast("Limits", current_app.extensions["newsletter.limits"])

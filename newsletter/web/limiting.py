"""Where the guard's counts are: in Redis where the settings name one, else in the database."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import cast

import structlog
from flask import current_app
from limits.errors import StorageError
from limits.storage import Storage, storage_from_string

from newsletter.extensions import db
from newsletter.services import api_use, lists
from newsletter.services.api_use import Allowance, Use
from newsletter.services.counting import DatabaseStorage
from newsletter.services.guard import Guard, Surge
from newsletter.services.sign_ups import SignUp, attempt
from newsletter.services.tokens import TokenView, wants_touch
from newsletter.settings import Settings
from newsletter.web.writer import writer

_PATIENCE = 2.0  # seconds that Redis has for an answer

log = structlog.get_logger()


class Limits:
    """Judges sign-ups and calls of the API by counts in Redis, where there is one, and knows how high a surge
    is."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._storage: Storage | None = None
        if settings.redis_url is not None:
            storage = storage_from_string(settings.redis_url, wrap_exceptions=True, socket_timeout=_PATIENCE)
            assert isinstance(storage, Storage)
            self._storage = storage

    def judged(self, sign_up: SignUp) -> SignUp:
        """The sign-up with its verdict. Without Redis, or while it does not answer, it is judged by the
        counts in the database."""
        if self._storage is None or self._settings.signup_limit is None:
            return sign_up
        mailing_list = lists.find(db.session(), sign_up.slug)
        if mailing_list is None:
            return sign_up
        try:
            guard = Guard(self._settings, self._storage, datetime.now(UTC))
            return replace(sign_up, verdict=guard.judge(attempt(self._settings, sign_up, mailing_list)))
        except StorageError as error:
            log.error("redis_away", error=str(error.storage_error))
            return sign_up

    def surge(self) -> Surge | None:
        """How high a surge is now; None where limits are off."""
        now = datetime.now(UTC)
        if self._settings.signup_limit is None:
            return None
        if self._storage is not None:
            try:
                return Guard(self._settings, self._storage, now).surge()
            except StorageError as error:
                log.error("redis_away", error=str(error.storage_error))
        counts = DatabaseStorage(db.session(), now)
        guard = Guard(self._settings, counts, now)
        counts.load(guard.surge_keys())
        return guard.surge()

    def use(self, token: TokenView) -> Allowance:
        """Count one call with an API token, and note that it is in use."""
        now, limit = datetime.now(UTC), self._settings.api_limit
        use = Use(token.id, touch=wants_touch(token, now))
        if self._storage is not None:
            try:
                allowance = api_use.count_in(self._storage, limit, now, token.id)
            except StorageError as error:
                log.error("redis_away", error=str(error.storage_error))
            else:
                if use.touch:
                    writer().run(api_use.note, use)
                return allowance
        so_far = api_use.look(db.session(), limit, now, token.id)
        return so_far if so_far.over else writer().run(api_use.count, use)


def limits() -> Limits:
    """Those of this process."""
    return cast("Limits", current_app.extensions["newsletter.limits"])

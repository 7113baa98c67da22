"""The console's session. Only pages under /operator read or set its cookie: visitors have none (checklist E1,
O2).

The cookie is signed and holds a random key; what it opens is a row of `operator_sessions`, so it can be ended
from here. Before the log-in it holds no more than the token that protects the forms."""

from __future__ import annotations

from flask import Flask, Request
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface

from newsletter.services.logins import LIFE
from newsletter.settings import Settings

PATH = "/operator"


class OperatorSessions(SecureCookieSessionInterface):
    """Flask's signed cookie, for the console alone."""

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        return super().open_session(app, request) if _is_console(request.path) else None


def register_sessions(app: Flask, settings: Settings) -> None:
    """Give the console its session, and nobody else one."""
    app.session_interface = OperatorSessions()
    app.config.update(
        # Browsers take the prefix on https alone, and then only from us, for this host, for all paths.
        SESSION_COOKIE_NAME="__Host-newsletter" if settings.secure else "newsletter",
        SESSION_COOKIE_SECURE=settings.secure,
        SESSION_COOKIE_HTTPONLY=True,
        # Lax: a link in a mail or a bookmark opens the console; no other site can post to it.
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_PATH="/",
        SESSION_REFRESH_EACH_REQUEST=False,
        PERMANENT_SESSION_LIFETIME=LIFE,
        SECRET_KEY_FALLBACKS=list(settings.secret_keys[-2::-1]),
        # The token lives as long as the session.
        WTF_CSRF_TIME_LIMIT=None,
    )


def _is_console(path: str) -> bool:
    return path == PATH or path.startswith(f"{PATH}/")

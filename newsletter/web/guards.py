"""What holds for every request and every answer: bounds on what comes in, headers on what goes out."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

from flask import Flask, Response, abort, request
from werkzeug.middleware.proxy_fix import ProxyFix

from newsletter.settings import Settings

# A form of an address and a name needs less; a one-click body is read and ignored.
_LARGEST_BODY = 16 * 1024
# Pages that links in mails lead to: for nobody but their reader.
_OF_LINKS = ("/confirm/", "/unsubscribe", "/manage/", "/new-address/", "/not-me/")
_CSP = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


def register_guards(app: Flask, settings: Settings) -> None:
    """Bound requests and dress answers."""
    app.config["MAX_CONTENT_LENGTH"] = _LARGEST_BODY
    app.config["MAX_FORM_MEMORY_SIZE"] = _LARGEST_BODY
    app.config["MAX_FORM_PARTS"] = 20
    # Links are built from the base URL alone, so a request that names this machine does no harm (A12).
    app.config["TRUSTED_HOSTS"] = [settings.base_host, "127.0.0.1", "localhost", "[::1]"]
    if settings.trusted_proxies:
        # Only as many hops of X-Forwarded-* are believed as there are proxies of ours (A3).
        proxied = ProxyFix(
            app.wsgi_app, x_for=settings.trusted_proxies, x_proto=settings.trusted_proxies, x_host=0
        )
        app.wsgi_app = proxied  # type: ignore[method-assign]
    app.before_request(_refuse_nul)
    app.after_request(_dress)


def _refuse_nul() -> None:
    """NUL in a path or query is never meant well, and PostgreSQL refuses to store it (A15)."""
    raw = request.environ.get("RAW_URI") or request.environ.get("REQUEST_URI") or ""
    if (
        b"\0" in unquote_to_bytes(raw)
        or "\0" in request.path
        or b"\0" in unquote_to_bytes(request.query_string)
    ):
        abort(400)


def _dress(response: Response) -> Response:
    headers = response.headers
    headers.setdefault("Content-Security-Policy", _CSP)
    headers.setdefault("X-Content-Type-Options", "nosniff")
    # no-referrer would make browsers send no Origin either, which form protection needs.
    headers.setdefault("Referrer-Policy", "same-origin")
    if request.endpoint != "static":
        headers.setdefault("Cache-Control", "no-store")
    if request.path.startswith(_OF_LINKS):
        headers.setdefault("X-Robots-Tag", "noindex, nofollow")
    return response

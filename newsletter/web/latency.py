"""How long requests take, by what they are about: for Prometheus."""

from __future__ import annotations

from time import perf_counter

from flask import Flask, Response, g, request

from newsletter import counted

_ENDPOINTS = {
    "public.take_sign_up": "sign_up",
    "public.take_code": "code",
    "doors.show_confirm": "confirm_page",
    "doors.press_confirm": "confirm",
    "doors.show_unsubscribe": "unsubscribe_page",
    "doors.press_unsubscribe": "unsubscribe",
    "static": "static",
}
_BLUEPRINTS = {
    "public": "pages",
    "doors": "pages",
    "own_page": "own_page",
    "changing_address": "own_page",
    "mailbox": "pages",
    "embeds": "embed",
    "operator": "console",
    "health": "health",
    "metrics": "health",
}


def register_latency(app: Flask) -> None:
    """Time every request. Registered before all that comes before and after requests, it sees all of them."""
    app.before_request(_begin)
    app.after_request(_end)


def group_of(endpoint: str | None, path: str) -> str:
    """What a request is about, in one of a few words (newsletter.counted.series.GROUPS)."""
    if endpoint is None:
        return "other"
    named = _ENDPOINTS.get(endpoint) or _BLUEPRINTS.get(endpoint.partition(".")[0])
    return named or ("api" if path.startswith("/api/") else "other")


def _begin() -> None:
    g.began = perf_counter()


def _end(response: Response) -> Response:
    began = g.get("began")
    if began is not None:
        group = group_of(request.endpoint, request.path)
        counted.answered(group, response.status_code, perf_counter() - began)
    return response

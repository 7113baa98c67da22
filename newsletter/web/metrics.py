"""Figures for Prometheus: how it stands with the fuse against mail bombing.

They are read from where they are counted, so every process tells the same.
"""

from __future__ import annotations

import ipaddress

from flask import Blueprint, Response, abort, request
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest

from newsletter.web.limiting import limits

metrics = Blueprint("metrics", __name__)


@metrics.before_request
def _only_near() -> None:
    """Not for the public: asked from this machine or a private network."""
    try:
        near = ipaddress.ip_address(request.remote_addr or "").is_private
    except ValueError:
        near = False
    if not near:
        abort(404)


@metrics.get("/metrics")
def show() -> Response:
    """The figures, in Prometheus's text format."""
    registry = CollectorRegistry()
    surge = limits().surge()
    if surge is not None:
        for name, meaning, value in (
            ("demand", "Sign-ups tried in the stretch of time that the fuse looks at.", surge.demand),
            ("limit", "How many of them are usual (NEWSLETTER_SURGE_LIMIT).", surge.limit),
            ("height", "How high the surge is: 0 is calm, 4 is the highest.", surge.level),
        ):
            Gauge(f"newsletter_surge_{name}", meaning, registry=registry).set(value)
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)

"""For load balancers and supervisors: does the process live, and can it work?"""

from __future__ import annotations

from flask import Blueprint, Response, jsonify

from newsletter.database import DatabaseNotReady, check_ready, check_writable
from newsletter.extensions import db
from newsletter.parts import parts

health = Blueprint("health", __name__)


@health.get("/healthz")
def alive() -> Response:
    """The process answers."""
    return jsonify(status="alive")


@health.get("/readyz")
def ready() -> tuple[Response, int]:
    """The database answers, is at the newest migration and can be written to; else 503, with the reason in
    the log only."""
    try:
        check_ready(db.engine, head=parts().newest_migration)
        check_writable(db.engine)
    except DatabaseNotReady:
        return jsonify(
            status="not ready",
            reason="the database does not answer, takes nothing or is not at the newest migration",
        ), 503
    return jsonify(status="ready"), 200

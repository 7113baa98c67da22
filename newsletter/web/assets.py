"""Styles and pictures: each at an address that changes with its contents, so browsers may keep it long."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from flask import Flask, Response, request

FOLDER = Path(__file__).parent.parent / "static"
KEEP_LONG = "public, max-age=31536000, immutable"


@cache
def asset(name: str) -> str:
    """The address of a file in newsletter/static."""
    digest = hashlib.sha256((FOLDER / name).read_bytes()).hexdigest()[:12]
    return f"/static/{name}?v={digest}"


def register_assets(app: Flask) -> None:
    """Give templates `asset`, and let browsers keep what is asked for by its version."""
    app.jinja_env.globals["asset"] = asset
    app.after_request(_keep)


def _keep(response: Response) -> Response:
    if request.endpoint == "static" and response.status_code == 200 and "v" in request.args:
        response.headers["Cache-Control"] = KEEP_LONG
    return response

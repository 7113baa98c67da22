"""Joins the rooms of the web to an application."""

from __future__ import annotations

from flask import Flask

from newsletter.extensions import csrf
from newsletter.parts import parts
from newsletter.web.api import register_api
from newsletter.web.assets import register_assets
from newsletter.web.changing_address import changing_address
from newsletter.web.doors import doors
from newsletter.web.downloads import Downloads
from newsletter.web.embeds import embeds
from newsletter.web.errors import register_errors
from newsletter.web.events import register_events
from newsletter.web.guards import register_guards
from newsletter.web.health import health
from newsletter.web.languages import register_languages
from newsletter.web.latency import register_latency
from newsletter.web.limiting import Limits
from newsletter.web.mailbox import mailbox
from newsletter.web.metrics import Reading, metrics
from newsletter.web.operator import operator
from newsletter.web.operator.session import register_sessions
from newsletter.web.origins import register_origins
from newsletter.web.own_page import own_page
from newsletter.web.pages import register_pages
from newsletter.web.proofs import Proofs
from newsletter.web.public import public
from newsletter.web.scans import Scans
from newsletter.web.surges import Surges
from newsletter.web.writer import Writer


def register_web(app: Flask) -> None:
    """Serve everything."""
    with app.app_context():
        settings = parts().settings
    # A one-click POST must never be answered by a redirect (U4).
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    app.jinja_env.globals["postal_address"] = settings.postal_address
    csrf.init_app(app)
    app.extensions["newsletter.writer"] = Writer(app, settings)
    app.extensions["newsletter.downloads"] = Downloads(settings.database_connections // 4)
    app.extensions["newsletter.limits"] = Limits(settings)
    app.extensions["newsletter.proofs"] = Proofs(settings.secret_keys)
    app.extensions["newsletter.surges"] = Surges()
    app.extensions["newsletter.reading"] = Reading(app)
    app.extensions["newsletter.scans"] = Scans(app)
    register_latency(app)
    for blueprint in (public, embeds, doors, own_page, changing_address, health, metrics, mailbox, operator):
        app.register_blueprint(blueprint)
    register_api(app, settings)
    register_events(app, settings)
    register_pages(app)
    register_languages(app)
    register_sessions(app, settings)
    register_guards(app, settings)
    register_origins(app)
    register_assets(app)
    register_errors(app)

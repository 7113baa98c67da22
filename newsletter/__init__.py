"""Newsletter sign-up for any site: double opt-in, subscriber storage, one-click unsubscribe.

`create_app` is the one place where the parts are joined.
"""

from __future__ import annotations

from dataclasses import replace

from flask import Flask

from newsletter import logs
from newsletter.cli import register_commands
from newsletter.database import engine_options, newest_migration, prepare_engine
from newsletter.domain.forms import FormTokens
from newsletter.domain.links import Links
from newsletter.domain.tickets import Tickets
from newsletter.extensions import csrf, db, migrate
from newsletter.keys import prepare_data_dir, signing_keys
from newsletter.parts import Parts, join
from newsletter.paths import MIGRATIONS, TEMPLATES
from newsletter.settings import Settings
from newsletter.version import __version__
from newsletter.web.api import register_api
from newsletter.web.assets import register_assets
from newsletter.web.doors import doors
from newsletter.web.embeds import embeds
from newsletter.web.errors import register_errors
from newsletter.web.guards import register_guards
from newsletter.web.health import health
from newsletter.web.languages import register_languages
from newsletter.web.limiting import Limits
from newsletter.web.mailbox import mailbox
from newsletter.web.metrics import metrics
from newsletter.web.operator import operator
from newsletter.web.operator.session import register_sessions
from newsletter.web.origins import register_origins
from newsletter.web.proofs import Proofs
from newsletter.web.public import public
from newsletter.web.surges import Surges
from newsletter.web.writer import Writer

__all__ = ["__version__", "create_app"]


def create_app(settings: Settings | None = None) -> Flask:
    """The application, by `settings` or by the environment. Raises `SettingsError`."""
    settings = settings or Settings.from_environment()
    logs.configure(settings.log_level)
    prepare_data_dir(settings)
    settings = replace(settings, secret_keys=signing_keys(settings))

    app = Flask("newsletter", template_folder=str(TEMPLATES))
    app.config.update(
        SECRET_KEY=settings.secret_keys[-1],
        SQLALCHEMY_DATABASE_URI=settings.database_url,
        SQLALCHEMY_ENGINE_OPTIONS=engine_options(settings),
    )
    # A one-click POST must never be answered by a redirect (U4).
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    app.jinja_env.globals["postal_address"] = settings.postal_address

    db.init_app(app)
    migrate.init_app(app, db, directory=str(MIGRATIONS))
    csrf.init_app(app)
    with app.app_context():
        prepare_engine(db.engine, settings)

    join(
        app.extensions,
        Parts(
            settings=settings,
            links=Links(settings.secret_keys, settings.retired_keys),
            forms=FormTokens(settings.secret_keys),
            tickets=Tickets(settings.secret_keys),
            newest_migration=newest_migration(),
        ),
    )
    app.extensions["newsletter.writer"] = Writer(app, settings)
    app.extensions["newsletter.limits"] = Limits(settings)
    app.extensions["newsletter.proofs"] = Proofs(settings.secret_keys)
    app.extensions["newsletter.surges"] = Surges()
    for blueprint in (public, embeds, doors, health, metrics, mailbox, operator):
        app.register_blueprint(blueprint)
    register_api(app, settings)
    register_languages(app)
    register_sessions(app, settings)
    register_guards(app, settings)
    register_origins(app)
    register_assets(app)
    register_errors(app)
    register_commands(app)
    return app

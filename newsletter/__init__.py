"""Newsletter sign-up for any site: double opt-in, subscriber storage, one-click unsubscribe.

Here the parts are joined: `create_core` makes what commands and workers need, `create_app` adds the pages.
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
from newsletter.extensions import db, migrate
from newsletter.keys import prepare_data_dir, signing_keys
from newsletter.parts import Parts, join
from newsletter.paths import MIGRATIONS, TEMPLATES
from newsletter.settings import Settings
from newsletter.spool import Spool
from newsletter.version import __version__

__all__ = ["__version__", "create_app", "create_core"]


def create_app(settings: Settings | None = None) -> Flask:
    """The application, by `settings` or by the environment. Raises `SettingsError`."""
    # Only here: commands and workers start a sixth sooner without it.
    from newsletter.web.register import register_web

    app = create_core(settings)
    register_web(app)
    return app


def create_core(settings: Settings | None = None) -> Flask:
    """The application without its pages: settings, database, keys, commands. Raises `SettingsError`."""
    settings = settings or Settings.from_environment()
    app = Flask("newsletter", template_folder=str(TEMPLATES))
    logs.configure(app, settings.log_level)
    prepare_data_dir(settings)
    settings = replace(settings, secret_keys=signing_keys(settings))

    app.config.update(
        SECRET_KEY=settings.secret_keys[-1],
        SQLALCHEMY_DATABASE_URI=settings.database_url,
        SQLALCHEMY_ENGINE_OPTIONS=engine_options(settings),
    )
    db.init_app(app)
    migrate.init_app(app, db, directory=str(MIGRATIONS))
    with app.app_context():
        prepare_engine(db.engine, settings)

    join(
        app.extensions,
        Parts(
            settings=settings,
            links=Links(settings.secret_keys, settings.retired_keys),
            forms=FormTokens(settings.secret_keys),
            tickets=Tickets(settings.secret_keys),
            spool=Spool(settings.spool_dir),
            newest_migration=newest_migration(),
        ),
    )
    register_commands(app)
    return app

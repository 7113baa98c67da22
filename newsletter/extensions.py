"""Flask extensions, unbound: `create_app` joins them to an application."""

from __future__ import annotations

from babel.support import NullTranslations
from flask_babel import Babel, Domain, get_locale
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from flask_wtf import CSRFProtect

from newsletter.database import Base
from newsletter.translations import translations


class Catalogs(Domain):
    """Flask-Babel's texts, from our catalogs instead of compiled files."""

    def get_translations(self) -> NullTranslations:
        locale = get_locale()
        return translations(locale.language if locale is not None else "")


db = SQLAlchemy(model_class=Base)
migrate = Migrate()
csrf = CSRFProtect()
babel = Babel()
babel.domain_instance = Catalogs()

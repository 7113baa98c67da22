"""The console: where operators run the lists. Thin views, a file a subject; importing them registers them."""

from newsletter.web.operator import (
    account,
    administration,
    errors,
    exports,
    imports,
    list_settings,
    login,
    outbox,
    overview,
    subscribers,
    webhooks,
)
from newsletter.web.operator.access import operator

__all__ = [
    "account",
    "administration",
    "errors",
    "exports",
    "imports",
    "list_settings",
    "login",
    "operator",
    "outbox",
    "overview",
    "subscribers",
    "webhooks",
]

"""The parts that `create_app` joins, for those who work inside an application."""

from __future__ import annotations

from dataclasses import dataclass

from flask import current_app

from newsletter.domain.forms import FormTokens
from newsletter.domain.links import Links
from newsletter.domain.tickets import Tickets
from newsletter.settings import Settings
from newsletter.spool import Spool

_KEY = "newsletter"


@dataclass(frozen=True)
class Parts:
    """What every room may ask for: the settings, and the makers of links, of form tokens and of tickets for
    operators, and the spool."""

    settings: Settings
    links: Links
    forms: FormTokens
    tickets: Tickets
    spool: Spool
    newest_migration: str | None


def join(extensions: dict[str, object], parts: Parts) -> None:
    """Hand the parts to an application's `extensions`."""
    extensions[_KEY] = parts


def parts() -> Parts:
    """The parts of the current application."""
    joined = current_app.extensions[_KEY]
    assert isinstance(joined, Parts)
    return joined

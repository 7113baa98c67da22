"""Stub until the languages branch is merged."""

from __future__ import annotations

from flask import Flask, request
from flask_babel import Babel

from newsletter.domain.languages import choose
from newsletter.services.lists import ListView


def register_languages(app: Flask) -> None:
    Babel(app)

    @app.context_processor
    def words() -> dict[str, str]:
        return {"locale": "en", "text_direction": "ltr"}


def speak_for(mailing_list: ListView | None, asked: str | None = None) -> str:
    return choose(asked or request.args.get("locale"), mailing_list.locale if mailing_list else None, [])

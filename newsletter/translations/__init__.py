"""The words of the service in other languages: gettext catalogs, compiled in memory when first used.

English is the text in the code itself. `make translations` brings the catalogs up to date with it.
"""

from __future__ import annotations

from functools import cache
from io import BytesIO
from pathlib import Path

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations

from newsletter.domain.languages import DEFAULT, known

_FOLDER = Path(__file__).parent


def translations(language: str) -> NullTranslations:
    """What turns English into `language`; into itself where we do not speak that."""
    return _compiled(known(language) or DEFAULT)


def catalog_file(language: str) -> Path:
    """Where the catalog of a language other than English lies."""
    return _FOLDER / language / "LC_MESSAGES" / "messages.po"


@cache
def _compiled(language: str) -> NullTranslations:
    if language == DEFAULT:
        return NullTranslations()
    with catalog_file(language).open("rb") as source:
        catalog = read_po(source, locale=language)
    compiled = BytesIO()
    write_mo(compiled, catalog)
    compiled.seek(0)
    return Translations(compiled)

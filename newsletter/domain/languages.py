"""The languages that visitors and readers are addressed in, and which one is meant."""

from __future__ import annotations

from collections.abc import Sequence

# In their own names, in the order in which they are offered. The first is spoken where nothing else fits.
LANGUAGES = {
    "en": "English",
    "de": "Deutsch",
    "fr": "Français",
    "es": "Español",
    "pt": "Português",
    "hi": "हिन्दी",
    "ar": "العربية",
}
DEFAULT = "en"
_RIGHT_TO_LEFT = frozenset({"ar"})


def N_(text: str) -> str:  # noqa: N802 - gettext's own name for it
    """Marks a text for the catalogs. It is English until it is translated where it is shown."""
    return text


def known(tag: str | None) -> str | None:
    """The language of ours that a tag such as `de-AT` or `pt_BR` names; None where we speak none."""
    language = (tag or "").replace("_", "-").partition("-")[0].strip().lower()
    return language if language in LANGUAGES else None


def choose(asked: str | None, of_list: str | None, accepted: Sequence[str]) -> str:
    """The language for a visitor: what the form asks for, else the list's own, else the first of what the
    browser accepts, in its order, that we speak."""
    return (
        known(asked)
        or known(of_list)
        or next((language for tag in accepted if (language := known(tag))), DEFAULT)
    )


def direction(language: str) -> str:
    """`ltr` or `rtl`, as HTML's `dir` takes it."""
    return "rtl" if language in _RIGHT_TO_LEFT else "ltr"

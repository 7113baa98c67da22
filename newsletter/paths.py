"""Finds templates/ and migrations/: at the top of a checkout, or inside an installed package."""

from pathlib import Path

_PACKAGE = Path(__file__).parent


def _find(folder: str) -> Path:
    inside = _PACKAGE / folder
    return inside if inside.is_dir() else _PACKAGE.parent / folder


TEMPLATES = _find("templates")
MIGRATIONS = _find("migrations")

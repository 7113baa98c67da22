"""Subscribers in, from a file: `files` keeps it, `reading` makes rows of its bytes, `mapping` says what its
columns are, `validating` decides row by row, `storing` writes them set by set, `imports` is the life of an
import."""

from __future__ import annotations

from newsletter.services.importing.files import Spooled, spooled, store_rest, too_large
from newsletter.services.importing.imports import (
    HasEnded,
    ImportView,
    Look,
    cancel_import,
    check_import,
    create_import,
    find_import,
    look,
    recent_imports,
    start_import,
)
from newsletter.services.importing.options import ImportFault, Options
from newsletter.services.importing.refused import Refusal, refusals, refused_file

__all__ = [
    "HasEnded",
    "ImportFault",
    "ImportView",
    "Look",
    "Options",
    "Refusal",
    "Spooled",
    "cancel_import",
    "check_import",
    "create_import",
    "find_import",
    "look",
    "recent_imports",
    "refusals",
    "refused_file",
    "spooled",
    "start_import",
    "store_rest",
    "too_large",
]

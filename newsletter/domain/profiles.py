"""What is kept of a person beside the address: a name, and attributes that a publisher gave them.

No text holds line breaks or other control characters: an export writes a person on one line.
"""

from __future__ import annotations

import json
import math
import unicodedata
from typing import Any

LONGEST_NAME = 200
LONGEST_ATTRIBUTES = 10_000  # characters, as JSON
_DEEPEST = 5
_as_json = json.JSONEncoder(ensure_ascii=False).encode  # made once: files bring a million of them
_BARRED = frozenset({"Cc", "Cs", "Zl", "Zp"})


class ProfileError(ValueError):
    """A name or attributes cannot be kept. The message says why, in one line."""


def is_one_line(text: str) -> bool:
    """Whether a text has no line breaks, other control characters or halves of characters."""
    return text.isprintable() or not any(unicodedata.category(character) in _BARRED for character in text)


def parse_name(typed: str | None) -> str | None:
    """A name, trimmed; None for an empty one. Raises `ProfileError`."""
    name = (typed or "").strip()
    if len(name) > LONGEST_NAME:
        raise ProfileError(f"a name has at most {LONGEST_NAME} characters")
    if not is_one_line(name):
        raise ProfileError("a name has no line breaks or other control characters")
    return name or None


def check_attributes(attributes: object) -> dict[str, Any]:
    """Attributes that can be kept: a JSON object of texts, numbers, lists and the like. Raises
    `ProfileError`."""
    if not isinstance(attributes, dict):
        raise ProfileError('attributes are a JSON object such as {"city": "Basel"}')
    _check(attributes, 0)
    if len(_as_json(attributes)) > LONGEST_ATTRIBUTES:
        raise ProfileError(f"attributes have at most {LONGEST_ATTRIBUTES} characters, as JSON")
    return attributes


def parse_attributes(typed: str) -> dict[str, Any]:
    """Attributes from the JSON that somebody typed; none for an empty text. Raises `ProfileError`."""
    if not typed.strip():
        return {}
    if len(typed) > 2 * LONGEST_ATTRIBUTES:
        raise ProfileError(f"attributes have at most {LONGEST_ATTRIBUTES} characters, as JSON")
    try:
        return check_attributes(json.loads(typed))
    except json.JSONDecodeError as error:
        raise ProfileError(
            f"this is no JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from error
    except RecursionError as error:
        raise ProfileError("attributes are nested too deeply") from error


def _check(value: object, depth: int) -> None:
    if depth > _DEEPEST:
        raise ProfileError("attributes are nested too deeply")
    match value:
        case dict():
            for key, held in value.items():
                if not isinstance(key, str) or not key.strip():
                    raise ProfileError("every attribute needs a name")
                _check(key, depth)
                _check(held, depth + 1)
        case list():
            for held in value:
                _check(held, depth + 1)
        case str():
            if not is_one_line(value):
                raise ProfileError("attributes have no line breaks or other control characters")
        case float():
            if not math.isfinite(value):
                raise ProfileError("attributes hold no numbers without an end")
        case bool() | int() | None:
            pass
        case _:
            raise ProfileError("attributes hold texts, numbers, true, false, null, lists and objects")

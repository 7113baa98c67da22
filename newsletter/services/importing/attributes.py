"""The attributes of a row, as JSON."""

from __future__ import annotations

import json
from typing import Any

from newsletter.domain.profiles import ProfileError, check_attributes
from newsletter.services.importing.standing import Refused

_as_json = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False).encode


def attributes_json(bag: dict[str, Any]) -> str:
    """Attributes as JSON of one spelling, the same as everywhere. Raises `Refused`."""
    try:
        check_attributes(bag)
        return _as_json(bag)
    except ProfileError as error:
        raise Refused(str(error)) from error
    except ValueError as error:
        raise Refused("the attributes hold what JSON cannot") from error


def object_of(text: str) -> Any:
    """What a cell with attributes holds. Raises `Refused`."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Refused("the attributes are no JSON") from error

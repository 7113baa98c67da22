"""Reading JSON that came from outside: what is missing, or of another type than it should be, is empty."""

from __future__ import annotations

import json
from typing import Any

from newsletter.domain.provider_events.report import Unreadable


class Fields:
    """One object of JSON."""

    def __init__(self, value: object) -> None:
        self._values: dict[str, Any] = value if isinstance(value, dict) else {}

    def text(self, name: str) -> str:
        """A text; a whole number as its digits, since providers take the two for each other."""
        value = self._values.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**18:
            return str(value)
        return value if isinstance(value, str) else ""

    def inside(self, name: str) -> Fields:
        return Fields(self._values.get(name))

    def each(self, name: str) -> list[Fields]:
        value = self._values.get(name)
        return [Fields(item) for item in value] if isinstance(value, list) else []

    def is_true(self, name: str) -> bool:
        return self._values.get(name) is True


def read_object(body: bytes) -> Fields:
    """The object that a body is. Raises `Unreadable`."""
    value = read_json(body)
    if not isinstance(value, dict):
        raise Unreadable("the body is no object of JSON")
    return Fields(value)


def read_json(body: bytes | str) -> object:
    """Whatever JSON it is. Raises `Unreadable`."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Unreadable("the body is not JSON in UTF-8") from error

"""How deep JSON may be nested."""

from __future__ import annotations

from typing import Any

import pytest

from newsletter.domain.nesting import is_too_deep


@pytest.mark.parametrize("value", [1, "a", [], {}, [1, 2], {"a": [1, {"b": 2}]}])
def test_what_is_within_the_limit_is_not_too_deep(value: Any) -> None:
    assert not is_too_deep(value, 3)


@pytest.mark.parametrize("shape", ["list", "object"])
def test_what_is_one_level_deeper_is(shape: str) -> None:
    def nested(levels: int) -> Any:
        value: Any = 1
        for _ in range(levels):
            value = [value] if shape == "list" else {"a": value}
        return value

    assert not is_too_deep(nested(3), 3)
    assert is_too_deep(nested(4), 3)
    assert is_too_deep(nested(900), 3)

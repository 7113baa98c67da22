"""How deep JSON may be nested: what is read from outside is looked at level by level here, once, so that
whatever walks through it by recursion later has an end."""

from __future__ import annotations

from collections.abc import Iterable

DEEPEST = 32  # levels: far more than anything that this service takes has


def is_too_deep(value: object, levels: int = DEEPEST) -> bool:
    """Whether lists and objects of JSON stand in each other more than `levels` deep."""
    level: Iterable[object] = [value]
    for _ in range(levels + 1):
        level = [inner for one in level for inner in _inner(one)]
        if not level:
            return False
    return True


def _inner(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()

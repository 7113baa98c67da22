"""How a row says that somebody stands: by its column of states, by those that say who left, by a yes or no,
by dates. Of what several say, the one counts that leaves most."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from newsletter.domain.lifecycle import State
from newsletter.services.importing.judging import LONGEST_WORD, Unclear, reading
from newsletter.services.importing.options import Field, Options
from newsletter.services.importing.state_words import NO, YES, word_of

_RANK = {
    state: rank
    for rank, state in enumerate(
        (State.COMPLAINED, State.UNSUBSCRIBED, State.BOUNCED, State.PENDING, State.CONFIRMED)
    )
}


class Refused(Exception):
    """A value of a row cannot be taken."""


class Standing:
    """Reads the columns of one file in which words say who left."""

    def __init__(self, options: Options, columns: Sequence[str]) -> None:
        self._left = [
            (column, place, lru_cache(1024)(reading(column, options.values.get(column))))
            for place, column in enumerate(columns)
            if options.mapping.get(column) == Field.LEFT
        ]
        stated = next((column for column, field in options.mapping.items() if field == Field.STATE), "")
        self._read_state = lru_cache(1024)(reading(stated, options.values.get(stated)))

    def state(self, said: str) -> State | None:
        """What the column of states says. Raises `Refused`."""
        try:
            return self._read_state(said) if said else None
        except Unclear:
            raise Refused(f"{said[:40]!r} is no state") from None

    def left(self, cells: Sequence[Any]) -> list[State]:
        """What the columns say that say who left. Raises `Refused`."""
        found = []
        for column, place, read in self._left:
            cell = "" if cells[place] is None else str(cells[place])
            try:
                said = read(cell)
            except Unclear:
                raise Refused(
                    f"{cell[:40]!r} in the column {column[:40]!r} says neither that they left nor that they "
                    "stay: say what it means"
                ) from None
            if said is not None:
                found.append(said)
        return found


def is_subscribed(cell: Any) -> bool:
    """What a yes or no says. Raises `Refused`."""
    word = "" if cell is None else word_of(str(cell)[:LONGEST_WORD])
    if word in YES or word in NO:
        return word in YES
    # Many a tool leaves the cell of who is not subscribed empty.
    raise Refused(f"{word[:40]!r} is neither true nor false: nothing says who is subscribed")


def lowest(states: Iterable[State]) -> State | None:
    """Of several the one that leaves most."""
    return min(states, key=_RANK.__getitem__, default=None)

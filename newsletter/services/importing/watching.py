"""What a whole file holds in the columns that nothing was asked about: a word by which somebody left may come
for the first time in its last row.

Columns with few different cells are judged by all of them. In those with many, such as names of towns, only
the words that say it in any column are looked for, which costs next to nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from operator import itemgetter
from typing import Any

from newsletter.services.importing.judging import LONGEST_WORD, Question, judge
from newsletter.services.importing.options import ATTRIBUTE, Field, Options
from newsletter.services.importing.state_words import UNCLEAR, in_any_case, word_of

MOST_CELLS = 200  # different ones, of a column that is judged by all of them


class Watched:
    """The columns of one import that are passed over or become attributes, and one with states."""

    def __init__(self, options: Options, columns: Sequence[str]) -> None:
        self._columns = {
            column: (itemgetter(place), set[str]())
            for place, column in enumerate(columns)
            if column not in options.decided and _is_passed_over(options.mapping.get(column))
        }
        self._states = {
            column: (itemgetter(place), set[str]())
            for place, column in enumerate(columns)
            if column not in options.decided and options.mapping.get(column) == Field.STATE
        }

    def see(self, rows: Sequence[Sequence[Any]]) -> None:
        """Take in what some rows hold."""
        for cell, seen in (*self._columns.values(), *self._states.values()):
            try:
                found = set(map(cell, rows))
            except TypeError:  # JSON holds lists and objects, too
                found = {str(value) for value in map(cell, rows)}
            found -= seen
            if len(seen) + len(found) > MOST_CELLS:
                found &= _sure_words()
            seen.update(str(value) for value in found if value is not None)

    def questions(self) -> tuple[Question, ...]:
        """What must be asked, now that the file was read to its end."""
        asked = [judge(column, _short(seen)) for column, (_, seen) in self._columns.items()]
        for column, (_, seen) in self._states.items():
            unclear = [word for word in _short(seen) if word_of(word) in UNCLEAR]
            asked.append(judge(column, unclear) if unclear else None)
        return tuple(question for question in asked if question is not None)


def _is_passed_over(field: str | None) -> bool:
    return field is None or field == Field.IGNORE or field.startswith(ATTRIBUTE)


def _short(cells: Iterable[str]) -> list[str]:
    return sorted(cell for cell in cells if len(cell) <= LONGEST_WORD)


@cache
def _sure_words() -> frozenset[str]:
    return in_any_case()


def to_json(questions: Iterable[Question]) -> Mapping[str, list[str]]:
    """Questions as the report of an import keeps them."""
    return {question.column: list(question.cells) for question in questions}

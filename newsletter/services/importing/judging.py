"""Whether a column may say who left, by its name and by what its cells hold, and what each cell says where
the operator lets it. The words are those of `column_names` and `state_words`; here is only how they count."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as with_default

from newsletter.domain.lifecycle import State
from newsletter.services.importing.column_names import (
    Meaning,
    Tells,
    is_about_subscriptions,
    meaning_of,
    tells_alone,
)
from newsletter.services.importing.moments import parse_moment
from newsletter.services.importing.options import ATTRIBUTE, Field, ImportFault
from newsletter.services.importing.state_words import (
    LEAVING,
    NEVER,
    NO,
    NOTHING,
    STATES,
    STAYING,
    SURE,
    UNCLEAR,
    YES,
    word_of,
)

ANY_OTHER = "*"  # stands for every cell that says nothing plain and is not named
MOST_SHOWN = 12  # cells of a column
_MOST_NAMED = 5  # of them in a sentence
LONGEST_WORD = 100  # characters of a cell that is looked at
_FEW = 12  # different cells of a column that holds words rather than texts
_PARTS = re.compile(r"[,;|{}()\[\]\"':]+")
_DATE = re.compile(
    r"(?:\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}|\d{1,2}\.? [^\W\d]{3,}\.?,? \d{4}|"
    r"[^\W\d]{3,}\.? \d{1,2},? \d{4})\b.*"
)


class Unclear(Exception):
    """Nobody can tell what a cell says."""


@dataclass(frozen=True)
class Question:
    """A column that may say who left. The operator must say so, or that it says nothing of the kind. `cells`
    are some that were seen, those that may say it first, and what each seems to say; None where that is not
    clear."""

    column: str
    cells: Mapping[str, State | None] = with_default(default_factory=dict)

    def __str__(self) -> str:
        unclear = [cell for cell, state in self.cells.items() if state is None]
        telling = [
            cell for cell, state in self.cells.items() if state not in (None, State.CONFIRMED)
        ] or unclear
        shown = ", ".join(repr(cell[:40]) for cell in telling[:_MOST_NAMED])
        return f"{self.column!r}" + (f" ({shown})" if shown else "")


class Undecided(ImportFault):
    """The operator has not said yet what some columns mean, which the `questions` are about."""

    def __init__(self, questions: Sequence[Question]) -> None:
        self.questions = tuple(questions)
        several = len(self.questions) > 1
        super().__init__(
            f"the column{'s' if several else ''} {', '.join(map(str, self.questions))} may say who left, and "
            f"must not be passed over: say that {'each' if several else 'it'} is {Field.LEFT}, or one of "
            f"{Field.STATE}, {Field.SUBSCRIBED}, {Field.UNSUBSCRIBED_AT}, {Field.BOUNCED_AT}, and what its "
            f"cells mean where that is not plain; or that it is {Field.IGNORE}, {Field.EMAIL} or "
            f"{ATTRIBUTE}KEY where it says nothing of the kind"
        )


def judge(column: str, cells: Iterable[str]) -> Question | None:
    """The question that a column of this name with these cells raises, if any."""
    distinct = {word: cell for cell in cells if len(cell) <= LONGEST_WORD and (word := word_of(cell))}
    return ask_about(column, distinct.values()) if _may_tell(column, distinct) else None


def ask_about(column: str, cells: Iterable[str]) -> Question:
    """The question about a column, whatever it is."""
    read = reading(column)
    said = {cell: _said(read, cell) for cell in cells}
    first = sorted(said, key=lambda cell: (said[cell] is State.CONFIRMED, said[cell] is None))
    return Question(column, {cell: said[cell] for cell in first[:MOST_SHOWN]})


def _may_tell(column: str, distinct: Mapping[str, str]) -> bool:
    meaning = meaning_of(column)
    tells = meaning.tells if meaning else None
    if tells is Tells.FILLED or any(_sure(word, cell) for word, cell in distinct.items()):
        return True
    words = distinct.keys() - NOTHING
    leaving = [word for word in words if word in UNCLEAR or _leaves(word)]
    if tells is not None:
        # `Express (revoked)`
        parts = {word_of(part) for word in words for part in _PARTS.split(distinct[word])}
        leaving += [word for word in parts - words if _leaves(word)]
    known = [word for word in words if word in STATES or word in UNCLEAR]
    if tells is Tells.FALSE and (distinct or tells_alone(column)):
        # A date, a number or a text says when or how they agreed: that nobody left.
        others = words - YES - NO - set(leaving)
        plainly = len(words & NO) > 0 and len(words) <= _FEW and not any(word.isdigit() for word in others)
        return plainly or bool(leaving) or not others or not NEVER.isdisjoint(distinct)
    if tells is Tells.WORD:
        unsettled = any(STATES.get(word) is not State.CONFIRMED for word in distinct)
        return bool(leaving) or (unsettled and is_about_subscriptions(column))
    return bool(leaving) and len(words) <= _FEW and 2 * len(known) >= len(words)


def _leaves(word: str) -> bool:
    return STATES.get(word) in LEAVING


def _sure(word: str, cell: str) -> bool:
    """Whether a cell says that somebody left, in whatever column it stands."""
    return word in SURE or bool(_sure_parts(cell))


def _sure_parts(cell: str) -> set[State]:
    """What the words of a list of words say, of those that say that somebody left."""
    return {STATES[word] for part in _PARTS.split(cell) if (word := word_of(part)) in SURE}


def reading(column: str, given: Mapping[str, str] | None = None) -> Callable[[str], State | None]:
    """What a cell of this column says: a state, or None where it says nothing. What is `given` counts first,
    cell by cell; then what the name and the words mean. The function raises `Unclear`."""
    meaning = meaning_of(column)
    named = {_key(cell): State(state) for cell, state in (given or {}).items() if cell != ANY_OTHER}
    other = State(given[ANY_OTHER]) if given and ANY_OTHER in given else None

    def read(cell: str) -> State | None:
        if len(cell) > LONGEST_WORD:
            cell = cell[:LONGEST_WORD]
        if (state := named.get(_key(cell))) is not None:
            return state
        word = word_of(cell)
        try:
            return _said_by(meaning, word, cell)
        except Unclear:
            if other is None or not word:
                raise
            return other

    return read


def _said_by(meaning: Meaning | None, word: str, cell: str) -> State | None:
    if meaning is not None and meaning.tells is Tells.FILLED:
        stays = word in NOTHING or word in NO or word in STAYING
        return None if stays else STATES[word] if _leaves(word) else meaning.state
    if meaning is not None and meaning.tells is Tells.FALSE:
        if word in YES or is_date(cell):
            return None
        if word in NO:
            return meaning.state
        if not word:
            # Many a tool leaves the cell of who is not subscribed empty.
            raise Unclear
    if not word or word in STATES:
        return STATES.get(word)
    said = set() if word in UNCLEAR else _sure_parts(cell)
    if not said:
        raise Unclear
    return next(state for state in (State.COMPLAINED, State.UNSUBSCRIBED, State.BOUNCED) if state in said)


def _said(read: Callable[[str], State | None], cell: str) -> State | None:
    try:
        return read(cell) or State.CONFIRMED
    except Unclear:
        return None


def _key(cell: str) -> str:
    return word_of(cell) or cell.strip()


def is_date(cell: str) -> bool:
    """Whether a cell is a date in any way of writing."""
    return bool(_DATE.fullmatch(cell.strip())) or parse_moment(cell.strip()) is not None

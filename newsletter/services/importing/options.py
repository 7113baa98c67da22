"""What the operator decides about a file: how it is read, what its columns are, and what they state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from dataclasses import field as with_default
from enum import StrEnum
from typing import Any

from newsletter.domain.languages import known
from newsletter.domain.lifecycle import State

ATTRIBUTE = "attribute:"  # and the key
REASON = "not imported because"  # a column of files of refused rows, which is passed over when they come back
LONGEST_STATEMENT = 5000
MOST_ASKS = 100_000  # an hour
ENCODINGS = {
    "utf-8": "utf-8-sig",
    "utf-16": "utf-16",
    "utf-16-le": "utf-16-le",
    "utf-16-be": "utf-16-be",
    "cp1252": "cp1252",
}
DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}


class ImportFault(Exception):
    """A file cannot be imported as asked. The message says why, in one line."""


class AddressMissing(ImportFault):
    """No column is the email address."""


class Form(StrEnum):
    """How a file is written."""

    CSV = "csv"
    JSONL = "jsonl"
    LINES = "lines"  # one address a line, with a name before it: `Ann <ann@example.org>`


OURS = "this service"


class Field(StrEnum):
    """What a column can be; besides, `attribute:KEY`."""

    EMAIL = "email"
    NAME = "name"
    FIRST_NAME = "first_name"
    LAST_NAME = "last_name"
    LOCALE = "locale"
    STATE = "state"
    SUBSCRIBED = "subscribed"  # yes or no
    LEFT = "left"  # says who left, in whatever way; of several such columns each counts
    SOURCE = "source"
    CREATED_AT = "created_at"
    CONFIRMED_AT = "confirmed_at"
    UNSUBSCRIBED_AT = "unsubscribed_at"
    BOUNCED_AT = "bounced_at"
    ATTRIBUTES = "attributes"  # a JSON object
    # What only exports of this service have: the subscription's id, the slug of its list, how often it was
    # signed up for anew and when last, when the person came first, its consent events, why it is suppressed,
    # until when it is paused.
    ID = "id"
    LIST = "list"
    GENERATION = "generation"
    ASKED_AT = "asked_at"
    PERSON_CREATED_AT = "subscriber_created_at"
    CONSENT = "consent"
    SUPPRESSED = "suppressed"
    PAUSED_UNTIL = "paused_until"
    IGNORE = "ignore"


@dataclass(frozen=True)
class Options:
    """`mapping` says for each column what it is; `values` says for columns that are `state` or `left` what
    their cells mean, by their own words: `{"Status": {"inactive": "unsubscribed", "*": "confirmed"}}`, where
    `*` is any other cell that holds something. `statement` is where and how these people consented, in the
    operator's words: without it nobody is taken as confirmed. `ask_per_hour` sends those who are pending a
    confirmation, that many an hour. `locale` is the language of who brings none. `safe` says that texts were
    kept from being taken as formulas by an apostrophe, which is taken off again.

    Nobody chooses the last three: `decided` are the columns of which the operator, or the tool that the file
    comes from, has said what they mean, so that nothing in them is asked about again; `all_lists` says that
    whoever started the import sees all lists, `by_command` that the command that brought the file carries the
    import out, and no worker does."""

    mapping: Mapping[str, str]
    form: Form = Form.CSV
    encoding: str = "utf-8"
    delimiter: str = ","
    header: bool = True
    statement: str | None = None
    ask_per_hour: int | None = None
    locale: str | None = None
    safe: bool = False
    values: Mapping[str, Mapping[str, str]] = with_default(default_factory=dict)
    decided: tuple[str, ...] = ()
    all_lists: bool = False
    by_command: bool = False

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Options:
        """Options as they were stored."""
        values = {one.name: stored[one.name] for one in fields(cls) if one.name in stored}
        decided = tuple(values.get("decided", ()))
        return cls(**values | {"form": Form(values.get("form", Form.CSV)), "decided": decided})

    def to_json(self) -> dict[str, Any]:
        return {one.name: getattr(self, one.name) for one in fields(self)} | {
            "mapping": dict(self.mapping), "form": self.form.value, "decided": list(self.decided),
            "values": {column: dict(cells) for column, cells in self.values.items()},
        }  # fmt: skip

    def checked(self, columns: Sequence[str]) -> Options:
        """These options, tidied, for a file with these columns. Raises `ImportFault`."""
        if self.encoding not in ENCODINGS:
            raise ImportFault(f"the encoding must be one of {', '.join(ENCODINGS)}, not {self.encoding!r}")
        if self.delimiter not in DELIMITERS:
            raise ImportFault("the delimiter must be a comma, a semicolon, a tab or a pipe")
        if self.ask_per_hour is not None and not 1 <= self.ask_per_hour <= MOST_ASKS:
            raise ImportFault(f"the number of confirmations an hour must be from 1 to {MOST_ASKS:,}")
        if self.locale is not None and known(self.locale) is None:
            raise ImportFault(f"{self.locale!r} is none of the languages of this service")
        statement = (self.statement or "").strip() or None
        if statement is not None and (len(statement) > LONGEST_STATEMENT or not _is_text(statement)):
            raise ImportFault(f"the statement must be a text of at most {LONGEST_STATEMENT:,} characters")
        # What the cells of a column mean is said of none but those that say who left.
        mapping = {**dict.fromkeys(self.values, Field.LEFT.value), **self.mapping}
        _check_mapping(mapping, columns)
        _check_values(self.values, mapping)
        return replace(self, mapping=mapping, statement=statement, locale=known(self.locale))


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def _check_mapping(mapping: Mapping[str, str], columns: Sequence[str]) -> None:
    missing = [column for column in mapping if column not in columns]
    if missing:
        raise ImportFault(f"the file has no column {missing[0]!r}; it has {', '.join(columns)}")
    taken: dict[str, str] = {}
    for column, field in mapping.items():
        if field in (Field.IGNORE, Field.LEFT):
            continue
        if field in taken:
            raise ImportFault(f"the columns {taken[field]!r} and {column!r} cannot both be {field}")
        taken[field] = column
        if field.startswith(ATTRIBUTE):
            key = field.removeprefix(ATTRIBUTE)
            if not key or len(key) > 100 or not key.isprintable():
                raise ImportFault(f"{key!r} cannot be the key of an attribute")
        elif field not in set(Field):
            raise ImportFault(f"a column cannot be {field!r}; it is one of {', '.join(Field)}, attribute:KEY")
    if Field.EMAIL not in taken:
        raise AddressMissing("one column must be the email address")
    if Field.NAME in taken and (Field.FIRST_NAME in taken or Field.LAST_NAME in taken):
        raise ImportFault("the name is one column, or first and last name are two")


def _check_values(values: Mapping[str, Mapping[str, str]], mapping: Mapping[str, str]) -> None:
    for column, cells in values.items():
        if mapping[column] not in (Field.STATE, Field.LEFT):
            said = f"the column {column!r} is {mapping[column]}: only cells of state and left have meanings"
            raise ImportFault(said)
        for cell, meaning in cells.items():
            if meaning not in set(State):
                said = f"{cell!r} in the column {column!r} cannot mean {meaning!r}"
                raise ImportFault(f"{said}; it means one of {', '.join(State)}")

"""The columns that can be exported, each as both databases say it; and those that other tools want.

`s` is the subscription, `p` the person. Both databases give the same text for each.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """What a value can hold."""

    PLAIN = "plain"  # letters, digits, dashes, dots and colons of our own: never quoted, never a formula
    WORD = "word"  # an address or the like, which was checked: it may need quotes, and has no line breaks
    TEXT = "text"  # whatever somebody wrote
    JSON = "json"  # an object that is JSON already


@dataclass(frozen=True)
class Column:
    """A value of a subscription: what it is called, and an SQL expression for its text on each database."""

    name: str
    postgresql: str
    sqlite: str
    kind: Kind


_ID_PARTS = ((1, 8), (9, 4), (13, 4), (17, 4), (21, 12))


def _same(name: str, expression: str, kind: Kind) -> Column:
    return Column(name, expression, expression, kind)


def _id(name: str, column: str) -> Column:
    """With its hyphens, as everywhere; SQLite keeps 32 hexadecimal digits."""
    parts = [f"substr({column}, {start}, {length})" for start, length in _ID_PARTS]
    return Column(name, f"{column}::text", " || '-' || ".join(parts), Kind.PLAIN)


def _time(name: str, column: str) -> Column:
    """RFC 3339 in UTC, to the microsecond (O9): how SQLite keeps it."""
    text = f"""to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""
    return Column(name, text, column, Kind.PLAIN)


DEFAULT = (
    _id("id", "s.id"),
    _same("email", "p.address", Kind.WORD),
    _same("name", "p.name", Kind.TEXT),
    _same("state", "s.state", Kind.PLAIN),
    _same("locale", "p.locale", Kind.WORD),
    _same("source", "s.source", Kind.WORD),
    _time("created_at", "s.created_at"),
    _time("confirmed_at", "s.confirmed_at"),
    _time("unsubscribed_at", "s.unsubscribed_at"),
    Column("attributes", "p.attributes::text", "p.attributes", Kind.JSON),
)
_SLUG = "(SELECT l.slug FROM mailing_lists l WHERE l.id = s.list_id)"
_MORE = (
    _same("list", _SLUG, Kind.PLAIN),
    _id("subscriber_id", "p.id"),
    _time("subscriber_created_at", "p.created_at"),
    _time("asked_at", "s.asked_at"),
    _same("generation", "s.generation", Kind.PLAIN),
    _time("paused_until", "s.paused_until"),
)
ALL = {column.name: column for column in (*DEFAULT, *_MORE)}
ARCHIVE = (
    *DEFAULT,
    *(ALL[name] for name in ("list", "generation", "asked_at", "subscriber_created_at", "paused_until")),
)
IDENTITY = _same("identity", "p.identity", Kind.WORD)


# What other tools take, heading by heading (checklist O10). An empty text is left out rather than quoted.


def _called(name: str, column: str) -> Column:
    known = ALL[column]
    return Column(name, f"nullif({known.postgresql}, '')", f"nullif({known.sqlite}, '')", known.kind)


def _always(name: str, text: str) -> Column:
    return _same(name, f"'{text}'", Kind.PLAIN)


def _empty(name: str) -> Column:
    return Column(name, "NULL::text", "NULL", Kind.PLAIN)


# A name's first word, and the rest.
_FIRST_NAME = Column(
    "First Name",
    "nullif(split_part(btrim(p.name), ' ', 1), '')",
    "nullif(substr(trim(p.name), 1, instr(trim(p.name) || ' ', ' ') - 1), '')",
    Kind.TEXT,
)
_LAST_NAME = Column(
    "Last Name",
    "nullif(ltrim(substr(btrim(p.name), strpos(btrim(p.name) || ' ', ' '))), '')",
    "nullif(ltrim(substr(trim(p.name), instr(trim(p.name) || ' ', ' '))), '')",
    Kind.TEXT,
)
_SUBSCRIBED = _same(
    "subscribed_to_emails", "CASE s.state WHEN 'confirmed' THEN 'true' ELSE 'false' END", Kind.PLAIN
)
_MILLISECONDS = Column(
    "created_at",
    """to_char(s.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')""",
    "substr(s.created_at, 1, 23) || 'Z'",
    Kind.PLAIN,
)

PRESETS: dict[str, tuple[Column, ...]] = {
    "listmonk": (_called("email", "email"), _called("name", "name"), ALL["attributes"]),
    "ghost": (
        _called("email", "email"),
        _called("name", "name"),
        _empty("note"),
        _SUBSCRIBED,
        _always("complimentary_plan", "false"),
        _empty("stripe_customer_id"),
        _MILLISECONDS,
        _called("labels", "list"),
    ),
    "mailchimp": (
        _called("Email Address", "email"),
        _FIRST_NAME,
        _LAST_NAME,
        _called("Tags", "list"),
    ),
    "buttondown": (_called("email", "email"), _called("name", "name"), _called("tags", "list")),
    "kit": (
        _called("email", "email"),
        Column("first_name", _FIRST_NAME.postgresql, _FIRST_NAME.sqlite, Kind.TEXT),
        _called("tags", "list"),
    ),
}

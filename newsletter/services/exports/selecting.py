"""Which subscriptions an export holds, as SQL. What somebody typed is bound as a parameter, on SQLite by the
database, on PostgreSQL by its driver: COPY takes none."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from newsletter.database import canonical_json, rfc3339
from newsletter.services.exports.columns import Column
from newsletter.services.exports.request import ExportRequest

_TO_THE_END = timedelta(days=1) - timedelta(microseconds=1)  # of a day, as finely as moments are kept


@dataclass(frozen=True)
class Dialect:
    """What a database says in words of its own."""

    parameter: str
    expression: Callable[[Column], str]
    id: Callable[[UUID], Any]
    moment: Callable[[datetime], Any]
    now: str
    ends_with: str  # whether {text} ends with {end}, which has {length} characters
    attribute: str  # the text of a person's attribute {key}; none where it is no text, number or boolean
    json: str


POSTGRESQL = Dialect(
    parameter="%({})s",
    expression=lambda column: column.postgresql,
    id=lambda identifier: identifier,
    moment=lambda moment: moment,
    now="now()",
    ends_with="right({text}, {length}) = {end}",
    attribute=(
        "CASE WHEN json_typeof(p.attributes -> {key}::text) IN ('string', 'number', 'boolean') "
        "THEN p.attributes ->> {key}::text END"
    ),
    json="to_json({})::text",
)
SQLITE = Dialect(
    parameter=":{}",
    expression=lambda column: column.sqlite,
    id=lambda identifier: identifier.hex,
    moment=rfc3339,
    now="strftime('%Y-%m-%dT%H:%M:%fZ', 'now')",
    ends_with="substr({text}, -{length}) = {end}",
    # SQLite's own functions write numbers in another way than they were stored.
    attribute="CASE WHEN instr(p.attributes, {key_text}) THEN newsletter_attribute(p.attributes, {key}) END",
    json="json_quote({})",
)


@dataclass(frozen=True)
class Selection:
    """FROM, WHERE and ORDER BY, with the values of the parameters in them."""

    sql: str
    values: dict[str, Any]


def dialect_of(connection: Connection) -> Dialect:
    """The dialect of a connection, made ready for what a selection asks."""
    if connection.dialect.name == "postgresql":
        return POSTGRESQL
    driver = connection.connection.driver_connection
    assert driver is not None
    driver.create_function("newsletter_attribute", 2, _attribute_text, deterministic=True)
    return SQLITE


def select(
    request: ExportRequest, dialect: Dialect, *, after: UUID | None = None, until: UUID | None = None
) -> Selection:
    """The request's subscriptions, in order of their first sign-up; those of the ids `after` one and `until`
    another."""
    values: dict[str, Any] = {}
    bind = _binder(dialect, values)
    conditions = _of_lists(request, dialect, bind)
    if after is not None:
        conditions.append(f"s.id > {bind('after', dialect.id(after))}")
    if until is not None:
        conditions.append(f"s.id <= {bind('until_id', dialect.id(until))}")
    if request.joined_from is not None:
        conditions.append(f"s.created_at >= {bind('from', dialect.moment(_midnight(request.joined_from)))}")
    if request.joined_until is not None:
        end = _midnight(request.joined_until) + _TO_THE_END
        conditions.append(f"s.created_at <= {bind('until', dialect.moment(end))}")
    if request.source is not None:
        conditions.append(f"s.source = {bind('source', request.source)}")
    if request.domain is not None:
        end_of_identity = f"@{request.domain}"
        conditions.append(
            dialect.ends_with.format(
                text="p.identity", length=len(end_of_identity), end=bind("domain", end_of_identity)
            )
        )
    if not request.holds_paused:
        conditions.append(f"(s.paused_until IS NULL OR s.paused_until <= {dialect.now})")
    if request.attribute is not None:
        key, value = request.attribute
        attribute = dialect.attribute.format(
            key=bind("key", key),
            key_text=bind("key_text", canonical_json(key)),
        )
        conditions.append(f"{attribute} = {bind('value', value)}")
    return Selection(
        "FROM subscriptions s JOIN subscribers p ON p.id = s.subscriber_id "
        f"WHERE {' AND '.join(conditions)} ORDER BY s.id",
        values,
    )


def place(request: ExportRequest, dialect: Dialect, number: int) -> Selection:
    """The id of subscription `number` of the request's lists and states, whatever its other filters say: a
    whole statement."""
    values: dict[str, Any] = {}
    conditions = _of_lists(request, dialect, _binder(dialect, values))
    sql = f"SELECT s.id FROM subscriptions s WHERE {' AND '.join(conditions)} ORDER BY s.id"  # noqa: S608
    return Selection(f"{sql} LIMIT 1 OFFSET {int(number)}", values)


def _binder(dialect: Dialect, values: dict[str, Any]) -> Callable[[str, Any], str]:
    """What puts a value among `values`, and gives the parameter that stands for it."""

    def bind(name: str, value: Any) -> str:
        values[name] = value
        return dialect.parameter.format(name)

    return bind


def _of_lists(request: ExportRequest, dialect: Dialect, bind: Callable[[str, Any], str]) -> list[str]:
    """The conditions by which most is left out: an index has them."""

    def among(name: str, items: list[Any]) -> str:
        return ", ".join(bind(f"{name}_{number}", item) for number, item in enumerate(items)) or "NULL"

    conditions = [f"s.state IN ({among('state', [state.value for state in request.states])})"]
    if request.list_id is not None:
        conditions.insert(0, f"s.list_id = {bind('list', dialect.id(request.list_id))}")
    elif request.lists is not None:
        lists = [dialect.id(list_id) for list_id in sorted(request.lists)]
        conditions.insert(0, f"s.list_id IN ({among('list', lists)})")
    return conditions


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _attribute_text(attributes: str, key: str) -> str | None:
    """What PostgreSQL's ->> gives for a text, a number or a boolean."""
    value = json.loads(attributes, parse_float=str, parse_int=str).get(key)
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else None

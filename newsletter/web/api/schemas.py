"""What goes into the API and comes out of it: the words that all resources share."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping
from typing import Any

from marshmallow import RAISE, Schema, ValidationError, fields, pre_load, validate
from webargs.fields import DelimitedList

from newsletter.database import rfc3339
from newsletter.domain.lifecycle import State


class Moment(fields.DateTime):
    """A moment in RFC 3339, in UTC."""

    def _serialize(self, value: Any, *_: Any, **__: Any) -> str | None:
        return None if value is None else rfc3339(value)


class Fields(Schema):
    """What a caller sends: unknown fields are refused by their name, and so is what no database could
    keep."""

    class Meta:
        unknown = RAISE

    @pre_load
    def refuse_what_cannot_be_kept(self, data: Any, **_: Any) -> Any:
        if isinstance(data, Mapping):
            faults = {name: [fault] for name in data if (fault := _fault(data[name]) or _fault(name))}
            if faults:
                raise ValidationError(faults)
        return data


def _fault(value: Any) -> str | None:
    """What is wrong with a value wherever it stands, however deep."""
    if isinstance(value, str):
        if "\0" in value:
            return "Must not hold the character NUL."
        if any(unicodedata.category(character) == "Cs" for character in value):
            return "Holds half of a character (a lone surrogate)."
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return "Must be a finite number."
    inner: list[Any] = []
    if isinstance(value, Mapping):
        inner = [*value.keys(), *value.values()]
    elif isinstance(value, list):
        inner = value
    return next((fault for item in inner if (fault := _fault(item))), None)


class Several(DelimitedList):
    """Values separated by commas in a query, or each in a parameter of its own, as some generated clients
    write them whatever the document says: none of them is lost."""

    is_multiple = True

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> Any:
        written = ",".join(value) if isinstance(value, list) else value
        return super()._deserialize(written, attr, data, **options)  # type: ignore[no-untyped-call]

    def _serialize(self, value: Any, *_: Any, **__: Any) -> list[Any]:
        """For the document, whose defaults are lists."""
        return list(value)


class TrueOrFalse(fields.Boolean):
    """JSON's own, and nothing that could pass for it."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> Any:
        if not isinstance(value, bool):
            raise self.make_error("invalid", input=value)
        return super()._deserialize(value, attr, data, **options)


def line(longest: int, *, least: int = 0, **more: Any) -> fields.String:
    """A text of at most `longest` characters."""
    return fields.String(validate=validate.Length(min=least or None, max=longest), **more)


def choice(*values: str, **more: Any) -> fields.String:
    """One of some words."""
    return fields.String(validate=validate.OneOf(values), **more)


def state(**more: Any) -> fields.String:
    """A state of a subscription."""
    return choice(*(one.value for one in State), **more)


def told(description: str, **more: Any) -> dict[str, Any]:
    """What the document says of a field."""
    return {"metadata": {"description": description}} | more


def address(**more: Any) -> fields.String:
    """The whole address of a thing."""
    return fields.String(**({"metadata": {"format": "uri"}} | more))


class AboutAPerson(Schema):
    """What is kept of a person, the same on every list."""

    email = fields.String(required=True)
    name = fields.String(required=True, allow_none=True)
    locale = fields.String(required=True)
    attributes = fields.Dict(required=True)


class AboutASubscription(Schema):
    """How and when somebody came to a list, and left it."""

    source = fields.String(required=True, **told("By which way they came first."))
    created_at = Moment(required=True)
    confirmed_at = Moment(required=True, allow_none=True)
    unsubscribed_at = Moment(required=True, allow_none=True)
    paused_until = Moment(
        required=True,
        allow_none=True,
        **told("They want no mail before then, though they are confirmed. One that is past means nothing."),
    )


class ProblemSchema(Schema):
    """Why there is no answer (RFC 9457, `application/problem+json`)."""

    type = fields.String(required=True)
    title = fields.String(required=True, **told("What the status means."))
    status = fields.Integer(required=True)
    detail = fields.String(required=True, **told("What is wrong, and what to do, for people."))
    code = fields.String(required=True, **told("What is wrong, for programs."))
    errors = fields.Dict(
        keys=fields.String(), values=fields.String(), **told("What is wrong with which field.")
    )

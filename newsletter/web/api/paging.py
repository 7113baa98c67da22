"""Pages of a collection: by a cursor that says after which item the next page begins, so that what is added
meanwhile is neither shown twice nor makes others be left out; and nothing has to be counted."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import urlencode

from flask import request
from marshmallow import Schema, fields, validate

from newsletter.parts import parts
from newsletter.web.api.schemas import Fields, told
from newsletter.web.problems import Problem

Item = TypeVar("Item")
Key = TypeVar("Key")

PageAnswer = tuple[dict[str, Any], int, dict[str, str]]

USUAL, MOST = 100, 500


class Paged(Fields):
    """Which page of a collection."""

    cursor = fields.String(
        validate=validate.And(validate.Length(min=1, max=500), validate.Regexp("^[A-Za-z0-9_-]+={0,2}$")),
        **told("Where the page begins: taken from `next` of the page before.", load_default=None),
    )
    limit = fields.Integer(
        validate=validate.Range(min=1, max=MOST),
        **told("How many items at most.", load_default=USUAL),
    )


class Page(Schema):
    """A page. `next` is the whole address of the following one; null on the last."""

    next = fields.String(
        required=True,
        allow_none=True,
        metadata={"format": "uri", "description": "The address of the next page; null on the last one."},
    )


def page_of(item: type[Schema]) -> type[Schema]:
    """The schema of a page of items."""
    name = f"PageOf{item.__name__}s"
    return type(
        name, (Page,), {"items": fields.List(fields.Nested(item), required=True), "__doc__": Page.__doc__}
    )


def read_cursor(text: str | None, read: Callable[[str], Key]) -> Key | None:
    """The key that a cursor holds. Raises a `Problem` where it is none of ours."""
    if text is None:
        return None
    try:
        return read(base64.urlsafe_b64decode(text.encode("ascii")).decode())
    except (binascii.Error, ValueError) as error:
        wrong = "Is none that this API gave out. Leave it out to begin with the first page."
        raise Problem(422, "invalid", "The cursor cannot be read.", errors={"cursor": wrong}) from error


def page(found: Sequence[Item], limit: int, key: Callable[[Item], object]) -> PageAnswer:
    """The answer for the first `limit` of `found`, where one more tells that there is another page. `key`
    gives what the cursor of that page holds."""
    items = found[:limit]
    return following(items, key(items[-1]) if len(found) > limit else None)


def following(items: Sequence[Any], key: object | None) -> PageAnswer:
    """The answer for a page; the next one begins after `key`, where there is one."""
    if key is None:
        return {"items": items, "next": None}, 200, {}
    cursor = base64.urlsafe_b64encode(str(key).encode()).decode()
    query = {**request.args.to_dict(), "cursor": cursor}
    where = f"{parts().settings.base_url}{request.path}?{urlencode(query)}"
    return {"items": items, "next": where}, 200, {"Link": f'<{where}>; rel="next"'}

"""The OpenAPI document as people read it: its references followed, schemas in words, calls for curl."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

_METHODS = ("get", "post", "patch", "put", "delete")
_EXAMPLE_ID = "019b2f6e-5c00-7d11-8a55-0f6f4bb3c003"
_PATHS = {"slug": "sport", "format": "csv"}


@dataclass(frozen=True)
class Field:
    """A parameter, or a field of an object: its name, what it holds, and what that means."""

    name: str
    kind: str
    required: bool
    description: str


@dataclass(frozen=True)
class Answer:
    """What is answered with a status."""

    status: str
    description: str
    content_type: str
    fields: tuple[Field, ...]
    example: str


@dataclass(frozen=True)
class Operation:
    """One call."""

    id: str
    method: str
    path: str
    summary: str
    description: str
    scope: str
    parameters: tuple[Field, ...]
    body: tuple[Field, ...]
    answers: tuple[Answer, ...]
    refusals: tuple[str, ...]
    curl: str


@dataclass(frozen=True)
class Chapter:
    """The calls about one kind of thing."""

    name: str
    description: str
    operations: tuple[Operation, ...]


def chapters(document: Mapping[str, Any]) -> list[Chapter]:
    """The document's operations by their tags, in the document's order."""
    reader = _Reader(document)
    found = [operation for path in document["paths"].items() for operation in reader.operations(*path)]
    return [
        Chapter(
            tag["name"],
            tag.get("description", ""),
            tuple(operation for of_tag, operation in found if of_tag == tag["name"]),
        )
        for tag in document["tags"]
    ]


def _first(content: Mapping[str, Mapping[str, Any]]) -> tuple[str, Mapping[str, Any]]:
    """The first media type of a body, and what is said of it."""
    return next(iter(content.items()), ("", {}))


class _Reader:
    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document

    def operations(self, path: str, item: Mapping[str, Any]) -> Iterator[tuple[str, Operation]]:
        """The operations at a path, each with its tag."""
        for method in _METHODS:
            if method in item:
                yield item[method]["tags"][0], self._operation(path, method, item, item[method])

    def _operation(
        self, path: str, method: str, item: Mapping[str, Any], operation: Mapping[str, Any]
    ) -> Operation:
        parameters = [
            self._follow(one) for one in (*item.get("parameters", ()), *operation.get("parameters", ()))
        ]
        content = operation.get("requestBody", {}).get("content", {})
        media, body = _first(content)
        responses = operation["responses"]
        good = [status for status in responses if status.startswith("2")]
        return Operation(
            id=operation["operationId"],
            method=method.upper(),
            path=path,
            summary=operation.get("summary", ""),
            description=operation.get("description", ""),
            scope=", ".join(scope for one in operation.get("security", ()) for scope in one.get("token", ())),
            parameters=tuple(
                Field(
                    one["name"],
                    self._kind(one["schema"]),
                    one.get("required", False),
                    one.get("description", "") or one["schema"].get("description", ""),
                )
                for one in parameters
            ),
            body=self._fields(body.get("schema", {})),
            answers=tuple(self._answer(status, self._follow(responses[status])) for status in sorted(good)),
            refusals=tuple(sorted(status for status in responses if status.startswith("4"))),
            curl=self._curl(path, method, parameters, media, body),
        )

    def _answer(self, status: str, response: Mapping[str, Any]) -> Answer:
        media, content = _first(response.get("content", {}))
        example = content.get("example", "")
        text = example if isinstance(example, str) else json.dumps(example, indent=2, ensure_ascii=False)
        schema = content.get("schema", {})
        return Answer(status, response["description"], media, self._fields(schema), text)

    def _curl(
        self, path: str, method: str, parameters: list[Any], media: str, body: Mapping[str, Any]
    ) -> str:
        query = {
            one["name"]: one["example"] for one in parameters if one["in"] == "query" and "example" in one
        }
        query |= {
            one["name"]: "ann@example.org"
            for one in parameters
            if one["in"] == "query" and one.get("required") and one["name"] not in query
        }
        for one in parameters:
            if one["in"] == "path":
                path = path.replace(f"{{{one['name']}}}", _PATHS.get(one["name"], _EXAMPLE_ID))
        where = self._document["servers"][0]["url"] + path + (f"?{urlencode(query)}" if query else "")
        parts = ["curl"] if method == "get" else [f"curl -X {method.upper()}"]
        parts.append("-H 'Authorization: Bearer nlt_…'")
        if any(one["name"] == "Idempotency-Key" for one in parameters):
            parts.append(f"-H 'Idempotency-Key: {_EXAMPLE_ID}'")
        if media == "application/json":
            sent = json.dumps(body.get("example", {}), ensure_ascii=False)
            parts += ["-H 'Content-Type: application/json'", f"-d '{sent}'"]
        elif media:
            parts.append("-F file=@subscribers.csv")
        return " \\\n  ".join([*parts, f"'{where}'"])

    def _follow(self, part: Mapping[str, Any]) -> Mapping[str, Any]:
        """What a reference leads to."""
        while "$ref" in part:
            found: Any = self._document
            for step in part["$ref"].removeprefix("#/").split("/"):
                found = found[step]
            part = found
        return part

    def _fields(self, schema: Mapping[str, Any], prefix: str = "", depth: int = 0) -> tuple[Field, ...]:
        """The fields of an object, those of the objects in it included."""
        schema = self._object_in(schema)
        required = schema.get("required", ())
        found: list[Field] = []
        for name, one in schema.get("properties", {}).items():
            described = one if "description" in one else self._follow(one)
            found.append(
                Field(prefix + name, self._kind(one), name in required, described.get("description", ""))
            )
            inner = self._object_in(one)
            if depth < 2 and "properties" in inner:
                mark = "[]" if self._is_list(one) else ""
                found += self._fields(inner, f"{prefix}{name}{mark}.", depth + 1)
        return tuple(found)

    def _object_in(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """The object that a schema is, or a list of which it is, or which may be null."""
        schema = self._follow(schema)
        for several in ("anyOf", "oneOf", "allOf"):
            for one in schema.get(several, ()):
                if self._follow(one).get("type") != "null":
                    return self._object_in(one)
        return self._object_in(schema["items"]) if "items" in schema else schema

    def _is_list(self, schema: Mapping[str, Any]) -> bool:
        return "items" in self._follow(schema)

    def _kind(self, schema: Mapping[str, Any]) -> str:
        """What a value is, in a few words."""
        schema = self._follow(schema)
        for several in ("anyOf", "oneOf", "allOf"):
            if several in schema:
                return " or ".join(dict.fromkeys(self._kind(one) for one in schema[several]))
        if "items" in schema:
            return f"list of {self._kind(schema['items'])}"
        if "enum" in schema:
            return " or ".join("null" if one is None else str(one) for one in schema["enum"])
        kinds = schema.get("type", "any")
        words = " or ".join(kinds) if isinstance(kinds, list) else str(kinds)
        words = words.replace("string", {"uuid": "id", "date-time": "moment", "uri": "address"}.get(
            schema.get("format", ""), "text"
        )).replace("integer", "number")  # fmt: skip
        least, most = schema.get("minimum"), schema.get("maximum")
        if least is not None and most is not None and most < 2**53:
            words += f", {least} to {most}"
        if "maxLength" in schema:
            words += f", at most {schema['maxLength']} characters"
        return words

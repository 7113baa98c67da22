"""The document that describes the API, held against the live server by a program that tries to break both."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

from tests.support.api import caller
from tests.support.service import Service

_EXAMPLES = 10  # of each call, beside those that try the bounds of every field
# What can be taken depends on what is there: a key that was used, a cursor that was given out. And whoever
# erases a person erases subscriptions that other calls had made.
_CONFIGURATION = """\
[checks]
ensure_resource_availability.enabled = false
positive_data_acceptance.expected-statuses = ["2xx", 400, 401, 403, 404, 409, 422, 429]
negative_data_rejection.expected-statuses = [400, 401, 403, 404, 405, 406, 409, 413, 415, 422, 428, 429]
"""


def test_the_live_server_does_what_the_document_says(make_service: Any, tmp_path: Path) -> None:
    service: Service = make_service("sqlite", NEWSLETTER_API_LIMIT="1000000/minute")
    service.confirmed("ann@example.org")
    call = caller(service)
    (tmp_path / "schemathesis.toml").write_text(_CONFIGURATION)

    with service.served("--without-worker", "--workers", "1") as url:
        run = subprocess.run(
            [
                sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()",
                "run", f"{url}/api/v1/openapi.json",
                "--header", f"Authorization: Bearer {call.token}",
                "--phases", "examples,coverage,fuzzing,stateful",
                "--max-examples", str(_EXAMPLES),
                "--seed", "1",
                "--no-shrink",
                "--continue-on-failure",
                "--generation-database", "none",
                "--no-color",
                # How quickly a machine draws examples and answers is no property of the API.
                "--suppress-health-check", "all",
                "--request-timeout", "120",
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=900,
        )  # fmt: skip

    assert run.returncode == 0, run.stdout[-20_000:] + run.stderr[-2000:]
    assert call.get("/lists").status_code == 200  # it has not revoked its own token


def contents(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """What goes in and comes out of each call: its name, and the schema with its example."""
    for item in document["paths"].values():
        for operation in (part for part in item.values() if isinstance(part, dict)):
            bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
            for body in bodies:
                for media, content in body.get("content", {}).items():
                    yield f"{operation['operationId']} {media}", content


def test_the_document_is_valid_openapi_3_1(on_sqlite: Service) -> None:
    document = on_sqlite.client.get("/api/v1/openapi.json").get_json()

    faults = [error.message for error in OPENAPI_31_VALIDATOR.iter_errors(document)]
    assert faults == []
    for name, schema in document["components"]["schemas"].items():
        jsonschema_rs.Draft202012Validator(schema | {"components": document["components"]}), name


def test_each_example_is_what_its_schema_says(on_sqlite: Service) -> None:
    document = on_sqlite.client.get("/api/v1/openapi.json").get_json()
    looked_at = 0
    for name, content in contents(document):
        if "example" in content and not isinstance(content["example"], str):
            schema = content["schema"] | {"components": document["components"]}
            validator = jsonschema_rs.Draft202012Validator(schema)
            assert [error.message for error in validator.iter_errors(content["example"])] == [], name
            looked_at += 1
    assert looked_at > 20


def operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All calls."""
    for item in document["paths"].values():
        yield from (part for part in item.values() if "responses" in part)


def test_nothing_in_the_document_is_unused_and_an_upload_is_one_kind_of_form(on_sqlite: Service) -> None:
    document = on_sqlite.client.get("/api/v1/openapi.json").get_json()
    written = json.dumps(document)

    unused = [
        f"{kind}/{name}"
        for kind, parts in document["components"].items()
        for name in parts
        if f'"#/components/{kind}/{name}"' not in written
    ]
    assert unused == ["securitySchemes/token"]  # which is named, and no reference
    assert document["info"]["license"] == {"name": "MIT", "identifier": "MIT"}
    sent = {tuple(one["requestBody"]["content"]) for one in operations(document) if "requestBody" in one}
    assert sent == {("application/json",), ("multipart/form-data",)}
    upload = document["paths"]["/api/v1/lists/{slug}/imports"]["post"]
    file = upload["requestBody"]["content"]["multipart/form-data"]["schema"]["properties"]["file"]
    assert (file["type"], file["format"]) == ("string", "binary")
    assert [one.get("name") for one in upload["parameters"]] == ["filename", None]  # and the Idempotency-Key


def test_each_default_in_the_document_is_what_its_schema_says(on_sqlite: Service) -> None:
    document = on_sqlite.client.get("/api/v1/openapi.json").get_json()
    schemas = [
        one["schema"]
        for call in operations(document)
        for one in call.get("parameters", ())
        if "schema" in one
    ]
    for schema in document["components"]["schemas"].values():
        schemas += schema.get("properties", {}).values()

    wrong = [one for one in schemas if "default" in one and not jsonschema_rs.is_valid(one, one["default"])]
    assert wrong == []

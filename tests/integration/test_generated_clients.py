"""Clients that two generators make from the API's document do the whole way against the real server: a file in,
subscribers out."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import subprocess
import sys
from contextlib import closing
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

import pytest

from tests.support.api import caller
from tests.support.service import Service, eventually

# Bytes that are no text, as a file from a spreadsheet may hold.
CSV = "Email,Name\nann@example.org,Ann Müller\n".encode("cp1252")


class Client(Protocol):
    """What each of the clients does, in its own words."""

    def upload(self, name: str, content: bytes) -> UUID: ...
    def start(self, import_id: UUID) -> None: ...
    def state(self, import_id: UUID) -> str: ...
    def export(self, form: str) -> bytes: ...
    def changes(self) -> bytes: ...
    def refused(self, slug: str) -> str: ...
    def close(self) -> None: ...


class OfOpenapiPythonClient:
    """https://github.com/openapi-generators/openapi-python-client"""

    def __init__(self, package: str, url: str, token: str) -> None:
        self._package = package
        self._client = self._module("client").AuthenticatedClient(base_url=url, token=token)

    @staticmethod
    def generate(document: Path, folder: Path, package: str) -> None:
        config = folder / "config.yml"
        config.write_text("post_hooks: []\n")  # such as formatting
        run = "from openapi_python_client.cli import app; app()"
        _run(
            sys.executable, "-c", run, "generate", "--path", document, "--output-path", folder / package,
            "--meta", "none", "--config", config, "--fail-on-warning",
        )  # fmt: skip

    def _module(self, name: str) -> Any:
        return import_module(f"{self._package}.{name}")

    def _call(self, name: str, *arguments: Any, **more: Any) -> Any:
        call = self._module(f"api.{name}")
        answer = call.sync_detailed(*arguments, client=self._client, **more)
        assert answer.status_code < 300, answer.content
        return answer.parsed

    def upload(self, name: str, content: bytes) -> UUID:
        types, models = self._module("types"), self._module("models")
        body = models.UploadImportBody(file=types.File(payload=io.BytesIO(content), file_name=name))
        made = self._call("imports.upload_import", "daily", body=body, idempotency_key="one")
        assert made.filename == name
        return UUID(str(made.id))

    def start(self, import_id: UUID) -> None:
        options = self._module("models").ImportOptions.from_dict({"encoding": "cp1252"})
        self._call("imports.start_import", import_id, body=options)

    def state(self, import_id: UUID) -> str:
        return str(self._call("imports.get_import", import_id).state)

    def export(self, form: str) -> bytes:
        made = self._module("models")
        state = [made.ExportStateItem(one) for one in ("pending", "confirmed")]
        found = self._call(
            "exports.export", "daily", format_=made.ExportFormat(form), state=state, gzip=form == "jsonl"
        )
        return bytes(found.payload.read())

    def changes(self) -> bytes:
        return bytes(self._call("changes.get_changes", "daily", since=0).payload.read())

    def refused(self, slug: str) -> str:
        found = self._module("api.lists.get_list").sync(slug, client=self._client)
        return str(found.code)

    def close(self) -> None:
        self._client.get_httpx_client().close()


class OfOpenapiGenerator:
    """https://openapi-generator.tech, its generator `python`"""

    def __init__(self, package: str, url: str, token: str) -> None:
        self._made: Any = import_module(package)
        configuration = self._made.Configuration(host=url, access_token=token)
        self._client = self._made.ApiClient(configuration)

    @staticmethod
    def generate(document: Path, folder: Path, package: str) -> None:
        parts = "models,apis,supportingFiles,modelDocs=false,apiDocs=false,modelTests=false,apiTests=false"
        run = "from openapi_generator_cli import cli; cli()"
        _run(
            sys.executable, "-c", run, "generate", "--generator-name", "python", "--input-spec", document,
            "--output", folder, "--package-name", package, "--global-property", parts,
        )  # fmt: skip

    def _api(self, name: str) -> Any:
        return getattr(self._made, f"{name}Api")(self._client)

    def upload(self, name: str, content: bytes) -> UUID:
        made = self._api("Imports").upload_import("daily", file=(name, content))
        assert made.filename == name
        return UUID(str(made.id))

    def start(self, import_id: UUID) -> None:
        self._api("Imports").start_import(import_id, self._made.ImportOptions(encoding="cp1252"))

    def state(self, import_id: UUID) -> str:
        return str(self._api("Imports").get_import(import_id).state)

    def export(self, form: str) -> bytes:
        found = self._api("Exports").export(
            "daily", format=form, state=["pending", "confirmed"], gzip=form == "jsonl"
        )
        return bytes(found)

    def changes(self) -> bytes:
        return bytes(self._api("Changes").get_changes("daily", since=0))

    def refused(self, slug: str) -> str:
        with pytest.raises(self._made.exceptions.NotFoundException) as raised:
            self._api("Lists").get_list(slug)
        return str(raised.value.data.code)

    def close(self) -> None:
        self._client.rest_client.pool_manager.clear()


def _run(*arguments: object) -> None:
    quick_java = os.environ | {"JAVA_OPTS": "-XX:TieredStopAtLevel=1"}
    done = subprocess.run([*map(str, arguments)], env=quick_java, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("kind", [OfOpenapiPythonClient, OfOpenapiGenerator])
def test_a_generated_client_takes_a_file_in_and_subscribers_out(
    kind: Any, make_service: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service: Service = make_service("sqlite")
    service.confirmed("bob@example.org")
    document = tmp_path / "openapi.json"
    document.write_bytes(service.client.get("/api/v1/openapi.json").data)
    package = f"made_by_{kind.__name__.lower()}"
    kind.generate(document, tmp_path, package)
    monkeypatch.syspath_prepend(tmp_path)

    with (
        service.served("--workers", "1") as url,
        closing(kind(package, url, caller(service).token)) as made_client,
    ):
        client: Client = made_client
        made = client.upload("readers.csv", CSV)
        client.start(made)
        eventually(lambda: client.state(made) == "done")

        rows = list(csv.DictReader(client.export("csv").decode().splitlines()))
        assert [(row["email"], row["name"], row["state"]) for row in rows] == [
            ("bob@example.org", "", "confirmed"), ("ann@example.org", "Ann Müller", "pending"),
        ]  # fmt: skip
        lines = gzip.decompress(client.export("jsonl")).splitlines()
        assert [json.loads(line)["email"] for line in lines] == [row["email"] for row in rows]
        assert json.loads(client.changes().splitlines()[0])["subscriber"]["email"] == "bob@example.org"
        assert client.refused("nowhere") == "not_found"

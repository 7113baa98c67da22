"""Erasing somebody finds their address wherever else it was written down, in whatever way."""

from __future__ import annotations

import json
from uuid import UUID, uuid4

import pytest
from sqlalchemy import insert

from newsletter.database import canonical_json, table_of
from newsletter.domain.roles import Scope
from newsletter.models import IdempotencyKey, Import, ImportRefusal, ImportState
from newsletter.services import subscribers, tokens
from newsletter.services.access import COMMAND_LINE
from tests.support.acting import everywhere, the_list, writing
from tests.support.people import Person, add_people
from tests.support.service import Service, now


def write_down(service: Service, text: str) -> None:
    """Where an address may stand: in an answer of the API that is kept, in a row that an import refused."""
    daily, one = the_list(service).id, uuid4()
    refused = {"id": one, "list_id": daily, "actor": "x", "filename": "f", "size": 1, "sha256": "",
               "state": ImportState.DONE.value, "options": {}, "report": {}, "rows_done": 1, "cancel": False,
               "created_at": now()}  # fmt: skip

    def store(session):  # type: ignore[no-untyped-def]
        token, _ = tokens.add(
            session, now(), COMMAND_LINE, name="Sync", scopes=[Scope.READ_LISTS], lists=None, life=None
        )
        kept = {
            "token_id": token.id,
            "key": "k",
            "request": "r",
            "status": 201,
            "body": text,
            "created_at": now(),
        }
        session.execute(insert(table_of(IdempotencyKey)), [kept])
        session.execute(insert(table_of(Import)), [refused])
        session.execute(
            insert(table_of(ImportRefusal)),
            [{"import_id": one, "line": 2, "text": text, "reason": "twice in the file"},
             {"import_id": one, "line": 3, "text": "bob", "reason": f"as {text}"[:400]},
             {"import_id": one, "line": 4, "text": "bob_x@example.org", "reason": "no"}],
        )  # fmt: skip

    writing(service, store)


@pytest.mark.parametrize("write", [str, str.upper, json.dumps, canonical_json])
@pytest.mark.parametrize(
    "address", ["bob_smith@example.org", "änn.o'smith@example.org", "日本smith@example.org"]
)
def test_no_trace_of_an_address_is_left(service: Service, write, address: str) -> None:  # type: ignore[no-untyped-def]
    (person,) = add_people(service, [Person(address, "Smith")])
    write_down(service, f'{{"email": {write(address)}}}')

    writing(
        service,
        lambda session: subscribers.erase(
            session, service.settings, now(), COMMAND_LINE, UUID(str(person)), way="operator"
        ),
    )

    for table, text in everywhere(service).items():
        assert "smith" not in text.lower(), table
    assert service.rows("SELECT line FROM import_refusals ORDER BY line") == [(2,), (3,), (4,)]
    assert service.one("SELECT text FROM import_refusals WHERE line = 4") == "bob_x@example.org"

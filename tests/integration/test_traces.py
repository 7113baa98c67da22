"""Erasing somebody finds their address wherever else it was written down, in whatever way."""

from __future__ import annotations

import base64
import json
import quopri
from collections.abc import Callable
from uuid import UUID, uuid4

import pytest
from sqlalchemy import delete, insert

from newsletter.database import canonical_json, table_of
from newsletter.dead_letters import DeadLetters
from newsletter.domain.roles import Scope
from newsletter.models import IdempotencyKey, Import, ImportChunk, ImportRefusal, ImportState
from newsletter.services import subscribers, tokens
from newsletter.services.access import COMMAND_LINE
from tests.support.acting import everywhere, the_list, writing
from tests.support.api import caller
from tests.support.importing import found, uploaded
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


def test_neither_a_caller_s_key_nor_a_statement_of_consent_keeps_an_address(service: Service) -> None:
    api = caller(service)
    for email in ("smith@example.org", "ann@example.org"):
        added = api.post(
            "/lists/daily/subscriptions",
            json={"email": email, "statement": "smith@example.org collected signatures"},
            headers={"Idempotency-Key": f"add:{email}"},
        )
        assert added.status_code == 201
    service.write("UPDATE idempotency_keys SET body = '{}'")

    _erase(service, "smith@example.org")
    assert service.rows("SELECT key FROM idempotency_keys") == [("add:ann@example.org",)]
    assert service.one("SELECT count(*) FROM wordings WHERE text LIKE 'smith%'") == 1  # evidence of Ann's

    service.write("UPDATE wordings SET text = 'ann@example.org signed' WHERE text LIKE 'smith%'")
    _erase(service, "ann@example.org")
    for table, text in everywhere(service).items():
        assert "ann@" not in text, table


def _erase(service: Service, address: str) -> None:
    subscription = service.one(
        "SELECT s.id FROM subscriptions s JOIN subscribers p ON p.id = s.subscriber_id WHERE p.address = :address",
        address=address,
    )
    writing(
        service,
        lambda session: subscribers.erase(
            session, service.settings, now(), COMMAND_LINE, UUID(str(subscription)), way="operator"
        ),
    )


@pytest.mark.parametrize("encode", [bytes, base64.encodebytes, base64.b64encode, quopri.encodestring])
@pytest.mark.parametrize(
    "text",
    [
        "änn=smith@example.org",
        "Unzustellbar: änn=smith@example.org nimmt für längere Zeit nichts an. " * 3,
        "änn=smith@example.org" + " " * 70_000,
    ],
    ids=["short", "long", "kept in part"],
)
def test_a_dead_letter_goes_however_its_text_is_encoded(
    on_sqlite: Service, text: str, encode: Callable[[bytes], bytes]
) -> None:
    folder = on_sqlite.settings.dead_letters_dir
    head = b"From: mx@example.net\r\n\r\n"
    for body in (text.encode(), b"about somebody else"):
        DeadLetters(folder).keep(head + encode(body), reason="odd", recipient=None, now=now())
    add_people(on_sqlite, [Person("änn=smith@example.org", "Smith")])

    _erase(on_sqlite, "änn=smith@example.org")

    assert len(list(folder.iterdir())) == 1


@pytest.mark.parametrize(
    ("row", "stays"),
    [
        ("bob@example.org", False),
        ("Bob@Example.Org;x", False),
        ("<bob@example.org>.", False),
        ("jim.bob@example.org", True),
        ("jimbob@example.org", True),
        ("bob@example.org.uk", True),
        (r"Bob \u003cbob@example.org\u003e", False),
        ("jimbob@example.org\nbob@example.org", False),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_file_that_waits_is_removed_for_the_address_itself_and_for_no_longer_one(
    on_sqlite: Service, row: str, stays: bool, encoding: str
) -> None:
    add_people(on_sqlite, [Person("bob@example.org")])
    import_id = uploaded(on_sqlite, f"email\n{row}\n".encode(encoding))
    _cut_up(on_sqlite, import_id)

    _erase(on_sqlite, "bob@example.org")

    assert found(on_sqlite, import_id).state == (ImportState.UPLOADED if stays else ImportState.CANCELLED)


def _cut_up(service: Service, import_id: UUID) -> None:
    """Keep a file in parts of one byte: a part may end anywhere."""
    chunks = table_of(ImportChunk)
    data = b"".join(part for (part,) in service.rows("SELECT data FROM import_chunks ORDER BY number"))
    rows = [
        {"import_id": import_id, "number": number, "data": data[number : number + 1]}
        for number in range(len(data))
    ]
    writing(service, lambda session: (session.execute(delete(chunks)), session.execute(insert(chunks), rows)))

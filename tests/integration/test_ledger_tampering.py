"""What docs/ledger.md lists: done behind the service's back, each on a list of its own, and what is found."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy.exc import IntegrityError

from tests.support.evidence import chain, faults, list_id, new_list, sign_ups, strays, tamper
from tests.support.service import Done, Service, path

_LOST = "was removed, but not its events"
_ADDED = "the event was inserted: the ledger does not know it"
_NO_RULE = "no rule leads here"
_NO_NUMBER = "with a number that is none"
_COPY = (
    "INSERT INTO consent_events ({id} list_id, subscription_id, kind, before, after, at, way, seq) "
    "SELECT {value} list_id, {whose}, '{kind}', {before}, {after}, at, way, {seq} "
    "FROM consent_events WHERE seq = :seq"
)


def _copy(**other: str) -> str:
    """A statement that puts in a copy of event `seq`, with something else in it."""
    usual = {"id": "", "value": "", "whose": "subscription_id", "kind": "edit", "seq": "NULL"}
    return _COPY.format(**usual | {"before": "'pending'", "after": "'pending'"} | other)


# By what was done: the statements, and a part of what is said. `seq` is the second of three sign-ups, `sub`
# its subscription, `list` their list, `other` another one, `fresh` an id that nobody has.
FOUND: dict[str, tuple[tuple[str, ...], str]] = {
    "a subscription is deleted alone": (("DELETE FROM subscriptions WHERE id = :sub",), _LOST),
    "a person is deleted, and no evidence": (
        ("DELETE FROM subscriptions WHERE id = :sub", "DELETE FROM subscribers WHERE id = :sub"), _LOST,
    ),
    "all subscriptions are deleted": (("DELETE FROM subscriptions WHERE list_id = :list",), _LOST),
    "a subscription is moved to another list": (
        ("UPDATE subscriptions SET list_id = :other WHERE id = :sub",), _LOST,
    ),
    "a subscription gets another id": (("UPDATE subscriptions SET id = :fresh WHERE id = :sub",), _LOST),
    "a subscription without events": (
        (
            "INSERT INTO subscriptions (id, subscriber_id, list_id, state, generation, source, created_at, asked_at) SELECT :fresh, :fresh, list_id, 'confirmed', 1, source, created_at, asked_at FROM subscriptions WHERE id = :sub",
        ),
        "is confirmed, but it has no event",
    ),
    "a state that no event led to": (
        ("UPDATE subscriptions SET state = 'confirmed' WHERE id = :sub",),
        "is confirmed, but its newest event left it pending",
    ),
    "a state that is none": (
        ("UPDATE subscriptions SET state = 'CONFIRMED' WHERE id = :sub",), "is CONFIRMED, but its newest event",
    ),
    "an event of no kind, without a number": ((_copy(kind="agree"),), _NO_RULE),
    "a confirmation out of nothing": ((_copy(kind="confirm", before="NULL", after="'confirmed'"),), _NO_RULE),
    "a step that no rule allows": ((_copy(kind="edit", after="'confirmed'"),), _NO_RULE),
    "a step that begins where the last one did not end": (
        (_copy(before="'confirmed'", after="'confirmed'"),), _NO_RULE,
    ),
    "a first step before all others": (
        (_copy(id="id,", value="-7,", kind="sign_up", before="NULL"),), _NO_RULE,
    ),
    "an event of nobody": ((_copy(whose=":fresh"),), _LOST),
    "an erasure of who is still here, before all others": (
        (_copy(id="id,", value="-7,", kind="forget", after="NULL"),), "is here, but an event says that it was erased",
    ),
    "an event with a number twice": ((_copy(seq="seq"),), _ADDED),
    "an event far ahead": ((_copy(seq="1000000"),), _ADDED),
    "an event at the number nought": ((_copy(seq="0"),), _NO_NUMBER),
    "an event at the least number there is, with the least id": (
        (_copy(id="id,", value="-9223372036854775807,", seq="-9223372036854775807 - 1"),), _NO_NUMBER,
    ),
    "a number is taken away": (("UPDATE consent_events SET seq = NULL WHERE seq = :seq",), "the event was removed"),
    "two events change places": (
        (
            "UPDATE consent_events SET seq = -seq WHERE seq IN (:seq, :seq + 1)",
            "UPDATE consent_events SET seq = 2 * :seq + 1 + seq WHERE seq < 0",
        ),
        "the event was altered",
    ),
    "words are removed": (("DELETE FROM wordings",), "the words that were shown were altered or removed"),
    "a page at the number nought": (
        (
            "INSERT INTO ledger_pages SELECT list_id, 0, entries, lines, salts, link FROM ledger_pages WHERE seq = :seq",
        ),
        _NO_NUMBER,
    ),
    "a page too many": (
        (
            "INSERT INTO ledger_pages SELECT list_id, 1000000, entries, lines, salts, link FROM ledger_pages WHERE seq = :seq",
        ),
        "a page of the ledger stands here that does not belong here",
    ),
}  # fmt: skip
# What only one of the two can be made to hold.
FOUND_ON_POSTGRESQL: dict[str, tuple[tuple[str, ...], str]] = {
    "a year before the first": (
        ("UPDATE consent_events SET at = (at::text || ' BC')::timestamptz WHERE seq = :seq",), "the event was altered",
    ),
    "a moment that never comes": (
        ("UPDATE consent_events SET at = 'infinity' WHERE seq = :seq",), "the event was altered",
    ),
}  # fmt: skip
FOUND_ON_SQLITE: dict[str, tuple[tuple[str, ...], str]] = {
    "a confirmation whose number is a text": (
        (_copy(kind="confirm", after="'confirmed'", seq="'x'"), "UPDATE subscriptions SET state = 'confirmed' WHERE id = :sub"),
        _NO_NUMBER,
    ),
    "a number between two": ((_copy(seq="seq + 0.5"),), _NO_NUMBER),
    "a number of bytes": ((_copy(seq="x'00'"),), _NO_NUMBER),
    "a page whose number is a text": (("UPDATE ledger_pages SET seq = 'x' WHERE seq = :seq",), _NO_NUMBER),
    "a kind of bytes": (("UPDATE consent_events SET kind = x'ff' WHERE seq = :seq",), "the event was altered"),
    "a text that is none": (
        ("UPDATE consent_events SET page = CAST(x'ff' AS TEXT) WHERE seq = :seq",), "the event was altered",
    ),
    "words of bytes": (
        ("UPDATE wordings SET text = CAST(text AS BLOB)",), "the words that were shown were altered or removed",
    ),
    "a subscription whose id is none": (("UPDATE subscriptions SET id = 'x' WHERE id = :sub",), "but it has no event"),
}  # fmt: skip


def _three(service: Service) -> dict[str, Any]:
    slug = new_list(service)
    ids: list[UUID] = []
    for _ in range(3):
        ids += sign_ups(service, slug)
        chain(service)
    seq = service.one("SELECT max(seq) FROM consent_events WHERE list_id = :l", l=_id(service, slug)) - 1
    return {"slug": slug, "seq": seq, "sub": ids[1], "list": list_id(service, slug), "fresh": uuid4()}


def _id(service: Service, slug: str) -> Any:
    found = list_id(service, slug)
    return found if service.on_postgresql else found.hex


def test_whatever_has_no_place_is_found(service: Service) -> None:
    cases = FOUND | (FOUND_ON_POSTGRESQL if service.on_postgresql else FOUND_ON_SQLITE)
    other = list_id(service, new_list(service))
    words = service.rows("SELECT digest, text FROM wordings")
    found, expected = {}, {}
    for what, (statements, says) in cases.items():
        values = _three(service)
        words = service.rows("SELECT digest, text FROM wordings")
        assert faults(service, values["slug"]) == [], what
        tamper(service, *statements, **values, other=other)
        said = [fault.what for fault in faults(service, values["slug"])]
        found[what], expected[what] = next((one for one in said if says in one), said), says
        service.write("DELETE FROM consent_events WHERE seq < 1 OR seq > 999999 OR id < 0")
        tamper(service, "DELETE FROM wordings")
        for row in words:
            service.write("INSERT INTO wordings (digest, text) VALUES (:d, :t)", d=row.digest, t=row.text)

    assert {what: said for what, said in found.items() if expected[what] not in said} == {}


STRAYS: dict[str, tuple[tuple[str, ...], str]] = {
    "the journal is removed": (("DELETE FROM journal",), "removed, doubled or altered"),
    "the journal is doubled": (("INSERT INTO journal (id, seq, chained) SELECT id + 1, seq, chained FROM journal",), "removed, doubled or altered"),
    "the journal is set back": (("UPDATE journal SET seq = 0",), "the journal is numbered less far"),
    "an event goes to no list": (("UPDATE consent_events SET list_id = :fresh WHERE seq = :seq",), "1 × event of a list that is not there"),
    "a list goes alone": (("DELETE FROM mailing_lists WHERE id = :list",), "3 × subscription of a list that is not there"),
}  # fmt: skip


@pytest.mark.parametrize("what", STRAYS)
def test_what_belongs_to_no_list_is_found_and_the_command_says_so(service: Service, what: str) -> None:
    values = _three(service)
    whole = strays(service)
    tamper(service, *STRAYS[what][0], **values)
    done = service.command("verify-ledger", check=False)

    assert whole == []
    assert any(STRAYS[what][1] in fault.what for fault in strays(service))
    assert (done.returncode, f"all lists: {strays(service)[0].what}\n" in done.stderr) == (1, True)


def test_no_column_takes_what_is_not_of_its_type(on_sqlite: Service) -> None:
    on_sqlite.confirmed("ann@example.org")
    on_sqlite.work()
    refused = []
    for table, column, value in (
        ("consent_events", "seq", "'x'"), ("consent_events", "seq", "1.5"), ("consent_events", "kind", "x'00'"),
        ("consent_events", "at", "'yesterday'"), ("consent_events", "list_id", "'daily'"),
        ("subscriptions", "state", "x'00'"), ("ledger_pages", "lines", "'text'"), ("journal", "chained", "'x'"),
        ("subscribers", "created_at", "7"), ("operators", "all_lists", "2"), ("outbox", "attempts", "'many'"),
    ):  # fmt: skip
        try:
            on_sqlite.write(f"UPDATE {table} SET {column} = {value}")
        except IntegrityError:
            refused.append(f"{table}.{column}")

    assert len(refused) == 10  # there is no operator to be changed
    assert faults(on_sqlite, "daily") == []


def _verify(service: Service, *options: str) -> Done:
    return service.command("verify-ledger", *options, check=False)


# What docs/ledger.md says it cannot show, and whether a head that is kept elsewhere shows it.
NOT_FOUND: dict[str, tuple[tuple[str, ...], bool]] = {
    "another address": (("UPDATE subscribers SET address = 'eve@example.org' WHERE id = :sub",), False),
    "other dates of a subscription": (("UPDATE subscriptions SET created_at = asked_at WHERE id = :sub",), False),
    "an erasure that nobody asked for": (
        (
            _copy(kind="forget", after="NULL"),
            "DELETE FROM consent_events WHERE subscription_id = :sub AND kind <> 'forget'",
            "DELETE FROM subscriptions WHERE id = :sub",
        ),
        False,
    ),
    "an event that is put in before the worker comes": (
        (
            _copy(kind="confirm", after="'confirmed'"),
            "UPDATE subscriptions SET state = 'confirmed' WHERE id = :sub",
        ),
        False,
    ),
    "a suppression that is removed": (("DELETE FROM suppressions",), False),
    "the ledger begun anew": (
        ("DELETE FROM ledger_pages", "DELETE FROM ledger_heads", "UPDATE journal SET chained = 0"), True,
    ),
    "a list with all that is of it": (
        (
            "DELETE FROM ledger_pages WHERE list_id = :list",
            "DELETE FROM ledger_heads WHERE list_id = :list",
            "DELETE FROM subscriptions WHERE list_id = :list",
            "DELETE FROM consent_events WHERE list_id = :list",
            "DELETE FROM mailing_lists WHERE id = :list",
        ),
        True,
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", NOT_FOUND)
def test_what_cannot_be_shown_is_no_fault_and_a_kept_head_shows_some_of_it(
    service: Service, what: str, tmp_path: Path
) -> None:
    statements, is_shown_by_head = NOT_FOUND[what]
    values = _three(service)
    heads = tmp_path / "heads"
    heads.write_text(_verify(service, "--head").stdout)
    tamper(service, *statements, **values)
    service.work()
    alone, against = _verify(service), _verify(service, "--expect", str(heads))

    assert (alone.returncode, alone.stderr) == (0, ""), alone.stderr
    assert against.returncode == int(is_shown_by_head), against.stderr


def test_an_older_state_of_everything_is_shown_by_a_kept_head_alone(
    make_service: Callable[..., Service], tmp_path: Path
) -> None:
    service = make_service("sqlite")
    service.confirmed("ann@example.org")
    service.work()
    tables = ("consent_events", "ledger_pages", "ledger_heads", "journal", "subscriptions")
    for table in tables:
        tamper(service, f"CREATE TABLE older_{table} AS SELECT * FROM {table}")
    mail = service.mail_to("ann@example.org")[-1]
    service.client.post(path(mail.link("unsubscribe")))
    service.work()
    heads = tmp_path / "heads"
    heads.write_text(_verify(service, "--head").stdout)
    for table in tables:
        tamper(service, f"DELETE FROM {table}", f"INSERT INTO {table} SELECT * FROM older_{table}")
    against = _verify(service, "--expect", str(heads))

    assert (_verify(service).returncode, against.returncode) == (0, 1)
    assert json.loads(heads.read_text())["seq"] == 3
    assert "daily: event 3: the ledger ends before the head that was kept" in against.stderr

"""Whom an export holds: every filter lets through exactly whom it names."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from newsletter.domain.lifecycle import State
from newsletter.domain.roles import Scope
from newsletter.extensions import db
from newsletter.services.access import Actor
from newsletter.services.exports import ExportError, ExportRequest, Format, start_export
from tests.support.exporting import exported, insert, list_id, person
from tests.support.service import Service, now

_MIDNIGHT = datetime(2026, 2, 1, tzinfo=UTC)
_PEOPLE = [
    person(1, "ann@example.org", attributes={"city": "Paris", "n": 1, "vip": True, "x": 1e16, "no": None}),
    person(2, "bob@example.com", attributes={"city": "%s'\"", "n": "1", 'a"b.c\\': "é"}, state="pending"),
    person(3, "cher@sub.example.org", at=_MIDNIGHT, source="script"),
    person(4, "dee@münchen.example", identity="dee@xn--mnchen-3ya.example", at=_MIDNIGHT - timedelta(microseconds=1)),
    person(5, "eve@example.org", state="complained", attributes={"o": {"city": "Paris"}, "l": [1]}, slug="sport"),
]  # fmt: skip


@pytest.fixture
def people(service: Service) -> Service:
    service.command("lists", "add", "sport", "--name", "Sport")
    insert(service, _PEOPLE)
    return service


@pytest.mark.parametrize(
    ("request_", "found"),
    [
        ({}, "abcde"),
        ({"states": (State.CONFIRMED,)}, "acd"),
        ({"states": (State.PENDING, State.COMPLAINED)}, "be"),
        ({"joined_from": date(2026, 2, 1)}, "c"),
        ({"joined_until": date(2026, 1, 31)}, "abde"),
        ({"joined_from": date(2026, 1, 31), "joined_until": date(2026, 2, 1)}, "abcde"),
        ({"joined_from": date.min, "joined_until": date.max}, "abcde"),
        ({"source": "script"}, "c"),
        ({"source": "scrip%"}, ""),
        ({"domain": "example.org"}, "ae"),
        ({"domain": "@EXAMPLE.org "}, "ae"),
        ({"domain": "münchen.example"}, "d"),
        ({"domain": "xn--mnchen-3ya.example"}, "d"),
        ({"attribute": ("city", "Paris")}, "a"),
        ({"attribute": ("city", "%s'\"")}, "b"),
        ({"attribute": ("city", "' OR 1=1 --")}, ""),
        ({"attribute": ("n", "1")}, "ab"),
        ({"attribute": ("vip", "true")}, "a"),
        ({"attribute": ("x", "1e+16")}, "a"),
        ({"attribute": ("no", "null")}, ""),
        ({"attribute": ('a"b.c\\', "é")}, "b"),
        ({"attribute": ("o", '{"city":"Paris"}')}, ""),
        ({"attribute": ("l", "[1]")}, ""),
        ({"lists": frozenset()}, ""),
    ],
)
def test_a_filter_lets_through_whom_it_names(people: Service, request_: dict[str, Any], found: str) -> None:
    data = exported(people, list_id=None, format=Format.CSV, columns=("email",), **request_).decode()

    assert "".join(line[0] for line in data.split("\r\n")[1:-1]) == found


def test_an_export_of_all_lists_says_which(people: Service) -> None:
    every = exported(people, list_id=None, columns=("list", "email")).decode()
    one = exported(
        people, list_id=None, lists=frozenset({list_id(people, "sport")}), columns=("list", "email")
    )

    assert every.split("\r\n")[:2] == ["list,email", "daily,ann@example.org"]
    assert every.count("daily,") == 4
    assert one == b"list,email\r\nsport,eve@example.org\r\n"


def test_nobody_exports_a_list_that_they_do_not_see(people: Service) -> None:
    daily, sport = list_id(people, "daily"), list_id(people, "sport")
    actor = Actor("ann", frozenset({Scope.EXPORT}), frozenset({daily}))
    beyond = (
        ExportRequest(list_id=sport), ExportRequest(), ExportRequest(lists=frozenset({daily, sport})),
    )  # fmt: skip
    with people.app.app_context():
        for request in beyond:
            with pytest.raises(ExportError, match="lists that you see"):
                start_export(db.session(), now(), actor, request)
        start_export(db.session(), now(), actor, ExportRequest(lists=frozenset({daily})))
        db.session.remove()


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"states": ()}, "at least one state"),
        ({"columns": ("email", "password")}, "no column 'password'"),
        ({"columns": ("email", "email")}, "named once"),
        ({"columns": ("email",), "format": Format.KIT}, "fixed"),
        ({"columns": ("email",), "format": Format.ARCHIVE}, "fixed"),
        ({"safe": True, "format": Format.JSONL}, "spreadsheets only"),
        ({"joined_from": date(2026, 2, 1), "joined_until": date(2026, 1, 1)}, "first day"),
        ({"source": "a\0b"}, "NUL"),
        ({"attribute": ("a", "\0")}, "NUL"),
        ({"attribute": ("", "x")}, "key=value"),
        ({"domain": "not a domain"}, "not the domain"),
        ({"domain": "x@y.example"}, "not the domain"),
    ],
)
def test_a_request_that_makes_no_sense_is_told_why(wanted: dict[str, Any], said: str) -> None:
    with pytest.raises(ExportError, match=said):
        ExportRequest(**wanted)


def test_the_command_takes_every_filter(people: Service) -> None:
    done = people.command(
        "export", "daily", "--state", "confirmed", "--state", "pending", "--joined-from", "2026-01-01",
        "--joined-until", "2026-01-31", "--source", "form", "--domain", "example.org", "--attribute", "city=Paris",
        "--column", "name", "--column", "email", "--safe",
    )  # fmt: skip
    every = people.command("export", "--all-lists", "--state", "all", "--column", "email").stdout

    assert done.stdout == "name,email\n,ann@example.org\n"  # read as text
    assert every.count("@") == 5


@pytest.mark.parametrize(
    "arguments",
    [
        (), ("daily", "--all-lists"), ("daily", "--column", "x"), ("daily", "--attribute", "city"),
        ("daily", "--domain", "..."), ("daily", "--format", "jsonl", "--safe"),
    ],
)  # fmt: skip
def test_the_command_says_in_one_line_what_is_wrong(on_sqlite: Service, arguments: tuple[str, ...]) -> None:
    done = on_sqlite.command("export", *arguments, check=False)

    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)
    assert on_sqlite.one("SELECT count(*) FROM exports") == 0

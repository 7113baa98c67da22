"""What an import into one list does to people of other lists, by who started it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from newsletter.domain.lifecycle import State
from newsletter.domain.roles import Scope
from newsletter.models import ImportState
from newsletter.services.access import COMMAND_LINE, Actor
from newsletter.services.importing import ImportView
from tests.support.api import add_list, list_id
from tests.support.importing import STATED, found, reasons, started
from tests.support.people import Person, add_people
from tests.support.service import Service

ANN = Person("ann@example.org", name="Ann", attributes={"city": "Ulm"})
# What another list knows of each: all of it, next to nothing, that they are never mailed again; and a stranger.
STRANGERS = ("ann@example.org", "bare@example.org", "never@example.org", "new@example.org")


@pytest.fixture
def lists(service: Service) -> Service:
    """Two lists of publishers who know nothing of each other; on `sport` are people."""
    add_list(service, "sport")
    add_people(service, [ANN, Person("bare@example.org")], "sport")
    started(service, "email,state\nnever@example.org,complained\n", slug="sport")
    service.work()
    return service


def editor(service: Service, slug: str = "daily") -> Actor:
    """Somebody who sees one list."""
    return Actor("editor", frozenset(Scope), frozenset([list_id(service, slug)]))


def _brought(service: Service, data: str, actor: Actor, **options: Any) -> ImportView:
    import_id = started(service, data, actor=actor, **options)
    service.work()
    return found(service, import_id)


def _states(service: Service, slug: str) -> dict[str, str]:
    rows = service.rows(
        "SELECT p.address, s.state FROM subscriptions s JOIN subscribers p ON p.id = s.subscriber_id "
        "JOIN mailing_lists l ON l.id = s.list_id WHERE l.slug = :slug",
        slug=slug,
    )
    return dict(rows)


def _name(service: Service, address: str) -> Any:
    return service.one("SELECT name FROM subscribers WHERE address = :address", address=address)


def test_who_sees_one_list_keeps_nobody_from_the_mail_of_others(lists: Service) -> None:
    before = lists.counts()["suppressions"]
    done = _brought(
        lists, "email,state\nann@example.org,complained\nnew@example.org,complained\n", editor(lists)
    )

    assert done.report["added"] == {"complained": 2}
    assert lists.counts()["suppressions"] == before
    assert _states(lists, "sport")["ann@example.org"] == "confirmed"
    assert lists.states() == {"ann@example.org": "complained", "new@example.org": "complained"}


def test_who_sees_one_list_cannot_bring_in_whom_an_archive_calls_suppressed(lists: Service) -> None:
    before = lists.counts()["suppressions"]
    import_id = started(
        lists, "email,suppressed\nnew@example.org,complaint\n", actor=editor(lists),
        mapping={"suppressed": "suppressed"}, statement=STATED,
    )  # fmt: skip
    lists.work()

    assert "only somebody who sees every list" in reasons(lists, import_id)[2]
    assert lists.states() == {}
    assert lists.counts()["suppressions"] == before


@pytest.mark.parametrize("how", ["with a statement", "without"])
def test_a_check_by_who_sees_one_list_tells_nothing_of_the_people_of_others(lists: Service, how: str) -> None:
    told = []
    for address in STRANGERS:
        done = _brought(
            lists, f"email,name,city\n{address},X,Bonn\n", editor(lists), checks=True,
            statement=STATED if how == "with a statement" else None,
        )  # fmt: skip
        assert done.state is ImportState.CHECKED
        told.append(done.report)

    assert told == [told[0]] * len(STRANGERS)
    assert (told[0]["filled"], told[0]["skipped"]) == (0, {})


def test_who_sees_one_list_fills_in_nobody_who_is_on_others_alone(lists: Service) -> None:
    file = "email,name\nbare@example.org,Their Name\nnever@example.org,X\n"
    done = _brought(lists, file, editor(lists), statement=STATED)

    assert done.report["filled"] == 0
    assert done.report["skipped"] == {"suppressed": 1}
    assert lists.states() == {"bare@example.org": "confirmed"}
    assert _name(lists, "bare@example.org") is None


@pytest.mark.parametrize("starter", ["of all lists", "of one list"])
def test_what_an_import_fills_in_is_told_in_the_journal_of_every_list_of_the_person(
    lists: Service, starter: str
) -> None:
    actor = COMMAND_LINE
    if starter == "of one list":
        actor = editor(lists)
        add_people_again(lists)
    done = _brought(lists, "email,name\nbare@example.org,Bea\n", actor)

    assert done.report["filled"] == 1
    assert _name(lists, "bare@example.org") == "Bea"
    last = "SELECT e.kind, e.before, e.after, e.way FROM consent_events e JOIN mailing_lists l ON l.id = e.list_id JOIN subscriptions s ON s.id = e.subscription_id JOIN subscribers p ON p.id = s.subscriber_id WHERE l.slug = :slug AND p.address = 'bare@example.org' ORDER BY e.id DESC LIMIT 1"
    assert lists.rows(last, slug="sport") == [("edit", "confirmed", "confirmed", "import")]
    assert lists.rows(last, slug="daily")[0].kind == "import"


def add_people_again(service: Service) -> None:
    """Let the person be on the editor's list, too."""
    started(service, "email\nbare@example.org\n", statement=STATED)
    service.work()


def _archived(**changes: Any) -> str:
    """A row of an archive, confirmed by its reader."""
    event = {
        "kind": "sign_up",
        "before": None,
        "after": "pending",
        "at": "2024-01-01T08:00:00Z",
        "way": "form",
    }
    line: dict[str, Any] = {
        "id": "", "email": "new@example.org", "state": "confirmed", "source": "form",
        "confirmed_at": "2024-01-01T09:00:00Z", "unsubscribed_at": None,
        "consent": [
            event,
            {**event, "kind": "confirm", "before": "pending", "after": "confirmed", "at": "2024-01-01T09:00:00Z"},
        ],
    }  # fmt: skip
    return json.dumps(line | changes)


def _imported_step(**more: Any) -> list[dict[str, Any]]:
    step = {
        "kind": "import",
        "before": None,
        "after": "confirmed",
        "at": "2024-01-01T08:00:00Z",
        "way": "import",
    }
    return [step | more]


def _backwards() -> list[dict[str, Any]]:
    first, second = json.loads(_archived())["consent"]
    return [first, second | {"at": "2023-01-01T00:00:00Z"}]


_Who = Callable[[Service], Actor]
_PROOFS: dict[str, tuple[str, _Who, str | None, State]] = {
    "confirmed, by the command": (_archived(), lambda _: COMMAND_LINE, None, State.CONFIRMED),
    "confirmed, by an editor": (_archived(), editor, None, State.PENDING),
    "confirmed, by an editor who answers for it": (_archived(), editor, STATED, State.CONFIRMED),
    "imported with words": (
        _archived(consent=_imported_step(words="On paper.")), lambda _: COMMAND_LINE, None, State.CONFIRMED,
    ),
    "imported without": (_archived(consent=_imported_step()), lambda _: COMMAND_LINE, None, State.PENDING),
    "imported with blanks": (
        _archived(consent=_imported_step(words=" \n")), lambda _: COMMAND_LINE, None, State.PENDING,
    ),
    "backwards in time": (_archived(consent=_backwards()), lambda _: COMMAND_LINE, None, State.PENDING),
}  # fmt: skip


@pytest.mark.parametrize(("row", "who", "statement", "state"), _PROOFS.values(), ids=_PROOFS)
def test_a_history_proves_consent_where_it_can_be_one_and_somebody_answers_for_it(
    on_sqlite: Service, row: str, who: _Who, statement: str | None, state: State
) -> None:
    done = _brought(on_sqlite, row, who(on_sqlite), statement=statement)

    assert on_sqlite.states() == {"new@example.org": state}
    assert done.report["demoted"] == (state is State.PENDING)
    ours = on_sqlite.rows("SELECT before, after FROM consent_events ORDER BY id")
    assert ours[-1] == ((state, state) if len(ours) > 1 else (None, state))


@pytest.mark.parametrize(
    "at", ["0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59-05:00", "0001-01-01T00:00:00Z", "2999-01-01"]
)
def test_a_moment_of_a_history_that_cannot_be_refuses_its_row(service: Service, at: str) -> None:
    import_id = started(service, _archived(consent=_imported_step(at=at)))
    service.work()

    assert found(service, import_id).state is ImportState.DONE
    assert "no time, or one that cannot be" in reasons(service, import_id)[1]

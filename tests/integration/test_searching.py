"""Searching subscribers: what is found is what a plain walk through all of them would find, on every way that
the search takes, and each subscriber is shown once, whoever joins meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from newsletter.domain.lifecycle import State
from newsletter.domain.searching import folded, search_text
from newsletter.extensions import db
from newsletter.services import lists, subscribers
from newsletter.services.subscribers import searching
from tests.support.people import Person, add_people
from tests.support.service import Service

# Letters that repeat, so that needles are found, and all that a pattern or a query language could trip over.
HOSTILE = "aabbñÄäßİǆΣςé%_!\\\"'*^:(){}[]-+.@ \N{COMBINING DIAERESIS}日本🎉"
WORDS = st.text(HOSTILE, max_size=12)
PEOPLE = st.lists(
    st.tuples(WORDS, WORDS, st.sampled_from(State), st.sampled_from(["form", "import"])), max_size=25
)


@pytest.fixture(params=["usual", "small"])
def bounds(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The search as it is, and so that a handful of subscribers is as many as a million."""
    if request.param == "small":
        monkeypatch.setattr(searching, "_FIRST_LOOK", 2)
        monkeypatch.setattr(searching, "_FEW", 3)
        monkeypatch.setattr(searching, "_FURTHER_LOOKS", (2, 3))
    return str(request.param)


def pages(service: Service, slug: str = "daily", **how: object) -> Iterator[searching.Page]:
    """All pages of a search, one after the other."""
    cursor: UUID | None = None
    while True:
        with service.app.app_context():
            mailing_list = lists.find(db.session(), slug)
            assert mailing_list is not None
            page = subscribers.search(db.session(), mailing_list.id, cursor=cursor, **how)  # type: ignore[arg-type]
        yield page
        cursor = page.next
        if cursor is None:
            return


def found(service: Service, **how: object) -> list[UUID]:
    return [row.id for page in pages(service, **how) for row in page.rows]  # type: ignore[arg-type]


@settings(max_examples=40)
@given(
    people=PEOPLE,
    needle=st.text(HOSTILE, max_size=5),
    states=st.sets(st.sampled_from(State), max_size=3),
    source=st.sampled_from([None, "form", "import"]),
)
def test_what_is_found_is_what_a_walk_through_all_would_find(
    service: Service, bounds: str, people: list[tuple[str, ...]], needle: str, states: set[State], source: str
) -> None:
    service.write("DELETE FROM subscribers")
    everybody = [
        Person(f"{local}{number}@example.org", name.strip() or None, State(state), source=way)
        for number, (local, name, state, way) in enumerate(people)
    ]
    ids = add_people(service, everybody) if everybody else []

    expected = [
        identifier
        for identifier, person in zip(ids, everybody, strict=True)
        if holds(person, needle)
        and (not states or person.state in states)
        and source in (None, person.source)
    ]
    shown = found(service, query=needle, states=states, source=source, limit=4)
    assert shown == sorted(expected, reverse=True)


def holds(person: Person, needle: str) -> bool:
    text, wanted = search_text(person.address, person.name), folded(needle.strip())
    return wanted in text if len(wanted) > 2 else text.startswith(wanted)


@pytest.mark.parametrize("needle", ["", "rea", "reader7", "@example.org", "re"])
def test_each_is_shown_once_whoever_joins_meanwhile(service: Service, bounds: str, needle: str) -> None:
    ids = add_people(service, [Person(f"reader{number}@example.org") for number in range(40)])
    shown = []
    for number, page in enumerate(pages(service, query=needle, limit=7)):
        assert len(page.rows) <= 7
        shown += [row.id for row in page.rows]
        add_people(service, [Person(f"reader7-late-{number}@example.org")])

    there_before = [row for row in shown if row in ids]
    assert len(set(shown)) == len(shown)
    assert len(there_before) == (1 if needle == "reader7" else 40)


@pytest.mark.parametrize("needle", ["_x", "%", "!", "!_"])
def test_two_characters_are_the_beginning_of_an_address_whatever_they_are(
    service: Service, needle: str
) -> None:
    first, _ = add_people(
        service, [Person(f"{needle}1@example.org"), Person("ann@example.org", f"Ann {needle} Smith")]
    )

    assert found(service, query=needle) == [first]


def test_other_lists_are_not_searched(service: Service) -> None:
    service.command("lists", "add", "sport", "--name", "Sport")
    add_people(service, [Person("ann@example.org")], slug="sport")
    (bob,) = add_people(service, [Person("bob@example.org")])

    assert found(service, query="example.org") == [bob]
    assert found(service, query="ann@") == []


@pytest.mark.parametrize(
    "needle", ["\0", "a\0b", "\ud800abc", "x" * 5000, "a\nb", '"', "\\", "%", "___", "***"]
)
def test_a_needle_that_nobody_can_have_finds_nobody(service: Service, needle: str) -> None:
    add_people(service, [Person("ann@example.org", "Ann")])

    assert found(service, query=needle) == []


def test_who_is_renamed_or_removed_is_found_no_more(service: Service) -> None:
    ann, bob = add_people(service, [Person("ann@example.org", "Ännchen"), Person("bob@example.org", "Bob")])
    assert found(service, query="ÄNNCHEN") == [ann]

    service.write(
        "UPDATE subscribers SET name = 'Anna', search = 'ann@example.org anna' WHERE name = 'Ännchen'"
    )
    service.write("DELETE FROM subscribers WHERE name = 'Bob'")

    assert found(service, query="ännchen") == []
    assert found(service, query="anna") == [ann]
    assert found(service, query="bob") == []
    assert bob not in found(service)


def test_the_ways_by_which_subscribers_came(service: Service) -> None:
    add_people(
        service,
        [Person(f"{way}{n}@example.org", source=way) for n in range(3) for way in ("form", "api", "import")],
    )

    with service.app.app_context():
        mailing_list = lists.find(db.session(), "daily")
        assert mailing_list is not None
        assert subscribers.sources(db.session(), mailing_list.id) == ["api", "form", "import"]

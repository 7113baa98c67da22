"""What was exported comes back as it was: state, consent and suppression included."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert, text

from newsletter.database import table_of, write_transaction
from newsletter.domain.addresses import parse_address
from newsletter.domain.ids import new_id
from newsletter.domain.lifecycle import MOVES, Event, State
from newsletter.domain.nesting import is_too_deep
from newsletter.domain.searching import search_text
from newsletter.extensions import db
from newsletter.models import ConsentEvent, Subscriber, Subscription, Suppression, Wording
from newsletter.services import evidence, lists
from newsletter.services.access import COMMAND_LINE
from newsletter.services.evidence import Seen
from newsletter.services.exports import ExportRequest, Format, start_export, stream_export
from newsletter.services.suppress import suppress
from tests.support.api import add_list, list_id
from tests.support.importing import STATED, imported, reasons, started
from tests.support.service import Service, now

_START = datetime(2024, 1, 1, 8, 30, 0, 123456, UTC)
_TABLES = (ConsentEvent, Subscription, Subscriber, Suppression, Wording)
_TEXT = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=20).map(str.strip)
_KEYS = _TEXT.filter(bool)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3),
    max_leaves=5,
).filter(lambda value: not is_too_deep(value, 4))  # with the object around it, as deep as may be


@st.composite
def people(draw: st.DrawFn) -> list[dict[str, Any]]:
    """People of one list, each with what happened to them, in the order of its rules."""
    drawn = []
    for number in range(draw(st.integers(0, 5))):
        steps: list[tuple[Event, State | None, State]] = []
        state: State | None = None
        for _ in range(draw(st.integers(1, 6))):
            events = [event for before, event in MOVES if before is state]
            event = draw(st.sampled_from(events))
            steps.append((event, state, MOVES[state, event]))
            state = MOVES[state, event]
        drawn.append(
            {
                "address": f"{draw(st.sampled_from(['u', 'Ü', 'u+x', 'O’Neil']))}{number}@example.org".replace(
                    "’", "'"
                ),
                "name": draw(st.none() | _TEXT.filter(bool)),
                "attributes": draw(st.dictionaries(_KEYS, _VALUES, max_size=3)),
                "locale": draw(st.sampled_from(["en", "de", "ar"])),
                "steps": steps,
                "state": state,
                "suppressed": draw(st.sampled_from([None, "complaint", "erased"])),
                "words": draw(st.none() | st.sampled_from(["Get it!\n[Sign up]", "Bestellen\n[Los]"])),
                "moments": draw(st.tuples(st.booleans(), st.booleans())),
            }
        )
    return drawn


@pytest.fixture(
    params=[("sqlite", "sqlite"), ("postgresql", "sqlite"), ("sqlite", "postgresql"), ("postgresql",) * 2]
)
def two(request: pytest.FixtureRequest, make_service: Callable[..., Service]) -> tuple[Service, Service]:
    """Where it comes from, and where it goes."""
    here, there = request.param
    return make_service(here), make_service(there)


@settings(
    max_examples=25,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(everybody=people())
def test_an_archive_comes_back_with_state_consent_and_suppression(
    two: tuple[Service, Service], everybody: list[dict[str, Any]]
) -> None:
    here, there = two
    for service in two:
        _do(service, lambda session: [session.execute(delete(table)) for table in _TABLES])
    _do(here, lambda session: _store(here, session, everybody))
    archive = _archive(here)

    if archive:
        done = imported(there, archive)
        assert done.report["refused"] == 0, done
    before, after = _lines(archive), _lines(_archive(there))

    for line in after:
        # That it came by a file is told, too, and is all that is new.
        came = line["consent"].pop()
        assert (came["kind"], came["before"], came["after"]) == ("import", line["state"], line["state"])
    assert after == before


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_an_ordinary_export_comes_back_with_its_states_and_dates(
    make_service: Callable[..., Service], form: str
) -> None:
    here, there = make_service("postgresql"), make_service("sqlite")
    here.confirmed("ann@example.org")
    here.sign_up("bob@example.org", name='Bob "the" B, Esq.')
    columns = "SELECT p.address, p.name, s.state, s.source, s.created_at, s.confirmed_at FROM subscriptions s JOIN subscribers p ON p.id = s.subscriber_id ORDER BY s.id"

    done = imported(there, _export(here, Format(form)), statement=STATED)

    assert done.report["added"] == {"confirmed": 1, "pending": 1}
    told = [tuple(str(v)[:19].replace("T", " ") for v in row) for row in here.rows(columns)]
    assert [tuple(str(v)[:19].replace("T", " ") for v in row) for row in there.rows(columns)] == told


def test_of_an_archive_of_several_lists_the_one_of_the_same_name_is_taken(
    make_service: Callable[..., Service],
) -> None:
    here, there = make_service("sqlite"), make_service("sqlite")
    _do(here, lambda session: lists.add(session, now(), slug="sport", name="Sport"))
    here.sign_up("ann@example.org", slug="sport")
    here.sign_up("ann@example.org")
    here.sign_up("bob@example.org")

    done = imported(there, _export(here, Format.ARCHIVE, everything=True))

    assert there.states() == {"ann@example.org": "pending", "bob@example.org": "pending"}
    assert done.report["refused"] == 1


@pytest.mark.parametrize("order", [("daily", "sport"), ("sport", "daily")], ids=" then ".join)
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_an_archive_of_several_lists_comes_back_the_same_whichever_list_is_first(
    make_service: Callable[..., Service], kind: str, order: tuple[str, str]
) -> None:
    here, there = make_service(kind), make_service(kind)
    for service in (here, there):
        add_list(service, "sport")
    here.confirmed("ann@example.org")
    here.confirmed("ann@example.org", "sport")
    here.write(
        "UPDATE subscriptions SET state = 'complained' WHERE list_id = :id",
        id=_id(here, list_id(here, "sport")),
    )
    here.write(
        "INSERT INTO consent_events (list_id, subscription_id, kind, before, after, at, way) "
        "SELECT list_id, id, 'complain', 'confirmed', 'complained', confirmed_at, 'page' FROM subscriptions "
        "WHERE state = 'complained'"
    )
    _do(here, lambda s: suppress(s, here.settings, now(), "ann@example.org", reason="complaint"))
    archive = _export(here, Format.ARCHIVE, everything=True)

    for slug in order:
        started(there, archive, slug=slug)
        there.work()

    after = _lines(_export(there, Format.ARCHIVE, everything=True))
    for line in after:
        line["consent"].pop()
    whose = {"subscriber_id"}
    plain = [
        [{k: v for k, v in line.items() if k not in whose} for line in some]
        for some in (_lines(archive), after)
    ]
    assert plain[1] == plain[0]


def test_who_was_suppressed_after_an_archive_was_made_does_not_come_back_by_it(
    make_service: Callable[..., Service],
) -> None:
    here, there = make_service("sqlite"), make_service("sqlite")
    here.confirmed("ann@example.org")
    archive = _archive(here)
    _do(there, lambda s: suppress(s, there.settings, now(), "ann@example.org", reason="erased"))

    done = imported(there, archive)

    assert done.report["skipped"] == {"suppressed": 1}
    assert there.counts()["subscribers"] == 0


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_who_was_erased_does_not_come_back_by_an_archive_that_calls_them_so(
    make_service: Callable[..., Service], kind: str
) -> None:
    there = make_service(kind)
    there.confirmed("ann@example.org")
    (line,) = _lines(_archive(there))
    there.write("DELETE FROM subscribers")
    _do(there, lambda s: suppress(s, there.settings, now(), "ann@example.org", reason="erased"))

    done = imported(there, json.dumps(line | {"suppressed": "erased"}), statement=STATED)

    assert done.report["skipped"] == {"suppressed": 1}
    assert there.counts()["subscribers"] == 0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda line: line["consent"].pop(), "does not lead to the state"),
        (lambda line: line["consent"][0].update(after="confirmed"), "from one event to the next"),
        (lambda line: line["consent"][0].update(kind="magic"), "none of this service"),
        (lambda line: line.update(consent={"a": 1}), "no list"),
        (lambda line: line["consent"][0].update(agent="x" * 301), "agent"),
    ],
)
def test_a_history_that_cannot_have_happened_is_refused(
    on_sqlite: Service, make_service: Callable[..., Service], change: Callable[[Any], object], reason: str
) -> None:
    on_sqlite.confirmed("ann@example.org")
    (line,) = _lines(_archive(on_sqlite))
    change(line)
    there = make_service("sqlite")

    import_id = started(there, json.dumps(line))
    there.work()

    assert reason in reasons(there, import_id)[1]
    assert there.states() == {}


def _do(service: Service, work: Callable[[Any], object]) -> None:
    with service.app.app_context(), write_transaction(db.session()):
        work(db.session())


def _store(service: Service, session: Any, everybody: list[dict[str, Any]]) -> None:
    mailing_list = lists.find(session, "daily")
    assert mailing_list is not None
    for number, person in enumerate(everybody):
        began = _START + timedelta(hours=number)
        address = parse_address(person["address"])
        subscriber, subscription = new_id(began), new_id(began)
        confirmed, left = person["moments"]
        session.execute(
            insert(table_of(Subscriber)),
            [{
                "id": subscriber, "address": address.text, "identity": address.identity, "name": person["name"],
                "search": search_text(address.text, person["name"]), "locale": person["locale"],
                "attributes": person["attributes"], "created_at": began,
            }],
        )  # fmt: skip
        session.execute(
            insert(table_of(Subscription)),
            [{
                "id": subscription, "subscriber_id": subscriber, "list_id": mailing_list.id,
                "state": person["state"].value, "generation": number, "source": "form", "created_at": began,
                "asked_at": began + timedelta(days=1),
                "confirmed_at": began if confirmed or person["state"] is State.CONFIRMED else None,
                "unsubscribed_at": began if left or person["state"] is State.UNSUBSCRIBED else None,
            }],
        )  # fmt: skip
        words = person["words"]
        if words:
            session.execute(
                text("INSERT INTO wordings (digest, text) VALUES (:d, :t) ON CONFLICT DO NOTHING"),
                {"d": _digest(words), "t": words},
            )
        evidence.record(
            session,
            [
                evidence.event_row(
                    mailing_list.id, subscription, event, began + timedelta(minutes=place),
                    Seen("form", "https://a.example", "/p", "192.0.2.0", "Browser"), before=before, after=after,
                    wording=_digest(words) if words else None, message_id="<1@news.example>",
                )
                for place, (event, before, after) in enumerate(person["steps"])
            ],
        )  # fmt: skip
        if person["suppressed"] or person["state"] is State.COMPLAINED:
            suppress(
                session, service.settings, now(), address.identity, reason=person["suppressed"] or "complaint"
            )


def _id(service: Service, identifier: UUID) -> str:
    """An id as the database writes it."""
    return str(identifier) if service.on_postgresql else identifier.hex


def _digest(words: str) -> str:
    return hashlib.sha256(words.encode()).hexdigest()


def _archive(service: Service) -> bytes:
    return _export(service, Format.ARCHIVE)


def _export(service: Service, form: Format, *, everything: bool = False) -> bytes:
    with service.app.app_context():
        session = db.session()
        mailing_list = lists.find(session, "daily")
        assert mailing_list is not None
        request = ExportRequest(
            list_id=None if everything else mailing_list.id, format=form, states=tuple(State)
        )
        with write_transaction(session):
            export_id = start_export(session, now(), COMMAND_LINE, request)
        return b"".join(stream_export(db.engine, service.settings, export_id, request))


def _lines(archive: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in archive.decode().split("\n") if line]

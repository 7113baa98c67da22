"""Editing, unsubscribing, erasing and adding subscribers on a publisher's behalf."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest

from newsletter.domain.addresses import parse_address
from newsletter.domain.lifecycle import Event, State
from newsletter.domain.profiles import ProfileError
from newsletter.domain.roles import SCOPES, Role
from newsletter.services import subscribers
from newsletter.services.access import COMMAND_LINE, Actor
from newsletter.services.subscribers import (
    Added,
    CannotAdd,
    CannotSuppress,
    Changes,
    Erased,
    Newcomer,
    SubscriberGone,
    SubscriberView,
)
from newsletter.services.suppress import reasons
from tests.integration.test_changing_address import NEW, ask, new_path, not_me_path
from tests.integration.test_own_page import ANN
from tests.support.acting import BY_HAND, audited, everywhere, reading, the_list, writing
from tests.support.people import Person, add_people
from tests.support.service import Service, now, path

STATEMENT = "Signed at our stand\r\non 2 May"


def find(service: Service, subscription_id: UUID) -> SubscriberView:
    found = reading(service, lambda session: subscribers.find(session, subscription_id))
    assert found is not None
    return found


def edit(service: Service, subscription_id: UUID, **changes: Any) -> None:
    wanted = Changes(**{"name": None, "locale": "en", "attributes": {}} | changes)
    writing(
        service,
        lambda session: subscribers.edit(session, now(), COMMAND_LINE, BY_HAND, subscription_id, wanted),
    )


def unsubscribe(service: Service, subscription_id: UUID) -> bool:
    return writing(
        service,
        lambda session: subscribers.unsubscribe(
            session, service.settings, now(), COMMAND_LINE, BY_HAND, subscription_id
        ),
    )


def erase(
    service: Service, subscription_id: UUID, *, actor: Actor = COMMAND_LINE, suppress: bool = False
) -> Erased:
    return writing(
        service,
        lambda session: subscribers.erase(
            session, service.settings, now(), actor, subscription_id, way="operator", suppress=suppress
        ),
    )


def add(service: Service, address: str, **more: Any) -> Added:
    newcomer = Newcomer(parse_address(address), **more)
    mailing_list = the_list(service)
    return writing(
        service,
        lambda session: subscribers.add(
            session, service.settings, now(), COMMAND_LINE, BY_HAND, mailing_list, newcomer
        ),
    )


def test_a_subscriber_is_found_with_the_whole_history_and_all_mails(service: Service) -> None:
    mail = service.confirmed("ann@example.org")
    service.client.post(path(mail.link("unsubscribe")))
    (identifier,) = (row[0] for row in service.rows("SELECT id FROM subscriptions"))

    found = find(service, UUID(str(identifier)))
    assert (found.address, found.state, found.source) == ("ann@example.org", State.UNSUBSCRIBED, "form")
    assert [(entry.kind, entry.before, entry.after) for entry in found.history] == [
        (Event.SIGN_UP, None, State.PENDING),
        (Event.CONFIRM, State.PENDING, State.CONFIRMED),
        (Event.UNSUBSCRIBE, State.CONFIRMED, State.UNSUBSCRIBED),
    ]
    assert "directly in your inbox" in (found.history[0].words or "")
    assert [(sent.kind, sent.status) for sent in found.mails] == [("confirmation", "sent")]
    assert reading(service, lambda session: subscribers.find(session, uuid4())) is None


def test_an_edit_is_kept_found_and_told_to_every_list(service: Service) -> None:
    service.command("lists", "add", "sport", "--name", "Sport")
    service.confirmed("ann@example.org")
    service.confirmed("ann@example.org", "sport")
    ann = reading(
        service,
        lambda session: subscribers.find_address(session, the_list(service).id, "ann@example.org"),
    )
    assert ann is not None

    edit(service, ann.id, name=" Ännchen ", locale="de-AT", attributes={"city": "Basel", "tags": ["a", 1]})
    edit(service, ann.id, name="Ännchen", locale="de", attributes={"city": "Basel", "tags": ["a", 1]})

    found = find(service, ann.id)
    assert (found.name, found.locale, found.attributes["city"]) == ("Ännchen", "de", "Basel")
    assert [other.list.slug for other in found.elsewhere] == ["sport"]
    page = reading(service, lambda session: subscribers.search(session, the_list(service).id, query="ÄNN"))
    assert [row.id for row in page.rows] == [ann.id]
    assert service.events()[-2:] == ["edit", "edit"]  # one a list; the second edit changed nothing
    assert found.history[-1].way == "operator"
    assert audited(service) == [("subscriber.edited", str(ann.id))]


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "x" * 201},
        {"name": "a\nb"},
        {"name": "a\ud800"},
        {"locale": "tlh"},
        {"attributes": []},
        {"attributes": {"a": "b\0"}},
        {"attributes": {"": "b"}},
        {"attributes": {"a": float("nan")}},
        {"attributes": {"a": [[[[[[1]]]]]]}},
        {"attributes": {"a": "x" * 10_000}},
    ],
)
def test_what_cannot_be_kept_is_refused_and_changes_nothing(
    service: Service, changes: dict[str, Any]
) -> None:
    (ann,) = add_people(service, [Person("ann@example.org", "Ann")])

    with pytest.raises(ProfileError):
        edit(service, ann, **changes)

    assert find(service, ann).name == "Ann"
    assert audited(service) == []


def test_unsubscribing_ends_the_subscription_and_takes_back_its_mail(service: Service) -> None:
    service.sign_up("ann@example.org")
    ann = UUID(str(service.one("SELECT id FROM subscriptions")))

    assert unsubscribe(service, ann)
    assert not unsubscribe(service, ann)

    found = find(service, ann)
    assert found.state is State.UNSUBSCRIBED
    assert found.history[-1].way == "operator"
    assert service.statuses() == ["cancelled"]
    assert audited(service) == [("subscriber.unsubscribed", str(ann))]
    with pytest.raises(SubscriberGone):
        unsubscribe(service, uuid4())


def test_who_is_erased_is_found_in_no_table_any_more(service: Service) -> None:
    service.command("lists", "add", "sport", "--name", "Sport")
    service.confirmed("Änn.Smith@example.org")
    service.sign_up("änn.smith@example.org", "sport", name="Änn Smith")
    service.sign_up("bob@example.org")
    ann = next(row[0] for row in service.rows("SELECT id, state FROM subscriptions") if row[1] == "confirmed")

    assert erase(service, UUID(str(ann)), suppress=True) == Erased(2, wholly=True)
    service.work()

    for table, text in everywhere(service).items():
        assert "smith" not in text.lower(), table
    assert service.states() == {"bob@example.org": "pending"}
    assert (
        service.rows("SELECT kind, way FROM consent_events WHERE after IS NULL")
        == [("forget", "operator")] * 2
    )
    service.sign_up("änn.smith@example.org")
    assert "änn.smith@example.org" not in service.states()


def test_who_is_kept_from_mail_is_kept_from_it_at_their_earlier_addresses_too(service: Service) -> None:
    service.confirmed(ANN)
    ask(service, NEW)
    service.client.post(new_path(service))
    ann = UUID(str(service.one("SELECT id FROM subscriptions")))

    erase(service, ann, suppress=True)

    found = reading(service, lambda session: reasons(session, service.settings, {ANN, NEW}))
    assert found == {ANN: "erased", NEW: "erased"}


def test_an_address_that_a_change_was_taken_back_from_is_somebody_else_s(service: Service) -> None:
    service.confirmed(ANN)
    ask(service, NEW)
    service.client.post(new_path(service))
    service.client.post(not_me_path(service))
    ann = UUID(str(service.one("SELECT id FROM subscriptions")))

    erase(service, ann, suppress=True)

    found = reading(service, lambda session: reasons(session, service.settings, {ANN, NEW}))
    assert found == {ANN: "erased"}


def test_an_operator_of_one_list_erases_nothing_of_another(service: Service) -> None:
    service.command("lists", "add", "sport", "--name", "Sport")
    service.confirmed("ann@example.org")
    service.confirmed("ann@example.org", "sport")
    daily = the_list(service)
    editor = Actor("editor@example.org", SCOPES[Role.EDITOR], frozenset({daily.id}))
    ann = reading(service, lambda session: subscribers.find_address(session, daily.id, "ann@example.org"))
    assert ann is not None

    with pytest.raises(CannotSuppress):
        erase(service, ann.id, actor=editor, suppress=True)
    assert erase(service, ann.id, actor=editor) == Erased(1, wholly=False)

    assert service.states() == {}
    assert service.one("SELECT count(*) FROM subscriptions") == 1
    assert service.one("SELECT address FROM subscribers") == "ann@example.org"
    with pytest.raises(SubscriberGone):
        erase(service, ann.id, actor=editor)


def test_who_is_added_without_a_statement_is_asked_to_confirm(service: Service) -> None:
    added = add(service, "ann@example.org", name="Ann", attributes={"city": "Basel"})

    assert (added.state, added.changed) == (State.PENDING, True)
    found = find(service, added.id)
    assert (found.name, found.attributes, found.source) == ("Ann", {"city": "Basel"}, "operator")
    service.client.post(path(service.mail_to("ann@example.org")[-1].link("confirm")))
    assert service.states() == {"ann@example.org": "confirmed"}
    assert audited(service) == [("subscriber.added", str(added.id))]
    assert not add(service, "ann@example.org").changed


@pytest.mark.parametrize("asked_before", [False, True])
def test_who_is_added_with_a_statement_is_confirmed_and_the_statement_kept(
    service: Service, asked_before: bool
) -> None:
    if asked_before:
        service.sign_up("ann@example.org")

    added = add(service, "ann@example.org", statement=STATEMENT)

    found = find(service, added.id)
    assert (added.state, found.state) == (State.CONFIRMED, State.CONFIRMED)
    assert (found.history[-1].kind, found.history[-1].words) == (
        Event.IMPORT,
        "Signed at our stand\non 2 May",
    )
    assert found.confirmed_at is not None
    assert service.mail_to("ann@example.org") == []


@pytest.mark.parametrize("statement", [None, STATEMENT])
@pytest.mark.parametrize("state", [State.UNSUBSCRIBED, State.BOUNCED, State.COMPLAINED])
def test_nobody_who_left_comes_back_by_hand(service: Service, state: State, statement: str | None) -> None:
    add_people(service, [Person("ann@example.org", state=state)])

    with pytest.raises(CannotAdd):
        add(service, "Ann@example.org", statement=statement)

    assert service.states() == {"ann@example.org": state.value}
    assert service.mail_to("ann@example.org") == []


def test_a_suppressed_address_is_not_added(service: Service) -> None:
    (ann,) = add_people(service, [Person("ann@example.org")])
    erase(service, ann, suppress=True)

    with pytest.raises(CannotAdd):
        add(service, "ann@example.org", statement=STATEMENT)
    assert service.counts()["subscribers"] == 0


@pytest.mark.parametrize("newcomer", [{"statement": "  "}, {"statement": "x" * 2001}, {"name": "a\0"}])
def test_a_newcomer_who_cannot_be_kept_is_refused(on_sqlite: Service, newcomer: dict[str, Any]) -> None:
    with pytest.raises(ProfileError):
        add(on_sqlite, "ann@example.org", **newcomer)

    assert on_sqlite.counts()["subscribers"] == 0

"""The console's pages about lists and subscribers: who may see and do what, and what is done."""

from __future__ import annotations

import re
from uuid import UUID, uuid4

import pytest
from werkzeug.test import TestResponse

from newsletter.domain.lifecycle import State
from newsletter.domain.roles import Role
from tests.support.acting import audited, everywhere
from tests.support.operators import Console
from tests.support.people import Person, add_people
from tests.support.service import Service

LIST = "/operator/lists/daily"
READ = ("", "/subscribers", "/subscribers/{id}", "/settings")
EDIT = ("/subscribers/{id}/edit", "/add", "/exports", "/imports", "/outbox")
DEEDS = (
    "/subscribers/{id}/edit",
    "/subscribers/{id}/unsubscribe",
    "/subscribers/{id}/erase",
    "/add",
    "/settings",
    "/exports",
    "/imports",
    "/outbox/retry",
    "/outbox/{other}/retry",
    "/imports/{other}/check",
    "/imports/{other}/start",
    "/imports/{other}/cancel",
)
HAS_ID = tuple(path for path in {*READ, *EDIT, *DEEDS} if "{id}" in path)


@pytest.fixture
def ann(service: Service) -> UUID:
    """A subscriber of the list `daily`."""
    (ann,) = add_people(service, [Person("ann@example.org", "Ann")])
    return ann


def at(path: str, person: UUID, slug: str = "daily") -> str:
    return f"/operator/lists/{slug}{path.format(id=person, other=uuid4())}"


def confirmed(console: Console, path: str, **fields: str) -> TestResponse:
    """Press the button, and the one on the page that asks once more."""
    asked = console.post(path, **fields)
    assert asked.status_code == 200
    assert "confirmed" in asked.text
    return console.post(path, confirmed="yes", **fields)


def test_a_stranger_is_led_to_the_log_in_and_can_do_nothing(service: Service, ann: UUID) -> None:
    stranger = Console(service)

    for path in (*READ, *EDIT):
        answer = stranger.get(at(path, ann))
        assert (answer.status_code, "/operator/login" in answer.location) == (303, True), path
    for path in DEEDS:
        assert stranger.post(at(path, ann)).status_code == 401, path


def test_a_viewer_reads_and_does_nothing(service: Service, ann: UUID) -> None:
    viewer = Console.of(service, "viewer@example.org", role=Role.VIEWER)

    assert [viewer.get(at(path, ann)).status_code for path in READ] == [200] * len(READ)
    assert [viewer.get(at(path, ann)).status_code for path in EDIT] == [403] * len(EDIT)
    assert [viewer.post(at(path, ann)).status_code for path in DEEDS] == [403] * len(DEEDS)
    assert viewer.get("/operator/new-list").status_code == 403
    page = viewer.get(at("/subscribers/{id}", ann)).text
    assert "Erase" not in page
    assert "Edit" not in page


def test_an_editor_makes_no_lists(service: Service, ann: UUID) -> None:
    editor = Console.of(service, "editor@example.org", role=Role.EDITOR)

    assert {editor.get(at(path, ann)).status_code for path in (*READ, *EDIT)} == {200}
    assert editor.post("/operator/new-list", slug="mine", name="Mine").status_code == 403


def test_another_list_does_not_exist(service: Service, ann: UUID) -> None:
    service.command("lists", "add", "sport", "--name", "Sport")
    editor = Console.of(service, "editor@example.org", role=Role.EDITOR, slugs=["sport"])

    for path in (*READ, *EDIT):
        assert editor.get(at(path, ann)).status_code == 404, path
    for path in DEEDS:
        assert editor.post(at(path, ann), confirmed="yes").status_code == 404, path
    home = editor.get("/operator/").text
    assert "Sport" in home
    assert "Daily News" not in home
    assert service.states() == {"ann@example.org": "confirmed"}


def test_a_subscriber_of_another_list_does_not_exist_under_ones_own(service: Service, ann: UUID) -> None:
    service.command("lists", "add", "sport", "--name", "Sport")
    editor = Console.of(service, "editor@example.org", role=Role.EDITOR, slugs=["sport"])

    for path in HAS_ID:
        for person in (ann, uuid4()):
            assert editor.post(at(path, person, "sport"), confirmed="yes").status_code in (404, 405), path
            assert editor.get(at(path, person, "sport")).status_code in (404, 405), path
    assert service.states() == {"ann@example.org": "confirmed"}
    assert not [action for action, _ in audited(service) if action.startswith("subscriber.")]


def test_every_form_wants_its_token(service: Service, ann: UUID) -> None:
    owner = Console.of(service, "owner@example.org")

    for path in DEEDS:
        answer = owner.client.post(at(path, ann), base_url="https://news.example", data={"confirmed": "yes"})
        assert answer.status_code == 400, path
    assert service.states() == {"ann@example.org": "confirmed"}


def test_a_search_shows_whom_it_should_and_leads_on(service: Service) -> None:
    readers = [Person(f"reader{number}@example.org") for number in range(60)]
    add_people(service, [*readers, Person("bär_100%@example.org", "<b>Bär</b>", State.BOUNCED, "import")])
    service.work()
    owner = Console.of(service, "owner@example.org")

    first = owner.get(f"{LIST}/subscribers").text
    assert first.count("reader") == 49
    older = re.search(r'rel="next" href="([^"]+)"', first)
    assert older
    assert owner.get(older[1].replace("&amp;", "&")).text.count("reader") == 11
    for query in ("q=BÄR", "q=_100%25", "state=bounced", "source=import", "q=%3Cb%3E"):
        page = owner.get(f"{LIST}/subscribers?{query}").text
        assert "bär_100%@example.org" in page, query
        assert "reader1" not in page, query
        assert "<b>Bär" not in page, query
    assert "Confirmed <small>60</small>" in first


@pytest.mark.parametrize(
    "query",
    [
        "q=%00",
        "q=%ff",
        "state=none",
        "source=%f0",
        "before=x",
        "before=-",
        f"q={'x' * 3000}",
        "q=%22%27",
        "span=x",
    ],
)
def test_an_address_that_makes_no_sense_is_no_fault_of_ours(service: Service, query: str) -> None:
    owner = Console.of(service, "owner@example.org")

    for path in ("", "/subscribers", "/exports", "/imports"):
        assert owner.get(f"{LIST}{path}?{query}").status_code in (200, 400), path


def test_a_subscriber_is_edited_unsubscribed_and_erased(service: Service, ann: UUID) -> None:
    owner = Console.of(service, "owner@example.org")
    page = at("/subscribers/{id}", ann)

    saved = owner.post(f"{page}/edit", name="Änne", locale="de", attributes='{"city": "Basel"}')
    assert saved.status_code == 303
    shown = owner.get(page).text
    assert "Änne" in shown
    assert "Basel" in shown
    assert "Deutsch" in shown

    assert confirmed(owner, f"{page}/unsubscribe").status_code == 303
    assert service.states() == {"ann@example.org": "unsubscribed"}
    assert confirmed(owner, f"{page}/erase", suppress="yes").status_code == 303
    assert owner.get(page).status_code == 404
    assert service.states() == {}
    assert [action for action, subject in audited(service) if subject == str(ann)] == [
        "subscriber.edited", "subscriber.unsubscribed", "subscriber.erased",
    ]  # fmt: skip
    for table, text in everywhere(service).items():
        assert "ann@example.org" not in text, table


@pytest.mark.parametrize(
    "sent",
    [
        {"name": "x" * 201}, {"locale": "xx"}, {"attributes": "{"}, {"attributes": "[]"},
        {"attributes": '{"a": NaN}'}, {"attributes": "[" * 5000}, {"attributes": '{"a": "\\ud800"}'},
    ],
)  # fmt: skip
def test_a_mistake_in_an_edit_is_told_and_nothing_is_lost(
    service: Service, ann: UUID, sent: dict[str, str]
) -> None:
    owner = Console.of(service, "owner@example.org")

    answer = owner.post(
        at("/subscribers/{id}/edit", ann), **{"name": "Typed", "locale": "en", "attributes": ""} | sent
    )

    assert answer.status_code == 422
    assert 'role="alert"' in answer.text
    assert "Typed" in answer.text or "name" in sent
    assert service.one("SELECT name FROM subscribers") == "Ann"


def test_attributes_larger_than_a_visitors_form_are_taken(service: Service, ann: UUID) -> None:
    owner = Console.of(service, "owner@example.org")
    attributes = '{"notes": "' + "ä" * 9000 + '"}'

    assert (
        owner.post(at("/subscribers/{id}/edit", ann), locale="en", attributes=attributes).status_code == 303
    )
    assert Console(service).post("/operator/login", email="x" * 60_000).status_code == 413


@pytest.mark.parametrize(
    ("sent", "state"),
    [({"consent": "ask"}, "pending"), ({"consent": "stated", "statement": "At our stand"}, "confirmed")],
)
def test_somebody_is_added(service: Service, sent: dict[str, str], state: str) -> None:
    owner = Console.of(service, "owner@example.org")

    answer = owner.post(f"{LIST}/add", email=" bob@example.org ", locale="en", **sent)

    assert answer.status_code == 303
    assert service.states() == {"bob@example.org": state}
    assert "bob@example.org" in owner.get(answer.location).text


@pytest.mark.parametrize("sent", [{"email": "bob@"}, {"email": "bob@example.org", "consent": "stated"}])
def test_nobody_is_added_by_mistake(service: Service, sent: dict[str, str]) -> None:
    owner = Console.of(service, "owner@example.org")

    answer = owner.post(f"{LIST}/add", locale="en", **sent)

    assert answer.status_code == 422
    assert 'role="alert"' in answer.text
    assert "bob@" in answer.text
    assert service.counts()["subscribers"] == 0


def test_a_lists_settings_are_changed_and_mistakes_told(service: Service) -> None:
    owner = Console.of(service, "owner@example.org")
    sent = {
        "name": "The Daily", "headline": "", "invitation": "Every morning", "sender": "News <n@example.org>",
        "locale": "de", "sites": "https://a.example\r\nhttps://b.example/\r\n", "return_urls": "",
    }  # fmt: skip

    assert owner.post(f"{LIST}/settings", **sent).status_code == 303
    assert owner.post(f"{LIST}/settings", **sent | {"sites": "no site"}).status_code == 422
    assert owner.post(f"{LIST}/settings", **sent | {"name": ""}).status_code == 422

    page = owner.get(f"{LIST}/settings").text
    assert "https://a.example\nhttps://b.example" in page
    assert 'value="The Daily"' in page
    assert audited(service)[-1] == ("list.edited", "daily")
    assert service.one("SELECT name FROM mailing_lists") == "The Daily"


def test_an_owner_makes_a_list(service: Service) -> None:
    owner = Console.of(service, "owner@example.org")

    assert owner.post("/operator/new-list", slug="No!", name="Sport").status_code == 422
    assert owner.post("/operator/new-list", slug="daily", name="Sport").status_code == 422
    assert owner.post("/operator/new-list", slug="sport", name="Sport").status_code == 303

    assert owner.get("/operator/lists/sport").status_code == 200
    assert service.client.get("/lists/sport").status_code == 200


def test_what_failed_is_tried_again(service: Service) -> None:
    service.sign_up("bob@example.org")
    service.write("UPDATE outbox SET status = 'failed', last_error = '550 nobody <here>'")
    owner = Console.of(service, "owner@example.org")
    page = owner.get(f"{LIST}/outbox").text
    assert "550 nobody &lt;here&gt;" in page
    address = re.search(r'action="([^"]+/retry)"', page)
    assert address

    assert owner.post(address[1]).status_code == 303
    assert len(service.mail_to("bob@example.org")) == 1
    assert owner.post(address[1]).status_code == 303
    assert "does not wait any more" in owner.get(f"{LIST}/outbox").text

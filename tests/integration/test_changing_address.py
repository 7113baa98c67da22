"""A change of address: confirmed by the new one, told to the old one, and nothing given away."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from newsletter.services import self_service
from newsletter.services.suppress import suppress
from tests.integration.test_own_page import ANN, BOB, do, everything, own_path, whole_path
from tests.support.acting import reading, writing
from tests.support.service import Service, now, path

NEW = "ann@new.example.org"


def ask(service: Service, email: str = NEW) -> str:
    """Ask for a change on the page; returns what is answered."""
    answer = do(service, whole_path(service), "address", email=email)
    assert answer.status_code == 200
    return answer.text


def new_path(service: Service, email: str = NEW) -> str:
    return path(service.mail_to(email)[-1].link("new-address")).removesuffix("/stop")


def not_me_path(service: Service, email: str = ANN) -> str:
    service.send_mail()
    return path(
        next(mail for mail in service.sink.to(email) if "/not-me/" in mail.part("plain")).link("not-me")
    )


def whole_path_by_token(service: Service, generation: int = 1) -> str:
    """The page by a link that was asked for, without the mail."""
    person = UUID(str(service.one("SELECT id FROM subscribers")))
    return f"/manage/{service.links.manage_token(person, generation, asked=True, now=now())}"


def address(service: Service) -> str:
    return str(service.one("SELECT address FROM subscribers"))


def test_the_new_address_confirms_and_the_subscription_moves_with_its_history(service: Service) -> None:
    service.confirmed(ANN)
    ask(service)
    url = new_path(service)
    assert address(service) == ANN

    assert service.client.get(url).status_code == 200
    assert address(service) == ANN  # looking changes nothing
    assert "Your address is changed" in service.client.post(url).text
    assert "Your address is changed" in service.client.post(url).text

    assert service.states() == {NEW: "confirmed"}
    assert service.one("SELECT identity FROM subscribers") == NEW
    assert service.events() == ["sign_up", "confirm", "edit"]
    assert service.rows("SELECT way FROM consent_events WHERE kind = 'edit'") == [("subscriber",)]
    service.sign_up(ANN)  # is somebody new
    assert service.states() == {NEW: "confirmed", ANN: "pending"}


def test_links_from_before_are_dead_save_those_to_unsubscribe(on_sqlite: Service) -> None:
    first = on_sqlite.confirmed(ANN)
    old_page = own_path(on_sqlite)
    ask(on_sqlite)
    on_sqlite.client.post(new_path(on_sqlite))

    dead = on_sqlite.client.get(old_page)
    assert dead.status_code == 410
    assert "Send me my link" in dead.text
    assert do(on_sqlite, old_page, "link").status_code == 410
    # D6: pressed after leaving, a confirmation from before brings nobody back.
    assert on_sqlite.client.post(path(first.link("unsubscribe"))).status_code == 200
    assert on_sqlite.client.post(path(first.link("confirm"))).status_code == 410
    assert on_sqlite.states() == {NEW: "unsubscribed"}


def test_d6_a_sign_up_that_waits_is_confirmed_by_the_new_address_alone(service: Service) -> None:
    service.sign_up(ANN)
    first = service.mail_to(ANN)[-1]
    ask(service)
    service.client.post(new_path(service))

    assert service.client.post(path(first.link("confirm"))).status_code == 410
    fresh = service.mail_to(NEW)[-1]
    assert service.client.post(path(fresh.link("confirm"))).status_code == 200
    assert service.states() == {NEW: "confirmed"}


def test_the_old_address_is_told_and_stops_it(on_sqlite: Service) -> None:
    on_sqlite.confirmed(ANN)
    ask(on_sqlite)
    url = not_me_path(on_sqlite)

    assert on_sqlite.client.get(url).status_code == 200
    assert "The change is off" in on_sqlite.client.post(url).text
    assert on_sqlite.client.post(new_path(on_sqlite)).status_code == 410
    assert "The change is off" in on_sqlite.client.post(url).text  # so it says as often as it is pressed
    assert address(on_sqlite) == ANN


def test_the_old_address_takes_back_what_was_made_and_what_was_made_after_it(service: Service) -> None:
    service.confirmed(ANN)
    ask(service)
    url = not_me_path(service)
    service.client.post(new_path(service))
    stolen = whole_path_by_token(service, generation=2)
    service.age(minutes=11)
    do(service, stolen, "address", email="ann@third.example.org")
    assert len(service.rows("SELECT id FROM address_changes")) == 2

    assert "Your address is as it was" in service.client.post(url).text

    assert service.states() == {ANN: "confirmed"}
    assert service.client.get(stolen).status_code == 410
    assert service.rows("SELECT id FROM address_changes WHERE stopped_at IS NULL") == []


@pytest.mark.parametrize(
    ("reason", "state", "stays"), [("bounce", "confirmed", False), ("erased", "unsubscribed", True)]
)
def test_taking_a_change_back_lifts_what_the_press_disproves_and_nothing_else(
    service: Service, reason: str, state: str, *, stays: bool
) -> None:
    service.confirmed(ANN)
    ask(service)
    service.client.post(new_path(service))
    back = not_me_path(service)
    writing(service, lambda session: suppress(session, service.settings, now(), ANN, reason=reason))

    service.client.post(back)

    assert service.states() == {ANN: state}
    assert bool(service.counts()["suppressions"]) is stays


def test_a_notice_reaches_the_old_address_even_where_the_change_is_quicker(service: Service) -> None:
    service.confirmed(ANN)
    service.sink.on_rcpt = lambda recipient: "451 later" if recipient == ANN else None
    url = whole_path_by_token(service)
    do(service, url, "address", email=NEW)
    service.client.post(new_path(service))
    service.client.post(unsubscribe_path(service))
    service.sink.on_rcpt = lambda _recipient: None
    service.write("UPDATE outbox SET next_attempt_at = created_at WHERE status = 'awaiting_retry'")

    notice = not_me_path(service)
    assert address(service) == NEW
    # The link to the page that it carries is one of the old address: dead.
    assert service.client.get(own_path(service)).status_code == 410
    assert service.client.post(notice).status_code == 200
    assert address(service) == ANN


def unsubscribe_path(service: Service) -> str:
    return path(service.sink.to(ANN)[0].link("unsubscribe"))


@pytest.mark.parametrize("kind", ["subscriber", "suppressed"])
def test_the_answer_and_what_is_stored_are_the_same_whatever_is_known(service: Service, kind: str) -> None:
    service.confirmed(ANN)
    service.confirmed(BOB)
    if kind == "suppressed":
        writing(
            service,
            lambda session: suppress(session, service.settings, now(), "x@example.org", reason="complaint"),
        )
    taken = BOB if kind == "subscriber" else "x@example.org"
    page = whole_path(service)

    def asked(email: str) -> tuple[str, dict[str, int]]:
        before = everything(service)
        text = do(service, page, "address", email=email).text.replace(email, "…")
        after = everything(service)
        service.age(hours=1)
        return text, {key: after[key] - before[key] for key in after}

    assert asked(taken) == asked("y@example.org")


def test_an_address_that_is_a_subscriber_is_refused_by_mail_to_it_alone(service: Service) -> None:
    service.confirmed(ANN)
    service.confirmed(BOB)
    ask(service, BOB)

    mail = service.mail_to(BOB)[-1].part("plain")
    assert "has subscriptions of its own already" in " ".join(mail.split())
    assert "/manage/" not in mail  # no way into anybody's page
    assert mail.count("/new-address/") == 1  # to stop it
    url = path(service.mail_to(BOB)[-1].message["List-Unsubscribe"].strip("<>")).removesuffix("/stop")
    assert service.client.post(url).status_code == 409
    assert service.states() == {ANN: "confirmed", BOB: "confirmed"}


def test_a_suppressed_address_gets_no_mail(on_sqlite: Service) -> None:
    on_sqlite.confirmed(ANN)
    writing(on_sqlite, lambda session: suppress(session, on_sqlite.settings, now(), NEW, reason="left"))

    ask(on_sqlite)

    assert on_sqlite.mail_to(NEW) == []
    assert on_sqlite.statuses().count("cancelled") == 1


def test_one_click_at_the_new_address_stops_the_change_and_ends_no_subscription(on_sqlite: Service) -> None:
    on_sqlite.confirmed(ANN)
    ask(on_sqlite)
    header = path(on_sqlite.mail_to(NEW)[-1].message["List-Unsubscribe"].strip("<>"))

    assert on_sqlite.client.get(header).status_code == 200
    answer = on_sqlite.client.post(header, data="List-Unsubscribe=One-Click")

    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert on_sqlite.client.post(header).status_code == 200
    assert on_sqlite.client.post(new_path(on_sqlite)).status_code == 410
    assert on_sqlite.states() == {ANN: "confirmed"}


def test_one_click_after_the_change_does_not_take_it_back(on_sqlite: Service) -> None:
    on_sqlite.confirmed(ANN)
    ask(on_sqlite)
    url = new_path(on_sqlite)
    on_sqlite.client.post(url)

    assert on_sqlite.client.post(f"{url}/stop").status_code == 200
    assert address(on_sqlite) == NEW


def test_nobody_is_buried_in_such_mail(on_sqlite: Service) -> None:
    on_sqlite.confirmed(ANN)
    page = whole_path(on_sqlite)
    for number in range(4):
        do(on_sqlite, page, "address", email=f"victim{number}@example.org")

    on_sqlite.send_mail()
    assert sum(len(on_sqlite.sink.to(f"victim{number}@example.org")) for number in range(4)) == 1


def test_ones_own_address_can_be_written_otherwise(service: Service) -> None:
    service.confirmed(ANN)
    page = whole_path(service)

    answer = do(service, page, "address", email="Ann@example.org")

    assert "Saved" in answer.text
    assert service.rows("SELECT address, identity FROM subscribers") == [("Ann@example.org", ANN)]
    assert service.rows("SELECT id FROM address_changes") == []
    assert service.events() == ["sign_up", "confirm", "edit"]
    assert service.client.get(page).status_code == 200
    assert do(service, page, "address", email="Ann@example.org").status_code == 200
    assert service.events() == ["sign_up", "confirm", "edit"]  # no change, no trace


def test_the_new_address_can_ask_for_its_link_at_once_and_only_once(service: Service) -> None:
    service.confirmed(ANN)
    ask(service)
    service.client.post(new_path(service))

    for _ in range(2):
        service.client.post("/unsubscribe", data={"email": NEW})

    (mail,) = [mail for mail in service.mail_to(NEW) if "/manage/" in mail.part("plain")]
    assert service.client.get(path(mail.link("manage"))).status_code == 200


def test_what_is_no_address_and_the_same_address_change_nothing(on_sqlite: Service) -> None:
    on_sqlite.confirmed(ANN)
    page = whole_path(on_sqlite)

    wrong = do(on_sqlite, page, "address", email="ann@")
    assert wrong.status_code == 422
    assert 'aria-invalid="true"' in wrong.text
    assert do(on_sqlite, page, "address", email=ANN).status_code == 200
    assert on_sqlite.rows("SELECT id FROM address_changes") == []


def test_two_weeks_after_it_was_made_a_change_is_forgotten_with_the_old_address(service: Service) -> None:
    service.confirmed(ANN)
    ask(service)
    undo = not_me_path(service)
    service.client.post(new_path(service))

    def forget(at: datetime) -> None:
        writing(service, lambda session: self_service.forget_changes(session, service.settings, at))

    forget(now() + timedelta(days=13))
    assert reading(service, lambda session: len(service.rows("SELECT id FROM address_changes"))) == 1
    forget(now() + timedelta(days=15))
    assert service.rows("SELECT id FROM address_changes") == []
    assert service.client.post(undo).status_code == 410
    assert address(service) == NEW


def test_u6_many_presses_at_once_are_all_answered_whichever_door(service: Service) -> None:
    """Who waits for the writer holds no connection that it needs."""
    service.confirmed(ANN)
    page = whole_path(service, ANN)
    do(service, page, "address", email=NEW)
    stop = f"{new_path(service)}/stop"
    presses = [
        lambda: do(service, page, "language", locale="de").status_code,
        lambda: service.client.post(stop).status_code,
        lambda: service.sign_up("bob@example.org").status_code,
    ]

    with ThreadPoolExecutor(45) as at_once:
        answers = [at_once.submit(press) for press in presses * 15]

    assert {answer.result() for answer in answers} == {200}


def test_who_stops_their_own_wish_again_and_again_buries_nobody(service: Service) -> None:
    for number in range(3):
        own = f"own{number}@example.org"
        service.confirmed(own)
        do(service, whole_path(service, own), "address", email=NEW)
        service.send_mail()
        for mail in service.sink.to(own):
            if "/not-me/" in mail.part("plain"):
                service.client.post(path(mail.link("not-me")))

    assert len(service.mail_to(NEW)) == 1


def test_a_second_press_tells_what_the_first_one_did(on_sqlite: Service) -> None:
    on_sqlite.confirmed(ANN)
    ask(on_sqlite)
    undo = not_me_path(on_sqlite)
    assert on_sqlite.client.post(new_path(on_sqlite)).status_code == 200
    first, second = on_sqlite.client.post(undo), on_sqlite.client.post(undo)

    assert (first.status_code, second.status_code) == (200, 200)
    assert first.text == second.text == on_sqlite.client.get(undo).text
    assert on_sqlite.states() == {ANN: "confirmed"}

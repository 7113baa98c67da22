"""Suppression: who is kept from mail, who comes back by themselves, and that nobody sees it."""

from __future__ import annotations

import pytest

from newsletter.domain.suppressing import Reason
from newsletter.services import suppress
from tests.support.acting import reading, writing
from tests.support.service import Service, now, path

ANN = "ann@example.org"


def put(service: Service, reason: str, identity: str = ANN) -> None:
    writing(
        service,
        lambda session: suppress.suppress(session, service.settings, now(), identity, reason=reason),
    )


def reasons(service: Service) -> dict[str, str]:
    return reading(service, lambda session: suppress.reasons(session, service.settings, [ANN]))


@pytest.mark.parametrize("reason", [Reason.LEFT, Reason.BOUNCE])
def test_a_fresh_confirmation_lifts_what_the_person_may_lift(service: Service, reason: str) -> None:
    put(service, reason)

    service.sign_up(ANN)
    assert reasons(service) == {ANN: reason}  # not before the button
    (mail,) = service.mail_to(ANN)
    assert service.client.post(path(mail.link("confirm"))).status_code == 200

    assert reasons(service) == {}
    assert service.states() == {ANN: "confirmed"}
    service.client.post("/unsubscribe", data={"email": ANN})
    assert len(service.mail_to(ANN)) == 2


@pytest.mark.parametrize("reason", [Reason.COMPLAINT, Reason.ERASED, "import", "hard bounce"])
def test_nothing_lifts_a_complaint_or_what_the_publisher_wants_kept(on_sqlite: Service, reason: str) -> None:
    put(on_sqlite, reason)

    on_sqlite.sign_up(ANN)

    assert on_sqlite.mail_to(ANN) == []
    assert on_sqlite.states() == {}
    assert reasons(on_sqlite) == {ANN: reason}


def test_a_code_lifts_it_as_the_button_does(on_sqlite: Service) -> None:
    put(on_sqlite, Reason.LEFT)
    on_sqlite.sign_up(ANN, way="frame")
    text = on_sqlite.mail_to(ANN)[-1].part("plain")
    code = next(line for line in text.splitlines() if line.replace(" ", "").isdigit())

    assert on_sqlite.client.post("/lists/daily/code", data={"email": ANN, "code": code}).status_code == 200

    assert reasons(on_sqlite) == {}


def test_until_it_is_lifted_no_other_mail_leaves(on_sqlite: Service) -> None:
    put(on_sqlite, Reason.LEFT)
    on_sqlite.sign_up(ANN)
    on_sqlite.send_mail()

    on_sqlite.client.post("/unsubscribe", data={"email": ANN})

    assert len(on_sqlite.mail_to(ANN)) == 1


def test_a7_the_answer_is_the_same_for_every_suppression(service: Service) -> None:
    identities = {reason: f"{reason}@example.org" for reason in Reason}
    for reason, identity in identities.items():
        put(service, reason, identity)

    def answers(address: str) -> list[tuple[int, list[str], str]]:
        return [
            (answer.status_code, list(answer.headers.keys()), answer.text.replace(address, "…"))
            for answer in (
                service.sign_up(address),
                service.client.post("/unsubscribe", data={"email": address}),
            )
        ]

    unknown = answers("unknown@example.org")
    for address in identities.values():
        assert answers(address) == unknown, address


def test_a_complaint_takes_the_place_of_what_could_be_lifted_and_never_the_other_way(
    service: Service,
) -> None:
    put(service, Reason.LEFT)
    put(service, Reason.COMPLAINT)
    assert reasons(service) == {ANN: Reason.COMPLAINT}

    put(service, Reason.LEFT)
    put(service, Reason.BOUNCE)
    assert reasons(service) == {ANN: Reason.COMPLAINT}


def test_digests_under_retired_and_older_keys_still_match_and_are_lifted(service: Service) -> None:
    put(service, Reason.LEFT)
    old = service.environ["NEWSLETTER_SECRET_KEYS"]
    for keys in (
        {"NEWSLETTER_SECRET_KEYS": f"{old},{'n' * 40}"},
        {"NEWSLETTER_SECRET_KEYS": "n" * 40, "NEWSLETTER_RETIRED_KEYS": old},
    ):
        later = Service(service.environ | keys, service.sink)
        assert reasons(later) == {ANN: Reason.LEFT}
    put(later, Reason.COMPLAINT)
    assert reasons(later) == {ANN: Reason.COMPLAINT}
    put(service, Reason.LEFT)
    assert reasons(later) == {ANN: Reason.COMPLAINT}

    writing(service, lambda session: session.connection().exec_driver_sql("DELETE FROM suppressions"))
    put(service, Reason.LEFT)
    later.sign_up(ANN)
    assert later.client.post(path(later.mail_to(ANN)[-1].link("confirm"))).status_code == 200
    assert reasons(service) == {}

"""The fuse against mail bombing: it blows by itself, people still get through, and it mends by itself (A1)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from newsletter.database import write_transaction
from newsletter.domain.addresses import parse_address
from newsletter.extensions import db
from newsletter.services import lists
from newsletter.services.evidence import Seen
from newsletter.services.guard import HIGHEST_LEVEL, Answer, Proof
from newsletter.services.sign_ups import SignUp
from newsletter.services.subscribe import Outcome, subscribe
from tests.integration.test_limits import limited_by
from tests.integration.test_steps import URL, hidden, script
from tests.support.altcha import solved
from tests.support.service import Service, now


@pytest.fixture(params=["sqlite", "postgresql", "redis"])
def fused(request: pytest.FixtureRequest, make_service: Callable[..., Service]) -> Service:
    """Sixty sign-ups in ten minutes are usual here."""
    return limited_by(
        request, make_service, NEWSLETTER_SIGNUP_LIMIT="500/hour", NEWSLETTER_SURGE_LIMIT="60/10minutes"
    )


def bomb(service: Service, victims: int, *, start: int = 0, domain: str = "gmail.com") -> list[int]:
    """Sign up victims, each from a network of its own, eight at a time: each answer waits for its beat."""

    def sign_up(number: int) -> int:
        return service.client.post(
            URL,
            data={"email": f"victim{number}@{domain}"},
            environ_base={"REMOTE_ADDR": f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"},
        ).status_code

    with ThreadPoolExecutor(8) as machines:
        return list(machines.map(sign_up, range(start, start + victims)))


def test_a1_a_thousand_victims_from_a_thousand_networks_blow_the_fuse(
    capfd: pytest.CaptureFixture[str], fused: Service
) -> None:
    answers = bomb(fused, 1000)

    assert Counter(answers) == {200: 60, 429: 940}
    assert fused.counts()["outbox"] == 60
    events = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    alarms = [event["height"] for event in events if event["event"] == "surge"]
    assert alarms == sorted(set(alarms))  # eight answers at a time: it may grow by more than one
    assert alarms[-1] == HIGHEST_LEVEL

    figures = fused.client.get("/metrics").text
    assert "newsletter_surge_height 4.0" in figures
    assert "newsletter_surge_limit 60.0" in figures

    # A reader with a browser still gets through, and so does one without script.
    asked = script(fused, email="reader@gmail.com")
    assert asked.json is not None
    challenge = asked.json["challenge"]
    assert challenge["parameters"]["data"] == {"level": HIGHEST_LEVEL, "asked": True}
    assert script(fused, email="reader@gmail.com", altcha=solved(challenge)).status_code == 202
    page = fused.sign_up("other@gmail.com").text
    assert fused.client.post(URL, data=hidden(page)).status_code == 200
    assert len(fused.mail_to("reader@gmail.com")) == len(fused.mail_to("other@gmail.com")) == 1


def test_a1_the_answer_during_a_surge_is_the_same_for_every_address(fused: Service) -> None:
    fused.confirmed("ann@gmail.com")
    bomb(fused, 60)

    known, unknown = script(fused, email="ann@gmail.com"), script(fused, email="new@gmail.com")

    assert known.status_code == unknown.status_code == 429
    assert list(known.headers.keys()) == list(unknown.headers.keys())
    assert known.json is not None
    assert unknown.json is not None
    assert known.json | {"challenge": 0} == unknown.json | {"challenge": 0}


def test_a1_machines_that_press_the_button_are_let_in_a_few_at_a_time(fused: Service) -> None:
    bomb(fused, 60)

    pressed = 0
    for number in range(60):
        network = {"REMOTE_ADDR": f"172.16.0.{number}"}
        asked = fused.client.post(URL, data={"email": f"v{number}@gmail.com"}, environ_base=network)
        answer = fused.client.post(URL, data=hidden(asked.text), environ_base=network)
        pressed += answer.status_code == 200

    assert pressed == 15
    assert "noscript" in asked.text
    assert "<button" not in asked.text
    assert fused.counts()["outbox"] == 75


def test_a1_one_domain_in_a_surge_asks_a_step_of_its_own_alone(fused: Service) -> None:
    answers = bomb(fused, 30, domain="company.example")

    assert Counter(answers) == {200: 20, 429: 10}
    assert bomb(fused, 5, start=100, domain="gmail.com") == [200] * 5
    assert bomb(fused, 5, start=200, domain="elsewhere.example") == [200] * 5


def test_a1_an_old_cheap_solution_is_not_taken_when_the_surge_has_grown(fused: Service) -> None:
    cheap = fused.client.get("/lists/daily/challenge").json
    bomb(fused, 250)

    assert cheap is not None
    assert script(fused, email="late@gmail.com", altcha=solved(cheap)).status_code == 429


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a1_the_fuse_stays_blown_while_the_attack_goes_on_and_mends_when_it_ends(
    make_service: Callable[..., Service], kind: str
) -> None:
    service = make_service(kind, NEWSLETTER_SIGNUP_LIMIT="500/hour", NEWSLETTER_SURGE_LIMIT="60/10minutes")
    attack = _Clock(service)

    let_in = [sum(attack.minute(victims=30)) for _ in range(40)]
    assert sum(let_in[:2]) == 60
    assert sum(let_in[2:]) == 0

    calm = [attack.minute(victims=1)[0] for _ in range(20)]
    assert calm[0] is False
    assert all(calm[-5:])


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a1_readers_who_take_the_step_do_not_keep_the_fuse_blown(
    make_service: Callable[..., Service], kind: str
) -> None:
    """Four fifths of what is usual, for as long as it takes; each takes the step that is asked of them."""
    service = make_service(kind, NEWSLETTER_SIGNUP_LIMIT="500/hour", NEWSLETTER_SURGE_LIMIT="60/10minutes")
    clock = _Clock(service)
    for _ in range(10):
        clock.minute(victims=5)
    clock.minute(victims=240)

    let_in = [clock.minute(victims=5, patient=True) for _ in range(60)]

    assert not all(let_in[0])
    assert all(all(minute) for minute in let_in[-20:])


class _Clock:
    """Applies sign-ups at a time of its own."""

    def __init__(self, service: Service) -> None:
        self._service = service
        # At the beginning of a stretch that the fuse counts.
        self._now = now().replace(minute=0, second=0, microsecond=0)
        self._number = 0

    def minute(self, *, victims: int, patient: bool = False) -> list[bool]:
        """One minute with so many sign-ups; which of them were let in at once. Who is `patient` takes the step
        that is asked of them."""
        sign_ups = []
        for _ in range(victims):
            self._number += 1
            network = f"10.1.{self._number >> 8}.{self._number & 255}"
            address = parse_address(f"v{self._number}@gmail.com")
            sign_ups.append(SignUp("daily", address, None, "en", Seen("form", network=network)))
        with self._service.app.app_context(), write_transaction(db.session()):
            outcomes: list[Outcome] = subscribe(db.session(), self._service.settings, self._now, sign_ups)
            again = [
                replace(one, proof=Proof(one.address.identity, HIGHEST_LEVEL, 600, asked=True))
                for one, outcome in zip(sign_ups, outcomes, strict=True)
                if patient and outcome.verdict.answer is Answer.STEP
            ]
            taken = subscribe(db.session(), self._service.settings, self._now, again) if again else []
            assert all(outcome.verdict.answer is Answer.TAKE for outcome in taken)
        self._now += timedelta(minutes=1)
        return [outcome.verdict.answer.value == "take" for outcome in outcomes]


def test_a1_one_mailbox_is_not_buried_under_its_other_names(fused: Service) -> None:
    answers = [
        fused.client.post(
            URL,
            data={"email": f"victim+{number}@gmail.com" if number % 2 else f"v.ictim+{number}@gmail.com"},
            environ_base={"REMOTE_ADDR": f"10.9.{number}.1"},
        ).status_code
        for number in range(14)
    ]

    assert answers == [200] * 10 + [429] * 4
    assert fused.counts()["outbox"] == 10
    assert fused.sign_up("victim@gmail.com").status_code == 200


def test_a1_one_address_gets_ten_mails_a_day_over_all_lists(service: Service) -> None:
    with service.app.app_context(), write_transaction(db.session()):
        for number in range(14):
            lists.add(db.session(), now(), slug=f"list-{number}", name=f"List {number}")
    for number in range(14):
        assert service.sign_up("ann@example.org", f"list-{number}").status_code == 200

    assert len(service.mail_to("ann@example.org")) == 10
    service.age(days=1, minutes=1)
    # What waited for its turn has come.
    assert len(service.mail_to("ann@example.org")) == 14


def test_a1_confirmations_say_that_a_form_caused_them(service: Service) -> None:
    service.sign_up()

    assert service.mail_to()[0].message.get_all("Form-Sub") == ["v=1"]


def test_figures_are_for_near_machines_alone(on_sqlite: Service) -> None:
    far = on_sqlite.client.get("/metrics", environ_base={"REMOTE_ADDR": "93.184.216.34"})

    assert far.status_code == 404
    assert on_sqlite.client.get("/metrics", environ_base={"REMOTE_ADDR": "10.0.0.7"}).status_code == 200

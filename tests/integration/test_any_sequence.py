"""A law: whatever people do in whatever order, the states stay in the table and nobody is mailed too often."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import delete, select

from newsletter.database import write_transaction
from newsletter.domain.addresses import parse_address
from newsletter.domain.lifecycle import State
from newsletter.domain.resending import BUDGETS, COOL_DOWN
from newsletter.extensions import db
from newsletter.models import ConsentEvent, LedgerHead, LedgerPage, OutboxMessage, Subscriber, Subscription
from newsletter.models.outbox import Lane, Status
from newsletter.services import attempts, deliver
from newsletter.services.confirm import Answer, Press, confirm
from newsletter.services.evidence import Seen
from newsletter.services.purge import purge
from newsletter.services.renew import renew
from newsletter.services.sign_ups import SignUp
from newsletter.services.subscribe import subscribe
from newsletter.services.unsubscribe import Leave, unsubscribe
from tests.support.evidence import faults
from tests.support.service import Service

_PEOPLE = ("ann@example.org", "Bob@example.org")
_SEEN = Seen("form")


class Anything(RuleBasedStateMachine):
    """Two people, one list, a worker, and time that passes."""

    service: Service

    @initialize()
    def start(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.sent: dict[str, list[datetime]] = {person: [] for person in _PEOPLE}
        self.pressed: dict[str, list[datetime]] = {person: [] for person in _PEOPLE}
        self.links: list[tuple[object, int]] = []
        everything = (LedgerPage, LedgerHead, ConsentEvent, Subscriber, Subscription)
        self._do(lambda session: [session.execute(delete(table)) for table in everything])

    def teardown(self) -> None:
        """Whatever happened, the ledger finds nothing wrong with it."""
        self.service.work()
        assert faults(self.service, "daily") == []

    def _do(self, work: Callable[..., object]) -> object:
        with self.service.app.app_context(), write_transaction(db.session()):
            return work(db.session())

    @rule(person=st.sampled_from(_PEOPLE), times=st.integers(1, 3), upper=st.booleans())
    def sign_up(self, person: str, times: int, upper: bool) -> None:
        typed = person.upper() if upper else person
        ask = SignUp("daily", parse_address(typed), None, "en", _SEEN)
        self._do(lambda session: subscribe(session, self.service.settings, self.now, [ask] * times))

    @rule()
    def worker_sends(self) -> None:
        def send(session: object) -> None:
            limits = dict.fromkeys(Lane, 10)
            claimed = deliver.claim(session, self.service.settings, self.now, lease_id=uuid4(), limits=limits)  # type: ignore[arg-type]
            for message in claimed.messages:
                attempts.record_sent(session, self.service.settings, self.now, message)  # type: ignore[arg-type]
                person = next(p for p in _PEOPLE if p.lower() == message.address.lower())
                self.sent[person].append(self.now)
                self.links.append((message.subscription_id, message.generation))

        self._do(send)

    @rule(data=st.data())
    def press_a_link(self, data: st.DataObject) -> None:
        if self.links:
            subscription_id, generation = data.draw(st.sampled_from(self.links))
            press = Press(subscription_id, generation, _SEEN)  # type: ignore[arg-type]

            def apply(session: object) -> None:
                before = self._state(session, subscription_id)
                (answer,) = confirm(session, self.service.settings, self.now, [press])  # type: ignore[arg-type]
                if answer.answer is Answer.CONFIRMED and before is State.PENDING:
                    assert answer.subscription is not None
                    person = next(p for p in _PEOPLE if p.lower() == answer.subscription.address.lower())
                    self.pressed[person].append(self.now)

            self._do(apply)

    @rule(data=st.data())
    def renew_a_link(self, data: st.DataObject) -> None:
        if self.links:
            subscription_id, _ = data.draw(st.sampled_from(self.links))
            self._do(lambda session: renew(session, self.service.settings, self.now, [subscription_id]))  # type: ignore[list-item]

    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        if self.links:
            subscription_id, _ = data.draw(st.sampled_from(self.links))
            gone = Leave(subscription_id, _SEEN)  # type: ignore[arg-type]
            self._do(lambda session: unsubscribe(session, self.service.settings, self.now, [gone]))

    @rule()
    def forget(self) -> None:
        self._do(lambda session: purge(session, self.service.settings, self.now))

    @rule(minutes=st.sampled_from([1, 9, 10, 11, 60, 24 * 60, 8 * 24 * 60, 31 * 24 * 60]))
    def time_passes(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)

    def _state(self, session: object, subscription_id: object) -> State | None:
        found = session.scalar(select(Subscription.state).where(Subscription.id == subscription_id))  # type: ignore[attr-defined]
        return State(found) if found else None

    @invariant()
    def nobody_is_mailed_too_often(self) -> None:
        for person, sent in getattr(self, "sent", {}).items():
            pressed = self.pressed[person]
            for earlier, later in zip(sent, sent[1:], strict=False):
                pressed_between = any(earlier <= press <= later for press in pressed)
                assert pressed_between or later - earlier >= COOL_DOWN, (person, earlier, later)
            for most, span in BUDGETS:
                for moment in sent:
                    assert sum(moment <= other < moment + span for other in sent) <= most

    @invariant()
    def every_state_has_its_evidence(self) -> None:
        def look(session: object) -> None:
            for subscription in session.scalars(select(Subscription)):  # type: ignore[attr-defined]
                kinds = list(
                    session.scalars(  # type: ignore[attr-defined]
                        select(ConsentEvent.kind)
                        .where(ConsentEvent.subscription_id == subscription.id)
                        .order_by(ConsentEvent.id)
                    )
                )
                moves = [kind for kind in kinds if kind != "sign_up"]
                expected = {
                    "confirm": State.CONFIRMED,
                    "unsubscribe": State.UNSUBSCRIBED,
                    "lapse": State.UNSUBSCRIBED,
                }
                if State(subscription.state) is State.PENDING:
                    assert kinds[-1] == "sign_up"
                else:
                    assert expected[moves[-1]] is State(subscription.state)
                assert (subscription.confirmed_at is not None) == ("confirm" in kinds)

        if hasattr(self, "now"):
            self._do(look)

    @invariant()
    def at_most_one_message_waits(self) -> None:
        def look(session: object) -> None:
            waiting = session.scalars(  # type: ignore[attr-defined]
                select(OutboxMessage.subscription_id).where(OutboxMessage.status == Status.QUEUED.value)
            ).all()
            assert len(waiting) == len(set(waiting))

        if hasattr(self, "now"):
            self._do(look)


def test_no_sequence_leaves_the_table_of_moves_or_mails_anybody_too_often(on_sqlite: Service) -> None:
    machine = type("Machine", (Anything,), {"service": on_sqlite})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=30,
            stateful_step_count=30,
            deadline=None,
            # Each step is a transaction: making a failure smaller would take longer than reading it.
            phases=[Phase.explicit, Phase.reuse, Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )

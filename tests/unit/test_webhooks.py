"""The rules of webhooks: signatures, what is told, when it is told again."""

from __future__ import annotations

import base64
from datetime import timedelta
from random import Random

import pytest

from newsletter.domain.lifecycle import Event, State
from newsletter.domain.webhooks import Notice, new_secret, notice_of, signature, wait_after


def test_the_published_example_of_the_specification_is_signed_alike() -> None:
    given = signature(
        ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
    )

    assert given == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_while_a_secret_is_rotated_both_sign() -> None:
    old, new = new_secret(), new_secret()

    assert signature([new, old], "msg_1", 1, b"{}").split(" ") == [
        signature([new], "msg_1", 1, b"{}"), signature([old], "msg_1", 1, b"{}"),
    ]  # fmt: skip


def test_a_secret_is_whole_with_and_without_padding() -> None:
    """Between 24 and 64 bytes, says the specification; what verifies may want the padding, or not."""
    secret = new_secret()

    assert secret.startswith("whsec_")
    assert len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) == 33
    assert secret == secret.rstrip("=") != new_secret()


@pytest.mark.parametrize(
    ("kind", "before", "after", "told"),
    [
        (Event.SIGN_UP, None, State.PENDING, Notice.SUBSCRIBED),
        (Event.SIGN_UP, State.UNSUBSCRIBED, State.PENDING, Notice.SUBSCRIBED),
        (Event.SIGN_UP, State.CONFIRMED, State.CONFIRMED, None),
        (Event.CONFIRM, State.PENDING, State.CONFIRMED, Notice.CONFIRMED),
        (Event.CONFIRM, State.CONFIRMED, State.CONFIRMED, None),
        (Event.UNSUBSCRIBE, State.CONFIRMED, State.UNSUBSCRIBED, Notice.UNSUBSCRIBED),
        (Event.LAPSE, State.PENDING, State.UNSUBSCRIBED, Notice.UNSUBSCRIBED),
        (Event.BOUNCE, State.CONFIRMED, State.BOUNCED, Notice.BOUNCED),
        (Event.COMPLAIN, State.CONFIRMED, State.COMPLAINED, Notice.COMPLAINED),
        (Event.IMPORT, None, State.CONFIRMED, None),
        (Event.IMPORT, State.CONFIRMED, State.UNSUBSCRIBED, Notice.UNSUBSCRIBED),
        (Event.EDIT, State.CONFIRMED, State.CONFIRMED, None),
        (Event.FORGET, State.CONFIRMED, None, Notice.ERASED),
        (Event.FORGET, None, None, None),
    ],
)
def test_what_is_told_of_an_event(
    kind: Event, before: State | None, after: State | None, told: Notice | None
) -> None:
    way = "import" if kind is Event.IMPORT else "page"
    assert notice_of(kind, before, after, way=way, age=timedelta(hours=1)) is told


def test_who_is_added_by_hand_is_told_of_and_what_a_file_tells_of_the_past_is_not() -> None:
    hour = timedelta(hours=1)

    assert notice_of(Event.IMPORT, None, State.CONFIRMED, way="console", age=hour) is Notice.CONFIRMED
    assert notice_of(Event.CONFIRM, State.PENDING, State.CONFIRMED, way="page", age=200 * hour) is None


def test_ten_attempts_are_made_in_three_days() -> None:
    waits = [wait_after(attempts, Random(1)) for attempts in range(1, 11)]

    assert waits[-1] is None
    made = [wait for wait in waits if wait is not None]
    assert len(made) == 9
    assert made == sorted(made)
    assert timedelta(days=2.5) < sum(made, timedelta()) < timedelta(days=3.8)


def test_a_receiver_may_ask_for_more_time_but_not_for_ever() -> None:
    assert wait_after(1, Random(1), asked=timedelta(minutes=10)) == timedelta(minutes=10)
    assert wait_after(1, Random(1), asked=timedelta(days=400)) == timedelta(hours=24)
    assert wait_after(3, Random(1), asked=timedelta(0)) > timedelta(minutes=20)  # type: ignore[operator]

"""The states of a subscription and the one table of allowed moves.

Every change of state in the service asks `move`; what the table does not hold cannot happen.
"""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """Where a subscription stands."""

    PENDING = "pending"  # asked for, not yet confirmed
    CONFIRMED = "confirmed"  # gets the newsletter
    UNSUBSCRIBED = "unsubscribed"
    BOUNCED = "bounced"  # its address does not take mail
    COMPLAINED = "complained"  # reported us as spam: never mailed again


class Event(StrEnum):
    """What happens to a subscription."""

    SIGN_UP = "sign_up"
    CONFIRM = "confirm"
    UNSUBSCRIBE = "unsubscribe"
    LAPSE = "lapse"  # was never confirmed in time
    BOUNCE = "bounce"
    COMPLAIN = "complain"


class IllegalMove(Exception):
    """The table of moves does not hold this event in this state."""


MOVES: dict[tuple[State | None, Event], State] = {
    (None, Event.SIGN_UP): State.PENDING,
    (State.PENDING, Event.SIGN_UP): State.PENDING,
    (State.CONFIRMED, Event.SIGN_UP): State.CONFIRMED,
    (State.UNSUBSCRIBED, Event.SIGN_UP): State.PENDING,
    (State.BOUNCED, Event.SIGN_UP): State.PENDING,
    (State.COMPLAINED, Event.SIGN_UP): State.COMPLAINED,
    (State.PENDING, Event.CONFIRM): State.CONFIRMED,
    (State.CONFIRMED, Event.CONFIRM): State.CONFIRMED,
    (State.PENDING, Event.UNSUBSCRIBE): State.UNSUBSCRIBED,
    (State.CONFIRMED, Event.UNSUBSCRIBE): State.UNSUBSCRIBED,
    (State.UNSUBSCRIBED, Event.UNSUBSCRIBE): State.UNSUBSCRIBED,
    (State.BOUNCED, Event.UNSUBSCRIBE): State.UNSUBSCRIBED,
    (State.COMPLAINED, Event.UNSUBSCRIBE): State.COMPLAINED,
    (State.PENDING, Event.LAPSE): State.UNSUBSCRIBED,
    (State.PENDING, Event.BOUNCE): State.BOUNCED,
    (State.CONFIRMED, Event.BOUNCE): State.BOUNCED,
    (State.UNSUBSCRIBED, Event.BOUNCE): State.UNSUBSCRIBED,
    (State.BOUNCED, Event.BOUNCE): State.BOUNCED,
    (State.COMPLAINED, Event.BOUNCE): State.COMPLAINED,
    (State.PENDING, Event.COMPLAIN): State.COMPLAINED,
    (State.CONFIRMED, Event.COMPLAIN): State.COMPLAINED,
    (State.UNSUBSCRIBED, Event.COMPLAIN): State.COMPLAINED,
    (State.BOUNCED, Event.COMPLAIN): State.COMPLAINED,
    (State.COMPLAINED, Event.COMPLAIN): State.COMPLAINED,
}


def move(state: State | None, event: Event) -> State:
    """The state that follows; None is a subscription that does not exist yet. Raises `IllegalMove`."""
    try:
        return MOVES[state, event]
    except KeyError:
        raise IllegalMove(f"{event} is not possible in state {state or 'none'}") from None

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
    IMPORT = "import"  # came in a file: see IMPORTS
    EDIT = "edit"  # something of the person was changed: a name, an attribute, the address; or a pause
    FORGET = "forget"  # what was held of it is gone, save this


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
    (State.PENDING, Event.EDIT): State.PENDING,
    (State.CONFIRMED, Event.EDIT): State.CONFIRMED,
    (State.UNSUBSCRIBED, Event.EDIT): State.UNSUBSCRIBED,
    (State.BOUNCED, Event.EDIT): State.BOUNCED,
    (State.COMPLAINED, Event.EDIT): State.COMPLAINED,
}

# What an import makes of a subscription: by the state it has, and the state that the file names. Nobody who
# left comes back by a file, and nobody's consent is lost by one. Who left and was signed up again since is
# pending, and stays so: a file is no press of the button.
IMPORTS: dict[State | None, dict[State, State]] = {
    None: {state: state for state in State},
    State.PENDING: {state: state for state in State},
    State.CONFIRMED: {
        State.PENDING: State.CONFIRMED,
        State.CONFIRMED: State.CONFIRMED,
        State.UNSUBSCRIBED: State.UNSUBSCRIBED,
        State.BOUNCED: State.BOUNCED,
        State.COMPLAINED: State.COMPLAINED,
    },
    State.UNSUBSCRIBED: {
        state: State.COMPLAINED if state is State.COMPLAINED else State.UNSUBSCRIBED for state in State
    },
    State.BOUNCED: {
        state: state if state in (State.COMPLAINED, State.UNSUBSCRIBED) else State.BOUNCED for state in State
    },
    State.COMPLAINED: dict.fromkeys(State, State.COMPLAINED),
}


def move(state: State | None, event: Event) -> State:
    """The state that follows; None is a subscription that does not exist yet. Raises `IllegalMove`."""
    try:
        return MOVES[state, event]
    except KeyError:
        raise IllegalMove(f"{event} is not possible in state {state or 'none'}") from None


_STEPS = frozenset(
    {(event.value, before, after.value) for (before, event), after in MOVES.items()}
    | {(Event.IMPORT.value, before, after.value) for before, by in IMPORTS.items() for after in by.values()}
    | {(Event.IMPORT.value, state.value, state.value) for state in State}
)


def is_step(kind: str, before: str | None, after: str | None) -> bool:
    """Whether the rules of this service lead so from one state to another: by a move or by an import."""
    return (kind, before, after) in _STEPS

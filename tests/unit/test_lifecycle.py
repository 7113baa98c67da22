"""The table of moves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.domain.lifecycle import IMPORTS, MOVES, Event, IllegalMove, State, move


@given(st.lists(st.sampled_from(Event), max_size=30))
def test_no_sequence_of_events_confirms_without_a_confirmation(events: list[Event]) -> None:
    state: State | None = None
    pressed = False
    for event in events:
        try:
            after = move(state, event)
        except IllegalMove:
            continue
        if event is Event.CONFIRM:
            pressed = True
        if after is State.PENDING and state is not State.PENDING:
            pressed = False
        if after is State.CONFIRMED:
            assert pressed
        state = after


@pytest.mark.parametrize("event", Event)
def test_who_complained_stays_so_for_ever(event: Event) -> None:
    try:
        assert move(State.COMPLAINED, event) is State.COMPLAINED
    except IllegalMove:
        assert event in (Event.CONFIRM, Event.LAPSE, Event.IMPORT, Event.FORGET)


@pytest.mark.parametrize("named", State)
@pytest.mark.parametrize("state", State)
def test_no_file_brings_back_who_left_nor_ends_a_consent_that_it_does_not_know_of(
    state: State, named: State
) -> None:
    after = IMPORTS[state][named]

    if state in (State.UNSUBSCRIBED, State.BOUNCED, State.COMPLAINED):
        assert after not in (State.PENDING, State.CONFIRMED)
    if named is State.PENDING:
        assert after is state
    if State.COMPLAINED in (state, named):
        assert after is State.COMPLAINED


def test_an_import_knows_every_state() -> None:
    assert IMPORTS.keys() == {None, *State}
    assert all(made.keys() == set(State) for made in IMPORTS.values())


@pytest.mark.parametrize("state", State)
def test_u6_everybody_may_leave_at_any_time(state: State) -> None:
    assert move(state, Event.UNSUBSCRIBE) in (State.UNSUBSCRIBED, State.COMPLAINED)


def test_only_a_pending_or_confirmed_subscription_can_be_confirmed() -> None:
    assert {state for state, event in MOVES if event is Event.CONFIRM} == {State.PENDING, State.CONFIRMED}


def test_a_move_that_is_not_in_the_table_is_an_error() -> None:
    with pytest.raises(IllegalMove, match="confirm is not possible in state unsubscribed"):
        move(State.UNSUBSCRIBED, Event.CONFIRM)

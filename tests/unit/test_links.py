"""Signed links: each opens one door, for one subscription, and nothing else does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.domain.links import BadLink, Confirmation, Links

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
WEEK = timedelta(days=7)
OLD, NEW = "o" * 32, "n" * 32
LINKS = Links([OLD, NEW])


def _bad(read: object, *arguments: object, **named: object) -> None:
    with pytest.raises(BadLink):
        read(*arguments, **named)  # type: ignore[operator]


@given(st.uuids(), st.integers(1, 10**6))
def test_a_link_names_what_it_was_made_for(identifier: UUID, generation: int) -> None:
    confirm = LINKS.confirm_token(identifier, generation, now=NOW)
    unsubscribe = LINKS.unsubscribe_token(identifier)

    assert LINKS.read_confirm(confirm, now=NOW, max_age=WEEK) == Confirmation(
        identifier, generation, expired=False, signed_at=NOW
    )
    assert LINKS.read_unsubscribe(unsubscribe) == identifier
    for token in (confirm, unsubscribe):
        assert token[-1].isalnum()  # D8
        assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")


@given(st.uuids(), st.data())
def test_a_link_with_any_other_character_is_refused(identifier: UUID, data: st.DataObject) -> None:
    for token, read in (
        (LINKS.unsubscribe_token(identifier), LINKS.read_unsubscribe),
        (LINKS.confirm_token(identifier, 3, now=NOW), lambda t: LINKS.read_confirm(t, now=NOW, max_age=WEEK)),
    ):
        place = data.draw(st.integers(0, len(token) - 1))
        other = data.draw(st.sampled_from("ABab01-_.é ").filter(lambda c: c != token[place]))  # noqa: B023
        changed = token[:place] + other + token[place + 1 :]
        if changed.rstrip("-_. ") != token:
            _bad(read, changed)


@given(st.text(max_size=300))
def test_no_text_but_ours_is_a_link(text: str) -> None:
    _bad(LINKS.read_unsubscribe, text)
    _bad(LINKS.read_confirm, text, now=NOW, max_age=WEEK)


@given(st.uuids())
def test_d1_a_link_of_one_door_opens_no_other(identifier: UUID) -> None:
    _bad(LINKS.read_unsubscribe, LINKS.confirm_token(identifier, 1, now=NOW))
    _bad(LINKS.read_confirm, LINKS.unsubscribe_token(identifier), now=NOW, max_age=WEEK)


def test_d2_every_key_verifies_and_the_last_one_signs() -> None:
    identifier = UUID(int=7)
    by_old = Links([OLD]).unsubscribe_token(identifier)

    assert LINKS.read_unsubscribe(by_old) == identifier
    assert LINKS.unsubscribe_token(identifier) == Links([NEW]).unsubscribe_token(identifier)
    _bad(Links([NEW]).read_unsubscribe, by_old)


def test_u8_retired_keys_verify_unsubscribing_and_nothing_else() -> None:
    identifier = UUID(int=7)
    later = Links([NEW], retired=[OLD])
    before = Links([OLD])

    assert later.read_unsubscribe(before.unsubscribe_token(identifier)) == identifier
    _bad(later.read_confirm, before.confirm_token(identifier, 1, now=NOW), now=NOW, max_age=WEEK)


@pytest.mark.parametrize(
    ("age", "expired"),
    [(timedelta(), False), (WEEK, False), (WEEK + timedelta(seconds=2), True), (-timedelta(hours=5), False)],
    ids=["fresh", "to the day", "too old", "from a clock that is ahead"],
)
def test_d3_a_confirmation_expires(age: timedelta, expired: bool) -> None:
    token = LINKS.confirm_token(UUID(int=7), 1, now=NOW)

    assert LINKS.read_confirm(token, now=NOW + age, max_age=WEEK).expired is expired

"""How often an address may be mailed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from newsletter.domain.resending import BUDGETS, COOL_DOWN, earliest_next, may_mail

START = datetime(2026, 1, 1, tzinfo=UTC)


@given(st.lists(st.integers(0, 40 * 24 * 60), max_size=200))
def test_d9_no_sequence_of_sign_ups_breaks_the_cool_down_or_a_budget(minutes: list[int]) -> None:
    mailed: list[datetime] = []
    for minute in sorted(minutes):
        now = START + timedelta(minutes=minute)
        if may_mail(mailed, now=now, consented_at=None):
            mailed.append(now)

    for earlier, later in zip(mailed, mailed[1:], strict=False):
        assert later - earlier >= COOL_DOWN
    for most, span in BUDGETS:
        for moment in mailed:
            assert sum(moment <= sent < moment + span for sent in mailed) <= most


def test_a_pressed_button_ends_the_cool_down_but_not_the_budgets() -> None:
    mailed = [START, START + timedelta(minutes=11), START + timedelta(minutes=22)]
    pressed = START + timedelta(minutes=23)

    assert may_mail(mailed[:2], now=START + timedelta(minutes=13), consented_at=START + timedelta(minutes=12))
    assert not may_mail(mailed, now=pressed, consented_at=pressed)


def test_where_nothing_was_mailed_there_is_nothing_to_wait_for() -> None:
    assert earliest_next([], consented_at=None) is None

"""What a reply means, and when to try again."""

from __future__ import annotations

from datetime import timedelta
from random import Random

import pytest

from newsletter.domain.retry import Verdict, delay_before, relay_pause, verdict


@pytest.mark.parametrize(
    ("code", "text", "meaning"),
    [
        (250, "OK", Verdict.TAKEN),
        (421, "4.3.2 closing", Verdict.AGAIN),
        (450, "4.2.1 busy", Verdict.AGAIN),
        (452, "4.2.2 full", Verdict.AGAIN),
        (530, "5.7.0 authentication required", Verdict.AGAIN),
        (550, "5.1.1 unknown", Verdict.NEVER),
        (550, "5.7.1 refused by policy", Verdict.AGAIN),
        (550, "HELO host unknown", Verdict.AGAIN),
        (553, "5.1.3 https://www.blocklist.example/query/bl?ip=192.0.2.1", Verdict.AGAIN),
        (550, "5.1.1 user unknown; your host has no PTR", Verdict.AGAIN),
        (550, "5.7.1 No such user!", Verdict.NEVER),
        (554, "5.6.0 never", Verdict.NEVER),
        (552, "5.2.2 full", Verdict.NEVER),
        (554, "no", Verdict.NEVER),
        (-1, "", Verdict.AGAIN),
    ],
)
def test_a_reply_is_read_by_its_code(code: int, text: str, meaning: Verdict) -> None:
    assert verdict(code, text) is meaning


def test_s5_delays_grow_and_differ() -> None:
    random = Random(1)
    delays = [delay_before(attempt, random) for attempt in range(2, 8)]

    assert delays[:4] == sorted(delays[:4])
    assert delays[0] < timedelta(minutes=2)
    assert delays[-1] > timedelta(hours=2)
    assert len({delay_before(5, random) for _ in range(10)}) == 10


def test_s5_a_relay_is_left_alone_for_longer_each_time_but_never_for_hours() -> None:
    random = Random(1)

    assert relay_pause(1, random) < 2
    assert 40 < relay_pause(100, random) < 90

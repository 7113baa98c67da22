"""The policy of bounces: one table."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from newsletter.domain.bounce_policy import POLICY, Verdict, is_enough, judge, mildest, precise

NOW = datetime(2026, 1, 1, tzinfo=UTC)

CASES = [
    ("5.1.1", "550 5.1.1 no such user", Verdict.SUPPRESS_NOW),
    ("5.1.1", None, Verdict.SUPPRESS_NOW),
    ("5.1.2", "550 5.1.2 bad destination system", Verdict.SUPPRESS_NOW),
    ("5.1.10", "556 5.1.10 recipient address has null MX", Verdict.SUPPRESS_NOW),
    ("5.0.0", "550 user unknown", Verdict.SUPPRESS_NOW),
    (None, "550 5.1.1 <ann@example.org>: Recipient address rejected: User unknown in virtual mailbox table", Verdict.SUPPRESS_NOW),
    (None, "550 No such user here", Verdict.SUPPRESS_NOW),
    ("5.2.2", "552 5.2.2 mailbox full", Verdict.COUNT),
    ("5.1.1", "550 5.1.1 over quota", Verdict.COUNT),
    ("5.2.1", "550 5.2.1 mailbox disabled", Verdict.COUNT),
    ("4.4.7", "delivery time expired", Verdict.COUNT),
    ("4.2.2", "452 4.2.2 mailbox full", Verdict.COUNT),
    ("5.0.0", "554 transaction failed", Verdict.COUNT),
    (None, "550 sorry", Verdict.COUNT),
    ("5.7.1", "550 5.7.1 rejected", Verdict.OUR_FAULT),
    ("5.7.1", "550 5.7.1 user unknown", Verdict.COUNT),
    ("5.7.26", "550 5.7.26 unauthenticated", Verdict.OUR_FAULT),
    ("5.1.1", "550 5.7.1 IP address blacklisted by recipient", Verdict.OUR_FAULT),
    ("5.1.8", "501 5.1.8 bad sender's system address", Verdict.OUR_FAULT),
    ("5.0.0", "554 message rejected as spam", Verdict.OUR_FAULT),
    ("4.7.0", "421 4.7.0 temporarily deferred", Verdict.OUR_FAULT),
    # What an address, a host or a link is made of says nothing.
    ("5.1.1", "550 5.1.1 <info@policy-institute.org>: user unknown", Verdict.SUPPRESS_NOW),
    ("5.1.1", "550 5.1.1 spam@example.org no such user", Verdict.SUPPRESS_NOW),
    ("5.1.1", "550 5.1.1 user unknown; see http://postmaster.example/policy", Verdict.SUPPRESS_NOW),
    ("5.1.1", "host mx.antispam.example[192.0.2.1] said: 550 5.1.1 User unknown", Verdict.SUPPRESS_NOW),
    ("5.4.4", "Name service error for name=spam.example type=A: Host not found", Verdict.SUPPRESS_NOW),
    ("5.0.0", "554 rejected for <ann@nullmx.example>", Verdict.COUNT),
    ("5.0.0", "554 rejected, says mx.nullmx.example", Verdict.COUNT),
    ("5.1.2", "Domain example.org does not accept mail (nullMX)", Verdict.SUPPRESS_NOW),
    # What Exchange Online answers for an unknown recipient; without these words, it may be the network.
    ("5.4.1", "550 5.4.1 Recipient address rejected: Access denied. [AM0EUR02.eop.example]", Verdict.SUPPRESS_NOW),
    ("5.4.1", None, Verdict.COUNT),
    ("5.1.0", None, Verdict.SUPPRESS_NOW),
    ("2.1.5", "250 2.1.5 ok", Verdict.IGNORE),
    (None, None, Verdict.IGNORE),
    ("nonsense", "more nonsense", Verdict.IGNORE),
]  # fmt: skip


@pytest.mark.parametrize(
    ("status", "diagnostic", "verdict"), CASES, ids=[f"{a} {b}"[:60] for a, b, _ in CASES]
)
def test_b3_each_bounce_has_its_verdict(status: str | None, diagnostic: str | None, verdict: Verdict) -> None:
    assert judge(status, diagnostic).verdict is verdict


def test_every_rule_says_why_and_the_last_takes_what_is_left() -> None:
    assert all(rule.why for rule in POLICY)
    assert (POLICY[-1].status, POLICY[-1].reasons, POLICY[-1].verdict) == ("*", frozenset(), Verdict.IGNORE)


@pytest.mark.parametrize(
    ("status", "diagnostic", "found"),
    [
        ("5.0.0 (permanent failure)", "550 5.1.1 unknown", "5.1.1"),
        ("5.1.1", "550 5.7.1 blocked", "5.7.1"),
        ("5.1.1", "", "5.1.1"),
        ("5.001.010", None, "5.1.10"),
        (None, "host mx[192.0.2.1] said: 550 no", "5.0.0"),
        (None, "see 5.1.1.1 and 1.5.1.1", ""),
        ("5.0.0", "it is 4.2.2 here", "5.0.0"),
    ],
)
def test_the_most_precise_status_counts(status: str | None, diagnostic: str | None, found: str) -> None:
    assert precise(status, diagnostic) == found


def test_of_several_the_mildest_counts() -> None:
    rules = [judge("5.1.1", None), judge("5.2.2", None), judge("5.7.1", None)]

    assert mildest(rules).verdict is Verdict.OUR_FAULT


@pytest.mark.parametrize(
    ("days", "enough"),
    [([0, 1, 2, 3, 14], True), ([0, 1, 2, 3, 13], False), ([0, 5, 10, 20], False), ([], False)],
)
def test_b3_five_mails_over_two_weeks_are_enough(days: list[int], enough: bool) -> None:
    assert is_enough([NOW + timedelta(days=day) for day in days]) is enough


def test_a_diagnostic_that_is_made_to_be_slow_is_not() -> None:
    for text in ("user " * 100_000, "mailbox" * 100_000, "a b " * 100_000 + "unknown", "5." * 100_000):
        judge(None, text)

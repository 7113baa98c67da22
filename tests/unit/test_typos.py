"""A slip is noticed, and nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.domain.inboxes import inbox_of
from newsletter.domain.typos import PROVIDERS, REAL_NEIGHBOURS, suggest


@pytest.mark.parametrize("domain", PROVIDERS)
def test_a_provider_spelt_right_is_left_alone(domain: str) -> None:
    assert suggest(f"ann@{domain}") is None


@given(st.sampled_from([p for p in PROVIDERS if len(p) > 8]), st.data())
def test_one_slip_in_a_long_name_is_mended(provider: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(provider) - 2))
    slips = {
        "missing": provider[:place] + provider[place + 1 :],
        "doubled": provider[: place + 1] + provider[place:],
        "swapped": provider[:place] + provider[place + 1] + provider[place] + provider[place + 2 :],
    }
    slip = data.draw(st.sampled_from(sorted(slips.values())))
    if slip != provider and slip not in PROVIDERS and slip not in REAL_NEIGHBOURS:
        assert suggest(f"ann@{slip}") is not None


@pytest.mark.parametrize(
    "domain", ["example.org", "ymail.com", "me.de", "email.com", "university.edu", "mail.de", ""]
)
def test_other_domains_are_left_alone(domain: str) -> None:
    assert suggest(f"ann@{domain}") is None


def test_the_inbox_is_known_by_the_domain() -> None:
    gmail, hotmail = inbox_of("ann@GMAIL.com"), inbox_of("ann@hotmail.fr")
    assert gmail is not None
    assert gmail.name == "Gmail"
    assert hotmail is not None
    assert hotmail.name == "Outlook"
    assert inbox_of("ann@example.org") is None

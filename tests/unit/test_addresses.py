"""What is an address, and when two are the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.provisional import domains

from newsletter.domain.addresses import AddressError, envelope_form, mask, parse_address

_LOCAL = st.text(
    "abcdefghijklmnopqrstuvwxyzABCXYZ0123456789!#$%&'*+-/=?^_`{|}~äßéüñ", min_size=1, max_size=20
)
_SAMPLES = Path(__file__).parents[3] / "shared/corpora/isemail-sample.json"


@given(st.text())
def test_any_text_is_taken_whole_or_refused_with_a_message(text: str) -> None:
    try:
        address = parse_address(text)
    except AddressError as error:
        assert str(error)
    else:
        local, _, domain = address.text.rpartition("@")
        assert 1 <= len(local.encode()) <= 64
        assert len(address.text.encode()) <= 254
        assert domain
        assert address.text.isprintable()


@given(_LOCAL, domains())
def test_a18_parsing_again_changes_nothing_and_case_makes_no_difference(local: str, domain: str) -> None:
    try:
        address = parse_address(f"{local}@{domain}")
    except AddressError:
        return
    assert parse_address(address.text) == address
    assert parse_address(f"{local}@{domain.upper()}").identity == address.identity
    swapped = "".join(c.swapcase() if c.isascii() else c for c in local)
    assert parse_address(f"{swapped}@{domain}").identity == address.identity


def test_a18_letters_that_are_written_in_two_ways_are_one_identity() -> None:
    composed, decomposed = "jos\u00e9@example.org", "jose\u0301@example.org"

    assert parse_address(composed).identity == parse_address(decomposed).identity


def test_a18_a_domain_and_its_ascii_form_are_one_identity() -> None:
    assert parse_address("ann@Bücher.example").identity == parse_address("ann@xn--bcher-kva.example").identity


def test_different_people_have_different_identities() -> None:
    typed = ["ann@example.org", "ann@example.com", "an.n@example.org", "ann+x@example.org", "ånn@example.org"]

    assert len({parse_address(text).identity for text in typed}) == len(typed)


def test_a19_only_the_domain_is_turned_into_ascii() -> None:
    assert envelope_form("jörg@bücher.example") == "jörg@xn--bcher-kva.example"
    assert envelope_form("Ann@example.org") == "Ann@example.org"


def test_u10_a_masked_address_shows_one_letter_and_the_domain() -> None:
    assert mask("ann.long@example.org") == "a•••@example.org"


@pytest.mark.skipif(not _SAMPLES.exists(), reason="the shared samples are not beside this checkout")
def test_no_broken_sample_is_taken_and_no_ordinary_one_refused() -> None:
    for sample in json.loads(_SAMPLES.read_text()):
        try:
            parse_address(sample["address"])
            taken = True
        except AddressError:
            taken = False
        # Line ends around an address are no part of it, to a person who pastes it.
        if sample["category"] == "ISEMAIL_ERR" and sample["address"].strip() == sample["address"]:
            assert not taken, sample
        if sample["category"] == "ISEMAIL_VALID_CATEGORY":
            assert taken, sample
